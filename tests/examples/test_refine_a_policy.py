"""The example of docs/ladi_wm.md runs from play to a refined policy in the simulator, with its picture."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "refine_a_policy.py"

pytest.importorskip("pybullet")


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("refine_a_policy", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_goes_from_play_to_a_refined_policy(
    example: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = {"episodes": 2, "steps": 60, "size": 16, "demonstrations": 2, "updates": 2, "policy_updates": 2}
    found = example.main(**sizes, tries=1, epochs=1, folder=tmp_path)
    out = capsys.readouterr().out
    assert list(found) == [0, 1, 2]
    assert f"2 refinements: {found[2]:.0%} of 1 episodes of open_drawer in the simulator" in out
    assert Image.open(tmp_path / "imagined.png").size == (6 * 2 * 16, 2 * 2 * 16)
