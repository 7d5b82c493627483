"""What a diffusion and a Gaussian policy share: chunks under way, scaling, and the face that fine-tuning needs."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from dreamgym_agents.common.chunks import action_at, are_due, renewed
from dreamgym_agents.diffusion_ppo.config import PolicyConfig

Carry = dict[str, Tensor]
"""The chunk under way: "chunk" [B, T, A], executable actions, and "next" int64 [B], which of them comes next."""

LOG_2PI = math.log(2 * math.pi)


class ChunkPolicy(nn.Module, ABC):
    """A policy on world-model features that decides on chunks of actions; satisfies `dreamgym.types.Policy`.

    It executes its chunk itself, the actions of one frame a call, and tells evaluation of no longer ``chunk``: an env
    that was reset in the middle of the others' chunks decides at once, where evaluation would have it wait for the next
    decision of all, and with that every later draw of noise would be another.

    A decision is a *chain* a^{K'}, ..., a^0 of flattened chunks in scaled actions, each step of which has an exact
    Gaussian likelihood. The steps are those that can be tuned; a^0 is the decision.

    Attributes:
        kind: name of the policy in checkpoints.
        config: sizes.
        base: the cloned network.
        tuned: its tunable copy, or None before fine-tuning.
    """

    kind: ClassVar[str]
    config: PolicyConfig
    base: nn.Module
    tuned: nn.Module | None
    centre: Tensor
    reach: Tensor

    def __init__(self, config: PolicyConfig) -> None:
        super().__init__()
        self.config = config
        low, high = torch.tensor(config.action_low), torch.tensor(config.action_high)
        self.register_buffer("centre", (low + high) / 2, persistent=False)
        self.register_buffer("reach", (high - low) / 2, persistent=False)

    # ------------------------------------------------------------------ the Policy protocol

    @property
    def chunk(self) -> int | None:
        """Control actions that `act` returns, those of one frame; None where a frame spans one."""
        per_frame = self.config.actions_per_frame
        return None if per_frame == 1 else per_frame

    def start(self, num_envs: int, generator: torch.Generator | None = None) -> Carry:
        """No chunk under way in any env."""
        config = self.config
        chunk = self.centre.expand(num_envs, config.chunk, config.action_dim)
        return {"chunk": chunk, "next": torch.full((num_envs,), config.chunk, device=self.centre.device)}

    @torch.no_grad()
    def act(
        self, obs: Any, carry: Carry, fresh: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Carry]:
        """The next frame's actions of the chunk under way; a new chunk where it is used up or the env was just reset.

        Noise is drawn for all envs at every step, needed or not, so that what one env draws never depends on when
        another was reset.

        Args:
            obs: features [B, ...], or a dict with "features" (``obs="dict"``).
            carry: what `start` or the last call gave.
            fresh: [B] bool.
            generator: source of the noise; on its device.

        Returns:
            Actions [B, A] within the bounds, or [B, a, A] where a frame spans a > 1 of them, and the new carry.
        """
        features = as_features(obs, self.config.feature_dim)
        noise = self.draw_noise(len(features), generator)
        due = are_due(fresh, carry["next"], self.config.chunk)
        place = torch.where(due, 0, carry["next"])
        chunk = renewed(carry["chunk"], due, lambda rows: self.to_actions(self.decide(features[rows], noise[:, rows])))
        per_frame = self.config.actions_per_frame
        frames = chunk if per_frame == 1 else chunk.unflatten(1, (-1, per_frame))
        return action_at(frames, place // per_frame), {"chunk": chunk, "next": place + per_frame}

    # ------------------------------------------------------------------ scaling

    def to_actions(self, flat: Tensor) -> Tensor:
        """[..., D] scaled to executable actions [..., T, A], clipped to the bounds."""
        scaled = flat.unflatten(-1, (self.config.chunk, self.config.action_dim))
        return scaled.clamp(-1, 1) * self.reach + self.centre

    def from_actions(self, actions: Tensor) -> Tensor:
        """Chunks of actions [..., T, A] to [..., D] in [-1, 1]."""
        return ((actions - self.centre) / self.reach).flatten(-2)

    # ------------------------------------------------------------------ what a kind provides

    @abstractmethod
    def draw_noise(self, num: int, generator: torch.Generator | None = None, explore: bool = False) -> Tensor:
        """All the noise that ``num`` decisions need, [N, num, D]; ``explore``: for `sample_chain`."""

    @abstractmethod
    def decide(self, features: Tensor, noise: Tensor) -> Tensor:
        """Decisions [B, D] as the policy acts when it does not explore."""

    @abstractmethod
    def clone_loss(self, features: Tensor, chunk: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """The cloning loss, a scalar, of features [B, Z] and recorded chunks [B, D] in [-1, 1]."""

    @abstractmethod
    def sample_chain(
        self, features: Tensor, noise: Tensor, chain: Tensor | None = None, log_prob: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Decides while exploring.

        Args:
            features: [B, Z].
            noise: what `draw_noise` gave with ``explore``.
            chain, log_prob: memory to write into.

        Returns:
            The chain [K' + 1, B, D] (a^{K'} first) and the log-probability of each of its steps, [K', B].
        """

    @abstractmethod
    def log_prob(self, features: Tensor, chain: Tensor) -> Tensor:
        """Log-probability [K', B] of the steps of chains [K' + 1, B, D] under the tuned policy, with gradients."""

    @abstractmethod
    def frozen_chain(self, features: Tensor, first: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Chains [K' + 1, B, D] that the frozen, cloned policy makes of a^{K'} = ``first`` [B, D]."""

    @property
    @abstractmethod
    def num_steps(self) -> int:
        """K."""

    # ------------------------------------------------------------------ tuning

    def tunable(self) -> list[nn.Parameter]:
        """The parameters that fine-tuning changes.

        Raises:
            ValueError: nothing can be tuned yet.
        """
        if self.tuned is None:
            raise ValueError("this policy has no tunable network: call for_tuning(K') first")
        return list(self.tuned.parameters())

    def for_tuning(self, tuned_steps: int) -> Self:
        """A copy whose last ``tuned_steps`` denoising steps (at most K) have a tunable network, the rest frozen.

        Raises:
            ValueError: this policy was tuned already.
        """
        if self.tuned is not None:
            raise ValueError("this policy was tuned already: go on with its run, or begin from the cloned policy")
        made = type(self)(replace(self.config, tuned_steps=min(tuned_steps, self.num_steps)))
        own = self.base.state_dict()
        made.load_state_dict({f"{part}.{k}": v for part in ("base", "tuned") for k, v in own.items()})
        made.to(self.centre.device).requires_grad_(False)
        for parameter in made.tunable():
            parameter.requires_grad_(True)
        return made


def as_features(obs: Any, feature_dim: int) -> Tensor:
    """[B, Z] from what an env's face returns.

    Raises:
        ValueError: not the features that the policy was made for.
    """
    features = obs.get("features") if isinstance(obs, dict) else obs
    features = torch.as_tensor(features).flatten(1) if features is not None else None
    if features is None or features.shape[1] != feature_dim:
        got = f"a dict of {list(obs)}" if features is None else f"[{len(features)}, {features.shape[1]}]"
        raise ValueError(
            f"this policy reads features [B, {feature_dim}], got {got}: make the env with obs='features' (or 'dict') "
            "and the world model that the policy was cloned on"
        )
    return features


def gaussian_log_prob(x: Tensor, mean: Tensor, std: Tensor | float) -> Tensor:
    """Log N(x; mean, std^2 I), summed over the last axis; a tensor ``std`` broadcasts."""
    std = torch.as_tensor(std, device=x.device)
    return (-0.5 * ((x - mean) / std) ** 2 - std.log() - 0.5 * LOG_2PI).sum(-1)
