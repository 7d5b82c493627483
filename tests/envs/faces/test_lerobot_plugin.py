"""``--env.type=dreamgym``: found by lerobot's loader of plug-ins, and configured as its commands do (0.6.2)."""

import importlib
import pkgutil
import sys
from pathlib import Path

import pytest

from dreamgym.testing import point_mass_checkpoint

STANDINS = Path(__file__).resolve().parents[2] / "standins"
PACKAGE = "dreamgym.envs.faces.lerobot"


@pytest.fixture
def config_class(monkeypatch):
    """What lerobot's ``load_plugin(PACKAGE)`` registers: it imports a package and every module in it."""
    monkeypatch.syspath_prepend(str(STANDINS))
    package = importlib.import_module(PACKAGE)
    for module in pkgutil.iter_modules(package.__path__, f"{PACKAGE}."):
        importlib.import_module(module.name)
    yield importlib.import_module("lerobot.envs.configs").EnvConfig.get_choice_class("dreamgym")
    for name in [name for name in sys.modules if name.split(".")[0] == "lerobot"] + [f"{PACKAGE}.plugin"]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(point_mass_checkpoint(tmp_path_factory.mktemp("plugin")))


def test_a_policy_is_built_from_what_the_world_shows(config_class):
    config = config_class()
    shapes = {key: (feature.type.value, tuple(feature.shape)) for key, feature in config.features.items()}
    camera = ("VISUAL", (64, 64, 3))
    cameras = {"observation.images.rgb_static": camera, "observation.images.rgb_gripper": camera}
    assert shapes == {"action": ("ACTION", (7,)), "agent_pos": ("STATE", (15,)), **cameras}
    names = {"action": "action", "agent_pos": "observation.state", **{key: key for key in cameras}}
    assert config.features_map == names
    assert config.fps == 30
    assert config.gym_kwargs == {}


@pytest.mark.parametrize("id", ["Dream-v0", "Real-v0"])
def test_tasks_are_named_with_commas_as_lerobots_suites_take_them(config_class, folder, id):
    config = config_class(task="reach_right,reach_top", id=id, checkpoint=folder, split=None, horizon=7)
    envs = config.create_envs(n_envs=2, use_async_envs=False)
    assert list(envs) == [id]
    assert [env.task for env in envs[id].values()] == ["reach_right", "reach_top"]
    env = envs[id][0]
    obs, _ = env.reset(seed=[0, 1], options={"lerobot_new_rollout": True})
    assert env.call("_max_episode_steps") == (7, 7)
    seen = {f"observation.images.{name}": image for name, image in obs["pixels"].items()}
    seen["agent_pos"] = obs["agent_pos"]
    told = {key: tuple(feature.shape) for key, feature in config.features.items() if key != "action"}
    assert {key: value.shape[1:] for key, value in seen.items()} == told
    for each in envs[id].values():
        each.close()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"id": "CartPole-v1"}, "is not a dream or a twin"),
        ({"id": "Dream-v0"}, "needs --env.checkpoint"),
        ({"id": "Real-PlayTable-v0"}, "needs --env.checkpoint"),
        ({"task": "open_drawer,fly"}, r"unknown task\(s\) \['fly'\]"),
    ],
)
def test_what_is_wrong_is_told(config_class, options, message):
    with pytest.raises(ValueError, match=message):
        config_class(**options)
