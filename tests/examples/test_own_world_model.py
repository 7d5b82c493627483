"""The example of docs/add_a_world_model.md is true: a small model of one's own becomes an environment."""

import importlib.util
from pathlib import Path
from types import ModuleType

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from dreamgym import cli
from dreamgym.testing import check_vector_env, check_world_model
from dreamgym.training import checkpoint

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "own_world_model.py"

pytest.importorskip("accelerate")


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("own_world_model", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def trained(example: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return example.train(tmp_path_factory.mktemp("trained"), steps=800)


def test_the_model_takes_no_more_than_40_lines() -> None:
    model = EXAMPLE.read_text().split("# [model]\n")[1].split("# [recipe]")[0]
    assert len([line for line in model.splitlines() if line.strip()]) <= 40


def test_the_trained_dream_follows_the_simulator(example: ModuleType, trained: Path, tmp_path: Path) -> None:
    untrained = example.train(tmp_path, steps=1)
    assert example.drift(trained) < 0.2 * example.drift(untrained)


def test_the_commands_know_the_family(trained: Path, tmp_path: Path) -> None:
    pytest.importorskip("tyro")
    store, run, out = str(trained.parent / "data"), str(tmp_path / "run"), str(tmp_path / "swing")
    own = ["--import", str(EXAMPLE)]
    words = ["--store", store, "--run", run, "--out", out, "--steps", "2", "--set", "units=8"]
    cli.main([*own, "fit", "--family", "swing", *words])
    cli.main(["starts", "--checkpoint", out, "--stores", store, *own])
    opened = checkpoint.load(out)
    assert opened.model.config.units == 8
    assert opened.starts_meta["counts"]["any"]["train"] == 200


def test_a_task_of_ones_own_is_a_function(example: ModuleType, trained: Path) -> None:
    envs = gym.make_vec("Dream-v0", num_envs=8, checkpoint=str(trained), reward=example.swung_up, horizon=5)
    envs.reset(seed=0)
    _, reward, *_, info = envs.step(np.zeros((8, 1), np.float32))
    assert (info["is_success"] == (reward > 0.98)).all()
    assert len(set(reward.tolist())) > 4


def test_the_dream_is_an_ordinary_environment(trained: Path) -> None:
    env = gym.make("Dream-v0", checkpoint=str(trained), task="stand", reward="probability")
    check_env(env.unwrapped, skip_render_check=True)


def test_the_model_keeps_the_contract(example: ModuleType) -> None:
    check_world_model(example.Swing().eval())


def test_the_vector_env_keeps_its_promises(trained: Path) -> None:
    check_vector_env(
        lambda mode: gym.make_vec("Dream-v0", num_envs=4, checkpoint=str(trained), autoreset_mode=mode, horizon=10),
        horizon=10,
    )
