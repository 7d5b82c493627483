"""Checks for your own world models and envs, and a tiny world to try things on.

check_world_model(model)        the contract: shapes, determinism, independence of the batch, no hidden state
check_vector_env(make)          a vector env: seeds, independence, autoreset, horizon, fresh arrays
point_mass                      a world model whose dynamics are exact, its simulator, reward, starts and checkpoint
"""

from dreamgym.testing.point_mass import (
    PointMassConfig,
    PointMassEnv,
    PointMassModel,
    PointMassReward,
    point_mass_checkpoint,
    point_mass_starts,
)
from dreamgym.testing.vector_env import check_vector_env
from dreamgym.testing.world_model import check_world_model

__all__ = [
    "PointMassConfig",
    "PointMassEnv",
    "PointMassModel",
    "PointMassReward",
    "check_vector_env",
    "check_world_model",
    "point_mass_checkpoint",
    "point_mass_starts",
]
