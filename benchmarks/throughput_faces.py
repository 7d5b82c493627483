"""What throughput.py times: a world model of random weights, and a runner for every face of it.

What WorldModelEnv (0.14.1) needs before it runs: its docstring example raises, so specs are written by hand; bounded
action specs raise, so the action is Unbounded; with its default observation spec the latent never advances, so every
latent key is listed in one; it cannot reset by itself, so the start is handed to ``rollout``; it never resets an env
that is done, so here it has no ends at all, which saves it work that ours does.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import torch
from torch import Tensor, nn

import dreamgym
from dreamgym.envs.make import choose_reward, make_core, start_bank
from dreamgym.nn.layout import lay_out_by_input
from dreamgym.rewards.success import SuccessClassifier, SuccessConfig
from dreamgym.suites import suite
from dreamgym.training.checkpoint import Checkpoint
from dreamgym.world_models.families.rssm import RSSM, RSSMConfig

TASK = "open_drawer"
HORIZON = 64
Runner = Callable[[int], None]
"""Runs so many steps of all envs."""


CALVIN: dict[str, Any] = {
    "images": {"rgb_static": (3, 64, 64), "rgb_gripper": (3, 64, 64)},
    "action": suite("calvin").action,
}
PRESETS: dict[str, Callable[[], RSSMConfig]] = {
    "tiny": lambda: RSSMConfig.tiny(**CALVIN),
    "paper": lambda: RSSMConfig.paper(**CALVIN),
    # The size that TorchRL's Dreamer uses by default (deterministic 200, stochastic about 30): env overhead shows here.
    "peer": lambda: RSSMConfig.tiny(**CALVIN, deter=200, stoch=8, classes=4, units=200),
}


def random_checkpoint(preset: str) -> Checkpoint:
    """An RSSM of random weights with a reward and a start bank: as fast as a trained one."""
    torch.manual_seed(0)
    model = lay_out_by_input(RSSM(PRESETS[preset]()).eval().requires_grad_(False))
    (features,) = model.spec.feature_shape
    make = SuccessConfig.paper if preset == "paper" else SuccessConfig.tiny
    reward = SuccessClassifier(make((TASK,), features), [2.0]).eval().requires_grad_(False)  # never succeeds
    images = {
        k: torch.randint(0, 256, (64, 2, *s.shape), dtype=torch.uint8) for k, s in model.spec.observations.items()
    }
    with torch.no_grad():
        states = model.start({**images, "action": torch.zeros(64, 1, 7)})
    starts = {f"state/{k}": v.half() for k, v in states.items()}
    starts |= {"task": torch.zeros(64, dtype=torch.int64), "split": torch.zeros(64, dtype=torch.int64)}
    return Checkpoint(model, model.spec, Path(), {"success": reward}, starts, {"tasks": [TASK]})


class Bare:
    """The loop that every env contains."""

    def __init__(self, checkpoint: Checkpoint, num_envs: int, device: str, uncertainty: bool) -> None:
        self.model, self.reward = checkpoint.model.to(device), choose_reward(checkpoint, None).to(device)
        bank = start_bank(checkpoint)
        assert bank is not None
        rows = torch.arange(num_envs) % len(bank)
        self.state = {k: v.to(device) for k, v in bank.state(rows).items()}
        self.task = torch.full((num_envs,), self.reward.tasks.index(TASK), device=device)
        self.memory = self.reward.start(self.model, self.state, self.task)
        self.generator = torch.Generator(device).manual_seed(0)
        self.action = actions(checkpoint, num_envs).to(device)
        self.uncertainty = uncertainty

    @torch.no_grad()
    def __call__(self, steps: int) -> None:
        state, memory = self.state, self.memory
        for _ in range(steps):
            after = self.model.imagine(state, self.action, self.generator)
            _, _, memory = self.reward.step(self.model, memory, state, self.action, after, self.task)
            if self.uncertainty:
                self.model.uncertainty(after)
            state = after


def actions(checkpoint: Checkpoint, num_envs: int) -> Tensor:
    """Random prepared actions [B, A]."""
    space = torch.rand(num_envs, checkpoint.model.spec.action.dim, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return checkpoint.model.spec.prepare(space)


def asked(checkpoint: Checkpoint, device: str, uncertainty: bool) -> dict[str, Any]:
    """What every face is made with."""
    return {
        "checkpoint": checkpoint,
        "task": TASK,
        "horizon": HORIZON,
        "device": device,
        "uncertainty": uncertainty,
    }


def repeated(step: Callable[[Any], Any], action: Any) -> Runner:
    """A runner that takes the same action again and again."""

    def run(steps: int) -> None:
        for _ in range(steps):
            step(action)

    return run


def core_runner(
    checkpoint: Checkpoint, num_envs: int, device: str, uncertainty: bool, reward: str = "success"
) -> Runner:
    core = make_core(
        num_envs=num_envs,
        reward=reward,
        **asked(checkpoint, device, uncertainty),
    )
    action = actions(checkpoint, num_envs).to(device)
    core.reset(seed=0)
    return repeated(core.step, action)


def vector_runner(checkpoint: Checkpoint, num_envs: int, device: str, uncertainty: bool) -> Runner:
    env = gym.make_vec(
        "Dream-v0",
        num_envs=num_envs,
        **asked(checkpoint, device, uncertainty),
    )
    action = actions(checkpoint, num_envs).numpy()
    env.reset(seed=0)
    return repeated(env.step, action)


def single_runner(checkpoint: Checkpoint, num_envs: int, device: str, uncertainty: bool) -> Runner:
    assert num_envs == 1
    env = gym.make("Dream-v0", **asked(checkpoint, device, uncertainty))
    action = actions(checkpoint, 1).numpy()[0]
    env.reset(seed=0)

    def run(steps: int) -> None:
        for _ in range(steps):
            _, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                env.reset()

    return run


def sb3_runner(checkpoint: Checkpoint, num_envs: int, device: str, uncertainty: bool) -> Runner:
    env = dreamgym.sb3_env(
        "Dream-v0",
        num_envs=num_envs,
        **asked(checkpoint, device, uncertainty),
    )
    action = actions(checkpoint, num_envs).numpy()
    env.reset()
    return repeated(env.step, action)


def rollout_runner(env: Any, action: Tensor, start: Any = None) -> Runner:
    """TorchRL's own loop, in rollouts of one horizon (shorter for many envs): a rollout keeps and stacks its data."""

    def policy(td: Any) -> Any:
        return td.set("action", action)

    longest = max(8, min(HORIZON, 16384 // len(action)))

    @torch.no_grad()
    def run(steps: int) -> None:
        while steps > 0:
            n = min(steps, longest)
            begin = {} if start is None else {"tensordict": start.clone(), "auto_reset": False}
            env.rollout(n, policy, break_when_any_done=False, **begin)
            steps -= n

    return run


def torchrl_runner(
    checkpoint: Checkpoint, num_envs: int, device: str, uncertainty: bool, reward: str = "success"
) -> Runner:
    env = dreamgym.torchrl_env(
        "Dream-v0",
        num_envs=num_envs,
        **asked(checkpoint, device, uncertainty),
        reward=reward,
        info=(),  # what WorldModelEnv delivers: observation, reward and ends
    )
    return rollout_runner(env, actions(checkpoint, num_envs).to(device))


class _Dynamics(nn.Module):
    def __init__(self, bare: Bare) -> None:
        super().__init__()
        self.model, self.keys, self.generator = bare.model, list(bare.state), bare.generator

    def forward(self, *values: Tensor) -> tuple[Tensor, ...]:
        *latents, action = values
        after = self.model.imagine(dict(zip(self.keys, latents, strict=True)), action, self.generator)
        return tuple(after[k] for k in self.keys)


class _Reward(nn.Module):
    def __init__(self, bare: Bare) -> None:
        super().__init__()
        self.reward, self.model, self.memory, self.task = bare.reward, bare.model, bare.memory, bare.task
        self.keys = list(bare.state)

    def forward(self, *latents: Tensor) -> Tensor:
        state = dict(zip(self.keys, latents, strict=True))
        return self.reward.step(self.model, self.memory, state, None, state, self.task)[0].unsqueeze(1)


def worldmodelenv_runner(checkpoint: Checkpoint, num_envs: int, device: str, uncertainty: bool) -> Runner:
    from tensordict import TensorDict
    from tensordict.nn import TensorDictModule
    from torchrl.data import Binary, Composite, Unbounded
    from torchrl.envs.model_based import WorldModelEnv
    from torchrl.modules import WorldModel

    bare = Bare(checkpoint, num_envs, device, False)
    keys, batch = list(bare.state), torch.Size([num_envs])
    nexts: list[Any] = [("next", k) for k in keys]

    class Specs:  # WorldModelEnv only reads these of its base env
        batch_size = batch
        action_spec = Unbounded((num_envs, bare.action.shape[1]), device=device)
        reward_spec = Unbounded((num_envs, 1), device=device)
        done_spec = Binary(1, shape=(num_envs, 1), dtype=torch.bool, device=device)

    Specs.device = torch.device(device)  # type: ignore[attr-defined]
    latents = Composite(
        {k: Unbounded(v.shape, device=device, dtype=v.dtype) for k, v in bare.state.items()}, shape=batch
    )
    module = WorldModel(
        TensorDictModule(nn.Identity(), in_keys=["observation"], out_keys=[keys[0]]),
        TensorDictModule(_Dynamics(bare), in_keys=[*keys, "action"], out_keys=nexts),
        TensorDictModule(_Reward(bare), in_keys=nexts, out_keys=[("next", "reward")]),
    )
    env = WorldModelEnv(module, Specs, batch_size=batch, device=device, observation_spec=latents, latent_key=keys[0])
    start = env.reset(TensorDict(dict(bare.state), batch_size=batch, device=device))
    before = start[keys[0]].clone()
    moved = env.rollout(2, lambda td: td.set("action", bare.action), tensordict=start.clone(), auto_reset=False)
    assert not torch.equal(moved["next", keys[0]][:, -1], before), "the latent of WorldModelEnv did not advance"
    return rollout_runner(env, bare.action, start)


def twin_runner(checkpoint: Checkpoint, num_envs: int, device: str, uncertainty: bool) -> Runner:
    simulator = checkpoint.simulator or {"id": "calvin", "kwargs": {"scene": "playtable"}}
    cameras = tuple(k.removeprefix("rgb_") for k in checkpoint.model.spec.observations if k.startswith("rgb_"))
    env = gym.make_vec(
        "Real-PlayTable-v0",
        num_envs=num_envs,
        world_model=checkpoint,
        simulator=simulator,
        simulator_kwargs={"cameras": cameras},
        task=TASK,
        horizon=HORIZON,
        device=device,
        uncertainty=uncertainty,
        starts="bank" if checkpoint.starts and "snapshot" in checkpoint.starts else "simulator",
    )
    action = actions(checkpoint, num_envs).numpy()
    env.reset(seed=0)
    return repeated(env.step, action)


def bare_inference_runner(checkpoint: Checkpoint, num_envs: int, device: str, uncertainty: bool) -> Runner:
    """The bare loop in inference mode, which cores that share nothing use inside."""
    return torch.inference_mode()(Bare(checkpoint, num_envs, device, uncertainty))


FACES: dict[str, Callable[[Checkpoint, int, str, bool], Runner]] = {
    "bare": Bare,
    "bare_inference": bare_inference_runner,
    "core": core_runner,
    "core/probability": partial(core_runner, reward="probability"),
    "vector": vector_runner,
    "single": single_runner,
    "sb3": sb3_runner,
    "torchrl": torchrl_runner,
    "torchrl/probability": partial(torchrl_runner, reward="probability"),
    "torchrl_worldmodelenv": worldmodelenv_runner,
    "twin": twin_runner,
}
