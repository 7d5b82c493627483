"""Reward models by kind: one line each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dreamgym.rewards.base import RewardModel
from dreamgym.rewards.decoded import DecodedStateReward
from dreamgym.rewards.success import SuccessClassifier

REWARDS: dict[str, Callable[[dict[str, Any]], RewardModel]] = {
    SuccessClassifier.kind: SuccessClassifier.from_config,
    DecodedStateReward.kind: DecodedStateReward.from_config,
}


def build_reward(kind: str, config: dict[str, Any]) -> RewardModel:
    """An untrained reward model from its kind and what its `to_config` gave (through JSON).

    Raises:
        ValueError: no such kind, or a config that does not fit it.
    """
    if kind not in REWARDS:
        raise ValueError(f"reward kind must be one of {list(REWARDS)}, got {kind!r}; a newer dreamgym may know it")
    try:
        return REWARDS[kind](config)
    except (TypeError, KeyError) as error:
        raise ValueError(f"the config of reward {kind!r} does not fit it ({error}): {config}") from error
