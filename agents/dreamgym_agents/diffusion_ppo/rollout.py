"""Trajectories of the Dream Diffusion MDP (DiWA III.D, Algorithm 1): denoising steps inside imagined steps.

One decision is the inner steps k = K .. 1 at one state; its chunk is one step of the env. Only the last K' inner steps
are kept, since only they are tuned. Everything is [B] at once; the loop runs over time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from gymnasium.vector import AutoresetMode
from torch import Tensor

from dreamgym.envs.core.core import DreamCore
from dreamgym.envs.faces.vector import DreamVectorEnv
from dreamgym.envs.twin import TwinCore
from dreamgym_agents.diffusion_ppo.policy import ChunkPolicy, as_features


@dataclass
class Rollout:
    """S decisions of B envs, memory that is used again each iteration.

    Attributes:
        features: [S, B, Z], z_t at each decision.
        elapsed: [S, B], the share of the horizon that had passed.
        chain: [K' + 1, S, B, D], a^{K'} .. a^0.
        log_prob: [K', S, B], of each step of the chain.
        reward: [S, B], summed over the chunk.
        done: [S, B] bool, the episode ended in this decision.
        valued: [S, B] bool, it ended, and the value of its last state counts nevertheless.
        last: [S, B, Z], the last state of an episode where ``valued``; None where no value is ever bootstrapped.
        next_features, next_elapsed: [B, Z] and [B], where the next decision would be made.
    """

    features: Tensor
    elapsed: Tensor
    chain: Tensor
    log_prob: Tensor
    reward: Tensor
    done: Tensor
    valued: Tensor
    last: Tensor | None
    next_features: Tensor
    next_elapsed: Tensor

    @classmethod
    def empty(
        cls, policy: ChunkPolicy, decisions: int, num_envs: int, bootstrap: bool, device: torch.device
    ) -> Rollout:
        """Memory for S decisions of B envs."""
        config, size = policy.config, (decisions, num_envs)

        def zeros(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
            return torch.zeros(shape, dtype=dtype, device=device)

        return cls(
            features=zeros(*size, config.feature_dim),
            elapsed=zeros(*size),
            chain=zeros(config.tuned_steps + 1, *size, config.flat_dim),
            log_prob=zeros(config.tuned_steps, *size),
            reward=zeros(*size),
            done=zeros(*size, dtype=torch.bool),
            valued=zeros(*size, dtype=torch.bool),
            last=zeros(*size, config.feature_dim) if bootstrap else None,
            next_features=zeros(num_envs, config.feature_dim),
            next_elapsed=zeros(num_envs),
        )


class EpisodeSums:
    """Sums over the episodes that ended, without waiting for the device before `summary`."""

    def __init__(self, num_envs: int, device: torch.device) -> None:
        self.running = torch.zeros(num_envs, device=device)
        self.sums: dict[str, Tensor] = {}

    def add(self, reward: Tensor, done: Tensor, infos: dict[str, Any]) -> None:
        """One decision of every env: reward [B], done [B], the vector env's infos."""
        self.running = self.running + reward
        last = infos.get("final_info", {})
        ended = {"episodes": torch.ones_like(reward), "return": self.running}
        ended |= {k: last[k] for k in ("is_success", "uncertainty_exceeded", "model_failure") if k in last}
        for key, value in ended.items():
            self._sum(key, (value * done).sum())
        # Of ended envs infos tell of the new episode: zero, so the last decision of an episode is left out here.
        shown = {k: infos[k] for k in ("success_probability", "uncertainty") if k in infos}
        for key, value in shown.items():
            self._sum(key, value.masked_fill(done, 0.0).sum())
        self._sum("decisions", (~done).sum())
        self.running = self.running.masked_fill(done, 0.0)

    def _sum(self, key: str, value: Tensor) -> None:
        self.sums[key] = self.sums[key] + value if key in self.sums else value

    def summary(self) -> dict[str, float]:
        """episodes; return, success_rate and shares of truncations an episode; the rest a decision."""
        sums = {k: float(v) for k, v in self.sums.items()}
        episodes, decisions = sums.pop("episodes", 0.0), sums.pop("decisions", 0.0)
        out = {"episodes": episodes}
        names = {"is_success": "success_rate"}
        for key, value in sums.items():
            count = decisions if key in ("success_probability", "uncertainty") else episodes
            out[names.get(key, key)] = value / count if count else float("nan")
        return out


def check_env(env: DreamVectorEnv, chunk: int) -> DreamCore:
    """The env's core, if fine-tuning can run on it.

    Raises:
        ValueError: numpy arrays, another autoreset mode, other chunks or observations; the message has the mend.
    """
    inner = env.unwrapped
    if not isinstance(inner, DreamVectorEnv) or inner.array != "torch":
        raise ValueError("fine-tuning needs a vector env of dreamgym with tensors: gym.make_vec(..., array='torch')")
    if inner.metadata["autoreset_mode"] is not AutoresetMode.SAME_STEP:
        raise ValueError("fine-tuning needs autoreset_mode='same_step'")
    core: DreamCore = inner.core
    if core.chunk != chunk:
        raise ValueError(f"the policy decides on {chunk} actions: make the env with chunk={chunk}, not {core.chunk}")
    if core.options.normalize_actions:
        raise ValueError("the policy acts within the robot's own bounds: make the env without normalize_actions")
    if core.reader.mode != "features":
        raise ValueError(f"the policy reads features: make the env with obs='features', not {core.reader.mode!r}")
    return core


def is_real(core: DreamCore) -> bool:
    """Whether its steps are a simulator's."""
    return isinstance(core, TwinCore)


@torch.no_grad()
def collect(
    env: DreamVectorEnv, policy: ChunkPolicy, out: Rollout, generator: torch.Generator, seed: int
) -> dict[str, float]:
    """Resets all envs and fills ``out`` with what the exploring policy does.

    Returns:
        See `EpisodeSums.summary`, and "steps": env steps, every chunk counted whole (an episode that ends inside its
        last chunk has executed up to ``chunk - 1`` fewer).
    """
    core = check_env(env, policy.config.chunk)
    chunk, horizon, num_envs = policy.config.chunk, core.rules.horizon, core.num_envs
    episodes = EpisodeSums(num_envs, core.device)
    obs, _ = env.reset(seed=seed)
    elapsed = torch.zeros(num_envs, device=core.device)
    for s in range(len(out.reward)):
        out.features[s], out.elapsed[s] = as_features(obs, policy.config.feature_dim), elapsed / horizon
        noise = policy.draw_noise(num_envs, generator, explore=True)
        policy.sample_chain(out.features[s], noise, out.chain[:, s], out.log_prob[:, s])
        obs, reward, terminated, truncated, infos = env.step(policy.to_actions(out.chain[-1, s]))
        done = terminated | truncated
        out.reward[s], out.done[s] = reward, done
        out.valued[s] = _is_valued(truncated, infos)
        if out.last is not None and "final_obs" in infos:
            out.last[s] = as_features(infos["final_obs"], policy.config.feature_dim)
        episodes.add(reward, done, infos)
        elapsed = (elapsed + chunk).masked_fill(done, 0.0)
    out.next_features, out.next_elapsed = as_features(obs, policy.config.feature_dim).clone(), elapsed / horizon
    return {**episodes.summary(), "steps": out.reward.numel() * chunk}


def _is_valued(truncated: Tensor, infos: dict[str, Any]) -> Tensor:
    """[B] bool: cut off by the horizon alone: where the model is unsure of a state, its value means nothing."""
    last = infos.get("final_info")
    if last is None:
        return torch.zeros_like(truncated)
    valued = truncated & last["horizon_reached"] & ~last["model_failure"]
    return valued & ~last["uncertainty_exceeded"] if "uncertainty_exceeded" in last else valued


@torch.no_grad()
def score(
    env: DreamVectorEnv, policy: ChunkPolicy, generator: torch.Generator, seed: int, rounds: int = 1
) -> dict[str, float]:
    """One episode of every env, ``rounds`` times, under the policy as it acts; returns what `collect` does."""
    core, config = check_env(env, policy.config.chunk), policy.config
    decisions = -(-core.rules.horizon // config.chunk)
    episodes = EpisodeSums(core.num_envs, core.device)
    for number in range(rounds):
        counted = torch.zeros(core.num_envs, dtype=torch.bool, device=core.device)
        obs, _ = env.reset(seed=seed + number)
        for _ in range(decisions):
            noise = policy.draw_noise(core.num_envs, generator)
            flat = policy.decide(as_features(obs, config.feature_dim), noise)
            obs, reward, terminated, truncated, infos = env.step(policy.to_actions(flat))
            done = terminated | truncated
            # One episode an env: those that end early would otherwise count more often.
            episodes.add(reward.masked_fill(counted, 0.0), done & ~counted, infos)
            counted = counted | done
    return {**episodes.summary(), "steps": rounds * decisions * core.num_envs * config.chunk}
