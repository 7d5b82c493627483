"""Rewards: what turns a transition of a world model into a number and a probability of success.

base.py      the contract, `RewardModel`
success.py   the latent success classifier (DiWA S.2.3)
decoded.py   a suite's task rules on decoded state
function.py  a function of the caller, or no reward; not saved in checkpoints
goal.py      closeness to a goal that the caller shows; not saved either
shaped.py    a suite's dense reward on decoded state, for learners that need one; not saved either
samples.py   what the classifier is trained on: features of frames with labels
encode.py    features of recorded episodes, filtered and imagined
fit.py       training and calibration of the classifier
registry.py  `build_reward(kind, config)`
"""

from __future__ import annotations

from dreamgym.rewards.base import Memory, RewardModel
from dreamgym.rewards.decoded import DecodedStateReward
from dreamgym.rewards.function import FunctionReward, NoReward
from dreamgym.rewards.goal import GoalReward
from dreamgym.rewards.registry import build_reward
from dreamgym.rewards.shaped import ShapedReward
from dreamgym.rewards.success import SuccessClassifier, SuccessConfig

__all__ = [
    "DecodedStateReward",
    "FunctionReward",
    "GoalReward",
    "Memory",
    "NoReward",
    "RewardModel",
    "ShapedReward",
    "SuccessClassifier",
    "SuccessConfig",
    "build_reward",
]
