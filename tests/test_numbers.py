"""No config of the library takes NaN, an infinity, or a seed that no generator takes: comparisons let NaN pass."""

from __future__ import annotations

import dataclasses
import importlib
import math
import pkgutil
import typing
from types import ModuleType

import pytest

import dreamgym

pytest.importorskip("accelerate")
pytest.importorskip("diffusers")
pytest.importorskip("transformers")

import dreamgym_agents

ROOMS = ("training", "rewards", "evaluation", "world_models", "envs")
NAMES = ("Config", "Training", "Windows")


def configs() -> dict[str, type]:
    """Dataclasses of the library that are settings and have a default for each."""
    found: dict[str, type] = {}
    for room in (*(f"dreamgym.{name}" for name in ROOMS), dreamgym_agents.__name__):
        package = importlib.import_module(room)
        for module in pkgutil.walk_packages(package.__path__, f"{room}."):
            for value in vars(_module(module.name)).values():
                if isinstance(value, type) and dataclasses.is_dataclass(value) and value.__name__.endswith(NAMES):
                    found[f"{value.__module__}.{value.__qualname__}"] = value
    return {name: config for name, config in sorted(found.items()) if _has_defaults(config)}


def _module(name: str) -> ModuleType:
    """The module; an empty one in place of that which only lerobot imports."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != "lerobot":
            raise
        return ModuleType(name)


def _has_defaults(config: type) -> bool:
    missing = dataclasses.MISSING
    return all(
        f.default is not missing or f.default_factory is not missing for f in dataclasses.fields(config) if f.init
    )


def test_no_config_takes_nan_or_a_seed_below_0() -> None:
    assert dreamgym.__version__
    taken, asked = [], 0
    for name, config in configs().items():
        kinds = typing.get_type_hints(config)
        for field in dataclasses.fields(config):
            kind = kinds[field.name]
            odd = [math.nan, math.inf] if kind is float or float in typing.get_args(kind) else []
            for value in [*odd, *([-1, 2**63] if field.name == "seed" else [])]:
                asked += 1
                try:
                    config(**{field.name: value})
                except (ValueError, TypeError):  # TypeError: of a tuple of floats
                    continue
                taken.append(f"{name}.{field.name} = {value}")
    assert asked > 100
    assert not taken, taken
