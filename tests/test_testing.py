"""The checks that we ship must catch what they promise to catch."""

import calvin_rssm
import gymnasium as gym
import numpy as np
import pytest
import torch

from dreamgym.envs.core.core import DreamCore
from dreamgym.envs.faces.vector import DreamVectorEnv, mode_name
from dreamgym.testing import (
    PointMassConfig,
    PointMassEnv,
    PointMassModel,
    PointMassReward,
    check_vector_env,
    check_world_model,
    point_mass_checkpoint,
    point_mass_starts,
)
from dreamgym.testing.point_mass import SIMULATOR
from dreamgym.training.checkpoint import load


@pytest.mark.parametrize(
    "config", [PointMassConfig(), PointMassConfig(noise=0.1, history=1), PointMassConfig(vector=False)]
)
def test_the_point_mass_keeps_the_contract(config):
    check_world_model(PointMassModel(config))


def test_an_rssm_keeps_the_contract():
    from dreamgym.world_models.families.rssm import RSSM

    small = calvin_rssm.tiny(deter=32, stoch=4, classes=4, units=16, embed=16, encoder_depth=2, decoder_depth=2)
    check_world_model(RSSM(small).eval())


class Remembers(PointMassModel):
    calls = 0.0

    def imagine(self, state, action, generator=None):
        self.calls += 0.1
        return {**super().imagine(state, action, generator), "lamp": state["lamp"] + self.calls}


class WritesInput(PointMassModel):
    def imagine(self, state, action, generator=None):
        state["position"] += 0.1
        return super().imagine(state, action, generator)


class MixesBatch(PointMassModel):
    def imagine(self, state, action, generator=None):
        state = super().imagine(state, action, generator)
        return {**state, "position": state["position"] - state["position"].mean(0)}


class GlobalNoise(PointMassModel):
    def imagine(self, state, action, generator=None):
        torch.rand(1)
        return super().imagine(state, action, generator)


class WrongFeatures(PointMassModel):
    def features(self, state):
        return super().features(state).double()


class WrongKeys(PointMassModel):
    def imagine(self, state, action, generator=None):
        return {"position": super().imagine(state, action, generator)["position"]}


class BrightImages(PointMassModel):
    def decode(self, state, keys):
        return {k: 255 * v for k, v in super().decode(state, keys).items()}


class TakesAnyKey(PointMassModel):
    def decode(self, state, keys):
        return super().decode(state, [k for k in keys if k in self.spec.decodable])


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (Remembers, "hidden state"),
        (WritesInput, "writes into the state"),
        (MixesBatch, "of env 0 changes what other envs become"),
        (GlobalNoise, "global generator"),
        (WrongFeatures, "float32"),
        (WrongKeys, "returns keys"),
        (BrightImages, r"must lie in \[0, 1\]"),
        (TakesAnyKey, "must raise ValueError"),
    ],
)
def test_a_broken_model_is_caught(broken, message):
    with pytest.raises(AssertionError, match=message):
        check_world_model(broken())


# -- vector envs --


def dream(mode, cls=DreamVectorEnv, **options):
    core = DreamCore(
        PointMassModel(PointMassConfig(noise=0.01)),
        PointMassReward(),
        point_mass_starts(),
        **{"num_envs": 3, "horizon": 6, "task": "reach_right", "autoreset": mode_name(mode), **options},
    )
    return cls(core)


class Reuses(DreamVectorEnv):
    def step(self, actions):
        obs, *rest = super().step(actions)
        self._buffer = getattr(self, "_buffer", np.zeros_like(obs))
        self._buffer[:] = obs
        return self._buffer, *rest


class Unseeded(DreamVectorEnv):
    def reset(self, *, seed=None, options=None):
        return super().reset(seed=None if seed is None else 0, options=options)


class Restless(DreamVectorEnv):
    def reset(self, *, seed=None, options=None):
        return super().reset(seed=None if options else int(np.random.default_rng().integers(10**6)), options=options)


class Coupled(DreamVectorEnv):
    def step(self, actions):
        return super().step(np.repeat(actions[:1], len(actions), 0))


class NoFinal(DreamVectorEnv):
    def step(self, actions):
        *rest, info = super().step(actions)
        return *rest, {k: v for k, v in info.items() if "final" not in k}


