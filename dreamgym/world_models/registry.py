"""Families by name. A family of your own: `register_family("mine", "my_package.model:MyModel")`, or, so that every
program that opens its checkpoints finds it, an entry point of your package:

    [project.entry-points."dreamgym.families"]
    mine = "my_package.model:MyModel"

Its recipe says how it is trained (`dreamgym.world_models.recipe`): ``RECIPE`` in ``my_package.recipe``, the module
beside the model's, or the class's attribute ``recipe``.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from dreamgym.world_models.base import WorldModel

if TYPE_CHECKING:
    from dreamgym.suites.facts import StoreFacts
    from dreamgym.world_models.recipe import Recipe

GROUP = "dreamgym.families"
# One line a family; the module is imported when the family is first asked for.
_FAMILIES: dict[str, str] = {
    "rssm": "dreamgym.world_models.families.rssm.model:RSSM",
    "latent_diffusion": "dreamgym.world_models.families.latent_diffusion.model:LatentDiffusion",
    "mlp": "dreamgym.world_models.families.mlp.model:MLPWorldModel",
    "latent_action": "dreamgym.world_models.families.latent_action.model:LatentActionModel",
    "video_cascade": "dreamgym.world_models.families.video_cascade.model:VideoCascade",
}


def register_family(name: str, target: str | type[WorldModel], recipe: Recipe | None = None) -> None:
    """Makes a family known under ``name``.

    Args:
        name: what `spec.family` and checkpoints call it.
        target: "module:Class", imported when first needed, or the class. The class has
            ``from_config(config: dict) -> WorldModel``, which reads the JSON form of its config.
        recipe: how the family is trained, where it stands neither beside the model nor in the class.

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
    if recipe is not None:
        _RECIPES[name] = recipe


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
            f"call dreamgym.world_models.register_family first (on the command line: --import FILE.py), or give the "
            f"package an entry point {GROUP!r}"
        )
    target = _FAMILIES[name]
    if target in _CLASSES:
        return _CLASSES[target]
    module, _, attribute = target.partition(":")
    found: type[WorldModel] = getattr(import_module(module), attribute)
    return found


def recipe(name: str) -> Recipe:
    """How a family is trained.

    Raises:
        ValueError: the family is unknown, or has no recipe.
    """
    cls = family(name)
    found = _RECIPES.get(name, getattr(cls, "recipe", None))
    if found is None:
        beside = f"{cls.__module__.rpartition('.')[0]}.recipe"
        try:
            found = getattr(import_module(beside), "RECIPE", None)
        except ModuleNotFoundError as missing:
            if missing.name is None or not f"{beside}.".startswith(f"{missing.name}."):
                raise
    if found is None:
        raise ValueError(
            f"family {name!r} has no recipe, so it cannot be trained from a store: give {cls.__name__} an attribute "
            "'recipe' (a dreamgym.world_models.recipe.Recipe), or call register_family(..., recipe=...)"
        )
    made: Recipe = found
    return made


def suggest(facts: StoreFacts) -> str:
    """The family that a store like this is trained with where none is named.

    Raises:
        ValueError: none suits it.
    """
    for name in _FAMILIES:
        try:
            suits = recipe(name).suits(facts)
        except (ValueError, ImportError):  # a family without a recipe, or whose extra is missing
            continue
        if suits:
            return name
    raise ValueError(f"no family suits the sensors {dict(facts.sensors)}: name one with --family")


def build(name: str, config: dict[str, Any]) -> WorldModel:
    """A new model of a family from the JSON form of its config."""
    cls: Any = family(name)
    model: WorldModel = cls.from_config(config)
    return model


_CLASSES: dict[str, type[WorldModel]] = {}
_RECIPES: dict[str, Recipe] = {}


def _direct(cls: type[WorldModel]) -> str:
    """A target for a class that may not be importable by name (defined in a script or a test)."""
    target = f"{cls.__module__}:{cls.__qualname__}"
    _CLASSES[target] = cls
    return target
