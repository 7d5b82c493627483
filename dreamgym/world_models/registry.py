"""Families by name. A family of your own: `register_family("mine", "my_package.model:MyModel")`, or, so that every
program that opens its checkpoints finds it, an entry point of your package:

    [project.entry-points."dreamgym.families"]
    mine = "my_package.model:MyModel"
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from dreamgym.world_models.base import WorldModel

GROUP = "dreamgym.families"
# One line a family; the module is imported when the family is first asked for.
_FAMILIES: dict[str, str] = {
    "rssm": "dreamgym.world_models.families.rssm.model:RSSM",
    "mlp": "dreamgym.world_models.families.mlp.model:MLPWorldModel",
}


def register_family(name: str, target: str | type[WorldModel]) -> None:
    """Makes a family known under ``name``.

    Args:
        name: what `spec.family` and checkpoints call it.
        target: "module:Class", imported when first needed, or the class. The class has
            ``from_config(config: dict) -> WorldModel``, which reads the JSON form of its config.

    Raises:
        ValueError: the name already stands for something else, or the target is not of that form.
    """
    if not isinstance(target, str):
        target = _direct(target)
    elif target.count(":") != 1:
        raise ValueError(f"family {name!r}: expected a target 'module:Class', got {target!r}")
    if _FAMILIES.get(name, target) != target:
        raise ValueError(f"family {name!r} is already registered as {_FAMILIES[name]!r}; choose another name")
    _FAMILIES[name] = target


def family_names() -> tuple[str, ...]:
    """Names of all registered families."""
    return tuple(_FAMILIES)


def family(name: str) -> type[WorldModel]:
    """The class of a family.

    Raises:
        ValueError: the family is unknown.
    """
    if name not in _FAMILIES and (installed := entry_points(group=GROUP, name=name)):
        register_family(name, next(iter(installed)).value)
    if name not in _FAMILIES:
        raise ValueError(
            f"unknown world-model family {name!r}: known are {sorted(_FAMILIES)}; import the package that defines it, "
            f"call dreamgym.world_models.register_family first, or give the package an entry point {GROUP!r}"
        )
    target = _FAMILIES[name]
    if target in _CLASSES:
        return _CLASSES[target]
    module, _, attribute = target.partition(":")
    found: type[WorldModel] = getattr(import_module(module), attribute)
    return found


def build(name: str, config: dict[str, Any]) -> WorldModel:
    """A new model of a family from the JSON form of its config."""
    cls: Any = family(name)
    model: WorldModel = cls.from_config(config)
    return model


_CLASSES: dict[str, type[WorldModel]] = {}


def _direct(cls: type[WorldModel]) -> str:
    """A target for a class that may not be importable by name (defined in a script or a test)."""
    target = f"{cls.__module__}:{cls.__qualname__}"
    _CLASSES[target] = cls
    return target
