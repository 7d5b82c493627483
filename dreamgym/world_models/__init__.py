"""World models: the contract (`base`), the registry of families, and one room a family."""

from dreamgym.world_models.base import WorldModel
from dreamgym.world_models.registry import build, families, family, register_family

__all__ = ["WorldModel", "build", "families", "family", "register_family"]
