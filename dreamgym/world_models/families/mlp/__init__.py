"""Ensembles of multilayer perceptrons on low-dimensional observations (WARPD, section 4)."""

from dreamgym.world_models.families.mlp.config import MLPConfig
from dreamgym.world_models.families.mlp.model import MLPWorldModel

__all__ = ["MLPConfig", "MLPWorldModel"]
