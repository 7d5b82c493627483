"""Checks for your own world models and envs, and four small worlds with exact dynamics to try things on.

check_world_model(model)        the contract: shapes, determinism, independence of the batch, no hidden state
check_vector_env(make)          a vector env: seeds, independence, autoreset, horizon, fresh arrays
point_mass                      a world whose dynamics are exact, its simulator, reward, starts and checkpoint

and three more such worlds, one for each thing that a family may do otherwise:

joint_point                     predicts the frames of a chunk jointly, in one sampling
two_robots                      two robots with actions of their own, five control actions a frame
instructed_point                driven by instructions, a clip of frames a step; its twin needs an executor
"""

from dreamgym.testing.instructed_point import ClipFollower, InstructedPointModel, instructed_point_checkpoint
from dreamgym.testing.joint_point import JointPointModel, joint_point_checkpoint
from dreamgym.testing.point_mass import (
    PointMassConfig,
    PointMassEnv,
    PointMassModel,
    PointMassReward,
    point_mass_checkpoint,
    point_mass_starts,
)
from dreamgym.testing.points import PointConfig
from dreamgym.testing.two_robots import TwoRobotsModel, two_robots_checkpoint
from dreamgym.testing.vector_env import check_vector_env
from dreamgym.world_models.contract import check_world_model

__all__ = [
    "ClipFollower",
    "InstructedPointModel",
    "JointPointModel",
    "PointConfig",
    "PointMassConfig",
    "PointMassEnv",
    "PointMassModel",
    "PointMassReward",
    "TwoRobotsModel",
    "check_vector_env",
    "check_world_model",
    "instructed_point_checkpoint",
    "joint_point_checkpoint",
    "point_mass_checkpoint",
    "point_mass_starts",
    "two_robots_checkpoint",
]
