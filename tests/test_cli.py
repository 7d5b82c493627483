"""The command line."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from fakes import KEYS, FakeModel, episode

pytest.importorskip("tyro")

from dreamgym import __version__, cli
from dreamgym.cli.info import EXTRAS
from dreamgym.data import EpisodeStore
from dreamgym.sims.calvin import scene_obs_success
from dreamgym.training import checkpoint
from dreamgym.world_models.registry import register_family


def test_info_names_the_version_and_every_extra(capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["info"])
    out = capsys.readouterr().out
    assert f"dreamgym {__version__}" in out
    assert all(extra in out for extra in EXTRAS)


@pytest.mark.parametrize("command", sorted(cli.COMMANDS))
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main([command, "--help"])
    assert stop.value.code == 0
    assert command in capsys.readouterr().out


def test_unknown_command_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(["dance"])
    assert stop.value.code != 0


def test_missing_tyro_names_the_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tyro", None)
    with pytest.raises(SystemExit, match=r'pip install "dreamgym\[cli\]"'):
        cli.main(["info"])


@pytest.mark.parametrize("error", [ValueError("a mend"), ImportError("a mend"), FileNotFoundError("a mend")])
def test_a_callers_mistake_ends_in_one_line(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        """Fails."""
        raise error

    monkeypatch.setattr(cli, "COMMANDS", {**cli.COMMANDS, "broken": broken})
    with pytest.raises(SystemExit, match="dreamgym: a mend"):
        cli.main(["broken"])


def test_collect_fills_a_store_and_continues_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pybullet")
    words = ["collect", "--store", str(tmp_path / "play"), "--image-size", "16", "--episode-steps", "8", "--num-steps"]
    cli.main([*words, "8"])
    assert "1 episodes, 8 steps, 1 new" in capsys.readouterr().out
    cli.main([*words, "16"])
    assert "2 episodes, 16 steps, 1 new" in capsys.readouterr().out


def record(rng: np.random.Generator, action: np.ndarray) -> dict[str, np.ndarray]:
    made = episode(rng, len(action), action=action)
    return made | {"success": scene_obs_success("open_drawer", made["scene_obs"][:1], made["scene_obs"])}


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """A folder with a checkpoint that knows its world, play in it, and demonstrations of one task."""
    register_family("fake", FakeModel)
    checkpoint.save(tmp_path / "bare", FakeModel(slip=0.1))
    rng = np.random.default_rng(0)
    keys = KEYS | {"success": ((), "bool")}
    play, demos = (EpisodeStore.create(tmp_path / name, keys) for name in ("play", "demos"))
    for i in range(4):
        action = rng.uniform(-1, 1, (70, 7)).astype(np.float32)
        play.append([(record(rng, action), {"split": "val" if i > 2 else "train", "skills": []})])
    for i in range(12):
        action = np.zeros((24, 7), np.float32)
        action[4:, 1] = 0.9 if i % 2 else 0.2
        meta = {"split": "val" if i > 7 else "train", "task": "open_drawer", "success": bool(i % 2)}
        demos.append([(record(rng, action), meta | {"config": {"scene": "playtable", "image_size": 64}})])
    return tmp_path


def test_rewards_and_starts_make_a_bare_checkpoint_whole(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bare, whole, demos = str(world / "bare"), str(world / "whole"), str(world / "demos")
    cli.main(["rewards", "--checkpoint", bare, "--demonstrations", demos, "--epochs", "2", "--out", whole])
    cli.main(["starts", "--checkpoint", whole, "--stores", demos, "--num-train", "3", "--num-val", "1"])
    assert "open_drawer" in capsys.readouterr().out
    opened = checkpoint.load(whole)
    assert opened.rewards["success"].tasks == ("open_drawer",)
    assert opened.starts is not None
    assert opened.starts["task"].shape == (4,)
    assert opened.simulator == {"id": "calvin", "kwargs": {"scene": "playtable", "image_size": 64, "cameras": []}}
    assert not checkpoint.load(bare).rewards


def test_fidelity_tables_every_measure_and_writes_it(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["fidelity", "--checkpoint", str(world / "bare"), "--store", str(world / "play")]
    cli.main([*words, "--windows", "4", "--steps", "10", "--json", str(world / "figures.json")])
    curves = json.loads((world / "figures.json").read_text())["curves"]
    shown = capsys.readouterr().out
    assert curves
    assert all(name in shown for name in curves)


def test_fidelity_is_written_into_the_card_and_nothing_else_changes(world: Path) -> None:
    before = checkpoint.load(world / "bare")
    cli.main(["fidelity", "--checkpoint", str(world / "bare"), "--store", str(world / "play"), "--windows", "4",
              "--steps", "10", "--write"])  # fmt: skip
    after = checkpoint.load(world / "bare")
    assert after.metrics["fidelity"]["windows"] == 4
    assert before.spec.uncertainty_limit is None
    assert after.spec.uncertainty_limit == pytest.approx(after.metrics["fidelity"]["uncertainty"]["p99"], rel=1e-3)
    assert "## Fidelity" in (world / "bare" / "README.md").read_text()
    assert all(torch.equal(v, before.model.state_dict()[k]) for k, v in after.model.state_dict().items())


def test_fidelity_of_a_store_without_held_out_episodes_is_refused(world: Path) -> None:
    with pytest.raises(SystemExit, match="dreamgym: "):
        cli.main(["fidelity", "--checkpoint", str(world / "bare"), "--store", str(world / "empty")])


def test_fit_takes_model_fields_and_refuses_strangers(tmp_path: Path) -> None:
    shapes = {k: KEYS[k] for k in ("robot_obs", "scene_obs", "action")}
    store = EpisodeStore.create(tmp_path / "play", shapes)
    whole = episode(np.random.default_rng(0), 12)
    store.append([({k: whole[k] for k in shapes}, {"split": "train"})])
    words = ["fit", "--store", str(store.path), "--variant", "state", "--steps", "1", "--batch-size", "2"]
    words += ["--length", "6", "--run", str(tmp_path / "run"), "--model", "deter=16"]
    cli.main([*words, "units=8"])
    assert json.loads((tmp_path / "run" / "run.json").read_text())["model"]["deter"] == 16
    with pytest.raises(SystemExit, match="no field 'width'"):
        cli.main([*words, "width=8"])
