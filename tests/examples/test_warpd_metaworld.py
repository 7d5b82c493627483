"""The example of docs/warpd.md runs from demonstrations to the simulator."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "warpd_metaworld.py"

pytest.importorskip("metaworld")
pytest.importorskip("diffusers")


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("warpd_metaworld", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_goes_from_demonstrations_to_success_in_the_simulator(
    example: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    success = example.main(demonstrations=2, epochs=1, episodes=1, folder=tmp_path)
    out = capsys.readouterr().out
    assert f"WARPD: {success:.0%} of 1 episodes of drawer_open in the simulator" in out
    assert "one perceptron of the same size, cloned:" in out
    assert len((tmp_path / "warpd" / "log.jsonl").read_text().splitlines()) == 3