class WrongFinal(DreamVectorEnv):
    def step(self, actions):
        obs, *rest, info = super().step(actions)
        if "final_obs" in info:
            info["final_obs"] = obs
        return obs, *rest, info


class Immortal(DreamVectorEnv):
    def close(self, **kwargs):
        pass


class EndsByTermination(DreamVectorEnv):
    def step(self, actions):
        obs, reward, terminated, truncated, info = super().step(actions)
        return obs, reward, terminated | truncated, truncated, info


def test_a_sound_env_passes():
    check_vector_env(dream, steps=14, horizon=6)


def test_gymnasiums_own_vector_env_passes():
    def make(mode):
        fns = [lambda: gym.wrappers.TimeLimit(gym.wrappers.FlattenObservation(PointMassEnv("reach_right")), 6)] * 2
        return gym.vector.SyncVectorEnv(fns, autoreset_mode=mode)

    check_vector_env(make, steps=10, horizon=6)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (Reuses, "was written to by a later step"),
        (Unseeded, "ignores its seed"),
        (Restless, "same seed"),
        (Coupled, "other actions in env 0 changed env"),
        (NoFinal, "_final_obs"),
        (WrongFinal, "final_obs of env"),
        (Immortal, "after close must raise"),
        (EndsByTermination, "must be truncation alone"),
    ],
)
def test_a_broken_env_is_caught(broken, message):
    with pytest.raises(AssertionError, match=message):
        check_vector_env(lambda mode: dream(mode, broken), steps=14, horizon=6)


# -- the tiny world --


def test_the_model_imagines_what_its_simulator_does():
    env, model = PointMassEnv(), PointMassModel(PointMassConfig(history=1))
    obs, _ = env.reset(seed=0)
    image = torch.from_numpy(obs["rgb_static"]).permute(2, 0, 1)[None, None]
    state = model.start({"robot_obs": torch.from_numpy(obs["robot_obs"]).view(1, 1, 3), "rgb_static": image})
    with pytest.raises(ValueError, match="'rgb_static' is missing"):
        model.start({"robot_obs": torch.zeros(1, 1, 3)})
    with pytest.raises(ValueError, match=r"'robot_obs': expected \(1, 3\) = \[B, ...\], got \(1, 4\)"):
        model.observe(state, torch.zeros(1, 3), {"robot_obs": torch.zeros(1, 4), "rgb_static": image[:, 0]})
    env.action_space.seed(0)
    for _ in range(20):
        action = env.action_space.sample()
        obs, *_ = env.step(action)
        state = model.imagine(state, model.spec.prepare(torch.from_numpy(action)[None]))
        decoded = {k: v.detach() for k, v in model.decode(state, ["robot_obs", "rgb_static"]).items()}
        assert np.allclose(decoded["robot_obs"][0], obs["robot_obs"], atol=1e-5)
        image = decoded["rgb_static"][0].permute(1, 2, 0).numpy() * 255
        assert np.abs(image - obs["rgb_static"]).max() <= 1


def test_its_checkpoint_comes_back_whole(tmp_path):
    config = PointMassConfig(noise=0.2, uncertainty_limit=0.7)
    found = load(point_mass_checkpoint(tmp_path / "pm", config))
    assert found.model.config == config
    assert found.spec.uncertainty_limit == 0.7
    assert found.starts_meta["tasks"] == list(found.rewards["success"].tasks)
    assert found.simulator == SIMULATOR


def test_its_gain_can_be_learned():
    model = PointMassModel()
    torch.nn.init.constant_(model.gain, 0.3)
    action = torch.rand(16, 10, 3) * 2 - 1
    position = torch.cat([torch.zeros(16, 1, 2), 0.1 * action[:, :-1, :2].cumsum(1)], 1)
    batch = {"robot_obs": torch.cat([position, torch.zeros(16, 10, 1)], 2), "action": action}
    optimizer = torch.optim.SGD(model.parameters(), 1.0)
    for _ in range(200):
        optimizer.zero_grad()
        model.loss(batch)["loss"].backward()
        optimizer.step()
    assert abs(float(model.gain.detach()) - 0.1) < 0.01
