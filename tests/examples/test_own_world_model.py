"""The example of docs/add_a_world_model.md is true: a small model of one's own becomes an environment."""

import importlib.util
from pathlib import Path
from types import ModuleType

import gymnasium as gym
import pytest
from gymnasium.utils.env_checker import check_env

from dreamgym.testing import check_vector_env, check_world_model

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
    model = EXAMPLE.read_text().split("# [model]\n")[1].split("# [reward]")[0]
    assert len([line for line in model.splitlines() if line.strip()]) <= 40


def test_the_trained_dream_follows_the_simulator(example: ModuleType, trained: Path, tmp_path: Path) -> None:
    untrained = example.train(tmp_path, steps=1)
    assert example.drift(trained) < 0.2 * example.drift(untrained)


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
