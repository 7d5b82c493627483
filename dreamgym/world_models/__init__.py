"""World models.

The room::

    base.py       the contract of every family, `WorldModel`
    contract.py   whether a model keeps it
    recipe.py     the contract of how a family is trained, `Recipe`
    registry.py   families by name
    history.py    how a model begins from real frames
    instructions.py  what a model is told of an episode
    filtering.py  a model along recorded episodes, filtered and imagined
    probe.py      simulator state from features
    families/     a folder a family: config, model, loss, recipe
"""

from dreamgym.world_models.base import WorldModel
from dreamgym.world_models.registry import build, family, family_names, register_family

__all__ = ["WorldModel", "build", "family_names", "family", "register_family"]
