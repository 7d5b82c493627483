"""World models: the contract (`base`), the registry of families, and one room a family."""

from dreamgym.world_models.base import WorldModel
from dreamgym.world_models.registry import build, family, family_names, register_family

__all__ = ["WorldModel", "build", "family_names", "family", "register_family"]
