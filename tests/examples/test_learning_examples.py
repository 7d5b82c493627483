"""The examples that learn with other libraries do learn."""

import importlib.util
from pathlib import Path

import pytest
import torch

from dreamgym.testing import point_mass_checkpoint

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def load(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return str(point_mass_checkpoint(tmp_path_factory.mktemp("world") / "point"))


@pytest.fixture(scope="module")
def sb3():
    pytest.importorskip("stable_baselines3")
    return load("sb3_from_a_clone")


@pytest.fixture(scope="module")
def wanderer(sb3, tmp_path_factory):
    return sb3.wanderer(tmp_path_factory.mktemp("clone"))


def test_sb3_begins_where_the_clone_stands(sb3, wanderer, checkpoint):
    import dreamgym

    env = dreamgym.sb3_env("Dream-v0", num_envs=4, checkpoint=checkpoint, task="reach_right", chunk=4)
    model, obs = sb3.from_gaussian(wanderer, env), env.reset()
    with torch.no_grad():
        decided = wanderer.to_actions(wanderer.decide(torch.as_tensor(obs), wanderer.draw_noise(4)))
    torch.testing.assert_close(torch.as_tensor(model.predict(obs, deterministic=True)[0]), decided)


def test_sb3_improves_on_the_clone(sb3, wanderer, checkpoint):
    _, before, after = sb3.improve(wanderer, checkpoint, "reach_right", steps=8192)
    assert after > before + 1.0


def test_torchrls_own_parts_learn_in_a_dream(checkpoint):
    pytest.importorskip("torchrl")
    rewards = load("torchrl_ppo").train(checkpoint, "reach_right", iterations=8)
    assert sum(rewards[-2:]) / 2 > rewards[0] + 0.1
