"""What a checkpoint names is a stranger's data: none of it is imported, called or opened unless the caller says so."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest

import dreamgym
from dreamgym.evaluation.pages.sequences import load_sequences
from dreamgym.evaluation.policies.config import EvaluationConfig
from dreamgym.evaluation.policies.evaluate import evaluate
from dreamgym.suites import suite, suites
from dreamgym.testing import PointMassModel, point_mass_checkpoint
from dreamgym.testing.point_mass import SIMULATOR
from dreamgym.training.checkpoint import CheckpointError, load, save
from dreamgym.training.checkpoint.config import digest

MODULE = "a_stranger"


@pytest.fixture
def trap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that is there once the stranger's module was imported, or what it holds was called."""
    sprung = tmp_path / "sprung"
    (tmp_path / f"{MODULE}.py").write_text(
        f"import pathlib\npathlib.Path({str(sprung)!r}).touch()\n"
        "from dreamgym.testing import PointMassEnv as Env, PointMassModel as Model\n"
        "def make(*args, **kwargs):\n    return Env()\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    return sprung


def forged(folder: Path, **changes: Any) -> str:
    """The point mass's checkpoint with a config of the stranger's, signed as `save` signs."""
    point_mass_checkpoint(folder)
    config = json.loads((folder / "config.json").read_text()) | changes
    config["digest"] = digest({k: v for k, v in config.items() if k != "digest"})
    (folder / "config.json").write_text(json.dumps(config))
    return str(folder)


def torchrl(folder: str) -> Any:
    pytest.importorskip("torchrl")
    return dreamgym.torchrl_env("Real-v0", world_model=folder)


def sb3(folder: str) -> Any:
    pytest.importorskip("stable_baselines3")
    return dreamgym.sb3_env("Real-v0", world_model=folder)


FACES: dict[str, Callable[[str], Any]] = {
    "make": lambda folder: gym.make("Real-v0", world_model=folder),
    "make_vec": lambda folder: gym.make_vec("Real-v0", world_model=folder, num_envs=2),
    "workers": lambda folder: gym.make_vec("Real-v0", world_model=folder, num_envs=2, num_workers=1),
    "torchrl": torchrl,
    "sb3": sb3,
    "evaluate": lambda folder: evaluate("hold", folder, config=EvaluationConfig(episodes=1, split="train")),
    "demo": lambda folder: load_sequences(load(folder), 1),
}


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("name", [f"{MODULE}:make", "subprocess:getoutput"])
def test_code_that_a_checkpoint_names_is_not_run(face: str, name: str, trap: Path, tmp_path: Path) -> None:
    folder = forged(tmp_path / "dream", simulator={"id": name, "kwargs": {}})
    with pytest.raises(ValueError, match=r"trust_simulator=True|nobody acts by a script"):
        FACES[face](folder)
    assert not trap.exists()


def test_a_caller_may_trust_it(trap: Path, tmp_path: Path) -> None:
    folder = forged(tmp_path / "dream", simulator={"id": f"{MODULE}:make", "kwargs": {}})
    gym.make("Real-v0", world_model=folder, trust_simulator=True).reset(seed=0)
    assert trap.exists()


def test_a_caller_may_name_his_own(trap: Path, tmp_path: Path) -> None:
    folder = forged(tmp_path / "dream", simulator={"id": f"{MODULE}:make", "kwargs": {"path": "/etc/passwd"}})
    gym.make("Real-v0", world_model=folder, simulator=SIMULATOR).reset(seed=0)
    assert not trap.exists()


def test_a_simulator_that_the_caller_names_gets_no_option_of_the_checkpoint(trap: Path, tmp_path: Path) -> None:
    name = f"{MODULE}:Env"  # takes no options: any would be an error
    folder = forged(tmp_path / "dream", simulator={"id": name, "kwargs": {"path": "/etc/passwd"}})
    gym.make("Real-v0", world_model=folder, simulator={"id": name}).reset(seed=0)
    with pytest.raises(ValueError, match="'path'"):
        gym.make("Real-v0", world_model=folder, simulator={"id": name}, trust_simulator=True)


@pytest.mark.parametrize("simulator", [None, {"id": "calvin"}])
def test_no_option_of_a_known_simulator_may_be_a_path(simulator: dict[str, Any] | None, tmp_path: Path) -> None:
    """CalvinEnv(assets=...) has Bullet parse the URDF files that stand there."""
    assets = tmp_path / "evil"
    named = {"id": "calvin", "kwargs": {"scene": "D", "assets": str(assets)}}
    folder = str(save(tmp_path / "dream", PointMassModel(), simulator=named))
    with pytest.raises(CheckpointError, match=r"may set .*'scene'.* not 'assets'.*simulator_kwargs"):
        gym.make("Real-v0", world_model=folder, simulator=simulator)
    opened = load(point_mass_checkpoint(tmp_path / "whole"))
    opened.simulator = named
    with pytest.raises(CheckpointError, match="not 'assets'"):
        load_sequences(opened, 1)


def test_an_option_of_another_type_is_refused(tmp_path: Path) -> None:
    simulator = {"id": "calvin", "kwargs": {"scene": ["/etc/passwd"]}}
    folder = str(save(tmp_path / "dream", PointMassModel(), simulator=simulator))
    with pytest.raises(CheckpointError, match="scene is str, got"):
        gym.make("Real-v0", world_model=folder)


@pytest.mark.parametrize("name", suites())
def test_no_suite_lets_a_checkpoint_set_what_is_a_path(name: str) -> None:
    assert not {"assets", "path", "file", "env", "xml_file", "env_name"} & set(suite(name).settings)


FIELDS = {
    "family": f"{MODULE}:Model",
    "rewards": {"success": {"kind": f"{MODULE}:make", "config": {}}},
    "decoded rules": {"success": {"kind": "decoded", "config": {"suite": f"{MODULE}:make", "tasks": ["a"]}}},
}


@pytest.mark.parametrize("field", FIELDS)
def test_families_rewards_and_suites_are_registered_names(field: str, trap: Path, tmp_path: Path) -> None:
    folder = forged(tmp_path / "dream", **{"family" if field == "family" else "rewards": FIELDS[field]})
    with pytest.raises(CheckpointError, match=f"{MODULE}:"):
        load(folder)
    assert not trap.exists()


def test_a_saved_policy_names_its_loader_by_entry_point(trap: Path, tmp_path: Path) -> None:
    world = str(point_mass_checkpoint(tmp_path / "dream"))
    (tmp_path / "policy").mkdir()
    (tmp_path / "policy" / "config.json").write_text(json.dumps({"policy": f"{MODULE}:make"}))
    with pytest.raises(ValueError, match="no installed package loads that kind"):
        evaluate(tmp_path / "policy", world, config=EvaluationConfig(episodes=1, split="train", twin=False))
    assert not trap.exists()


def test_a_checkpoint_of_the_hub_is_no_more_trusted(
    trap: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = pytest.importorskip("huggingface_hub")
    folder = forged(tmp_path / "dream", simulator={"id": f"{MODULE}:make", "kwargs": {}})
    monkeypatch.setattr(hub, "snapshot_download", lambda *args, **kwargs: folder)
    with pytest.raises(CheckpointError, match="trust_simulator=True"):
        gym.make("Real-v0", world_model="hf://somebody/dream")
    assert not trap.exists()


def test_the_twin_of_a_suite_that_a_script_registers_asks_for_the_script(tmp_path: Path) -> None:
    folder = forged(tmp_path / "own", simulator={"id": "MyCar-v0", "kwargs": {}})
    for make in (FACES["make"], FACES["evaluate"]):
        with pytest.raises(CheckpointError, match=r"'MyCar-v0', which is none of the suites .*--import FILE\.py"):
            make(folder)
