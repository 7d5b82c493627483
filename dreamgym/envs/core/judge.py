"""Who succeeded, who ends and why: the rules of an episode, as pure functions of a step's scores."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from dreamgym.types import State


@dataclass(frozen=True)
class Rules:
    """How long an episode lasts, what pays and what ends it.

    Attributes:
        reward: "success", "probability", "log_probability" or "shaped".
        horizon: control actions.
        uncertainty_limit: truncate above it; None: never.
    """

    reward: str
    horizon: int
    uncertainty_limit: float | None

    @property
    def highest_uncertainty(self) -> float:
        """The limit, or infinity."""
        return math.inf if self.uncertainty_limit is None else self.uncertainty_limit


class Verdict(NamedTuple):
    """One frame's outcome, tensors [B], none shared with another field.

    ``model_failure`` None means all false; ``uncertainty`` and ``uncertainty_exceeded`` None: not asked for; ``quiet``:
    it is known that no env ended.
    """

    reward: Tensor
    terminated: Tensor
    truncated: Tensor
    is_success: Tensor
    success_probability: Tensor
    horizon_reached: Tensor
    uncertainty: Tensor | None
    uncertainty_exceeded: Tensor | None
    model_failure: Tensor | None
    quiet: bool = False

    def info(self) -> dict[str, Tensor]:
        """What `DreamCore.step` reports, without the task."""
        info = {
            "is_success": self.is_success,
            "success_probability": self.success_probability,
            "horizon_reached": self.horizon_reached,
            "model_failure": torch.zeros_like(self.is_success) if self.model_failure is None else self.model_failure,
        }
        if self.uncertainty is not None:
            info["uncertainty"] = self.uncertainty
        if self.uncertainty_exceeded is not None:
            info["uncertainty_exceeded"] = self.uncertainty_exceeded
        return info

    def where_not(self, frozen: Tensor, last: Verdict) -> Verdict:
        """This verdict, but ``last`` where ``frozen`` is true, and nothing paid there."""

        def pick(new: Tensor | None, old: Tensor | None) -> Tensor | None:
            if new is None:
                return None if old is None else old & frozen
            return torch.where(frozen, torch.zeros_like(new) if old is None else old, new)

        picked = Verdict(*map(pick, self[:-1], last[:-1]))  # type: ignore[arg-type]
        return picked._replace(reward=self.reward.masked_fill(frozen, 0.0))

    def tensors(self) -> dict[str, Tensor]:
        """The fields that hold a tensor; `from_tensors` reads them back."""
        return {k: v for k, v in self._asdict().items() if isinstance(v, Tensor)}

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor]) -> Verdict:
        """What `tensors` gave."""
        return cls(*(tensors.get(field) for field in cls._fields[:-1]))  # type: ignore[arg-type]

    def copy(self) -> Verdict:
        """A deep copy."""
        return Verdict(*(None if v is None else v.clone() for v in self[:-1]))  # type: ignore[arg-type]


def judge(
    rules: Rules,
    reward: Tensor,
    probability: Tensor,
    success: Tensor,
    achieved: Tensor | None,
    uncertainty: Tensor | None,
    failed: Tensor | None,
    horizon: Tensor,
) -> Verdict:
    """Applies the rules to one frame; every argument is [B].

    Args:
        rules: the episode's.
        reward: what the reward model pays.
        probability: what it gives the task for done.
        success: bool, the probability reached its threshold.
        achieved: bool, success at an earlier step of this episode; None where success ends it.
        uncertainty: or None.
        failed: bool, the model emitted NaN; None for nowhere.
        horizon: bool, the horizon is reached.
    """
    truncated, exceeded = horizon, None
    if failed is not None:
        reward, probability = reward.masked_fill(failed, 0.0), probability.masked_fill(failed, 0.0)
        success, truncated = success & ~failed, truncated | failed
        uncertainty = None if uncertainty is None else uncertainty.masked_fill(failed, torch.inf)
    if rules.uncertainty_limit is not None:
        assert uncertainty is not None
        exceeded = uncertainty > rules.uncertainty_limit
        truncated = truncated | exceeded
    if rules.reward == "success":
        reward, terminated = success.to(torch.float32), success.clone()
        truncated = truncated > success  # both are bool: truncated and not succeeded
    else:
        assert achieved is not None
        terminated, success = torch.zeros_like(success), success | achieved
        truncated = truncated.clone() if truncated is horizon else truncated
        reward = reward.clone() if reward is probability else reward
    return Verdict(reward, terminated, truncated, success, probability, horizon, uncertainty, exceeded, failed)


def nobody_ended(
    rules: Rules, reward: Tensor, probability: Tensor, achieved: Tensor, uncertainty: Tensor | None
) -> Verdict:
    """What `judge` gives for a frame at which no env ends, made at once; ``achieved`` counts this frame too."""
    # Like another tensor: naming shape, type and device takes three times as long.
    none = torch.zeros_like
    if rules.reward == "success":
        reward, success = none(probability), none(achieved)
    else:
        success = achieved.clone()
        reward = reward.clone() if reward is probability else reward
    exceeded = none(achieved) if rules.uncertainty_limit is not None else None
    terminated, truncated, horizon, failed = none(achieved), none(achieved), none(achieved), none(achieved)
    return Verdict(
        reward, terminated, truncated, success, probability, horizon, uncertainty, exceeded, failed, quiet=True
    )


def failures(features: Tensor, state: State, scores: list[Tensor]) -> Tensor:
    """[B] bool: NaN or infinity in features or scores, or NaN in the state (which may keep infinities of its own)."""
    finite = torch.isfinite(features.reshape(len(features), -1).sum(1))
    for score in scores:
        finite = finite & torch.isfinite(score)
    for value in state.values():
        if value.is_floating_point():
            finite = finite & ~torch.isnan(value.reshape(len(value), -1)).any(1)
    return ~finite


def surely_finite(state: State, scores: list[Tensor]) -> bool:
    """Whether all values are finite, from their sums (reads them: for the CPU). True is certain, False is not."""
    total = 0.0
    for value in (*state.values(), *scores):
        if value.is_floating_point():
            total += value.sum().item()
    return total - total == 0.0
