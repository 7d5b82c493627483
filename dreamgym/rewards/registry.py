"""Reward models by kind: one line each; a script registers its own with `register_reward`. Those of other packages are
entry points of theirs, what reads their config:

[project.entry-points."dreamgym.rewards"]
mine = "my_package.reward:MyReward.from_config"
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any

from dreamgym.rewards.base import RewardModel
from dreamgym.rewards.decoded import DecodedStateReward
from dreamgym.rewards.success import SuccessClassifier

GROUP = "dreamgym.rewards"
BUILT_IN = (SuccessClassifier.kind, DecodedStateReward.kind)
REWARDS: dict[str, Callable[[dict[str, Any]], RewardModel]] = {
    SuccessClassifier.kind: SuccessClassifier.from_config,
    DecodedStateReward.kind: DecodedStateReward.from_config,
}


def register_reward(kind: str, read: Callable[[dict[str, Any]], RewardModel]) -> None:
    """Makes a kind of reward known, so that checkpoints which hold one can be opened.

    Args:
        kind: what its class calls itself.
        read: makes an untrained one from what its `to_config` gave (through JSON).

    Raises:
        ValueError: dreamgym has a reward of that kind.
    """
    if kind in BUILT_IN:
        raise ValueError(f"a reward of kind {kind!r} comes with dreamgym; choose another name")
    REWARDS[kind] = read


def build_reward(kind: str, config: dict[str, Any]) -> RewardModel:
    """An untrained reward model from its kind and what its `to_config` gave (through JSON).

    Raises:
        ValueError: no such kind, or a config that does not fit it.
    """
    if kind not in REWARDS and (installed := entry_points(group=GROUP, name=kind)):
        REWARDS[kind] = next(iter(installed)).load()
    if kind not in REWARDS:
        raise ValueError(
            f"reward kind must be one of {list(REWARDS)}, got {kind!r}: a newer dreamgym may know it, or the package "
            f"that defines it, with an entry point {GROUP!r}"
        )
    try:
        return REWARDS[kind](config)
    except (TypeError, KeyError) as error:
        raise ValueError(f"the config of reward {kind!r} does not fit it ({error}): {config}") from error
