"""The env ids, registered when dreamgym is imported; what they name is imported when an env is made."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import gymnasium as gym

if TYPE_CHECKING:
    from dreamgym.envs.core.core import DreamCore

# Module and name of what makes a core for the ids of each kind.
_CORES = {f"dreamgym.envs.{m}:make_single": f"dreamgym.envs.{m}:make_core" for m in ("make", "twin")}
_DREAM: dict[str, Any] = {
    "entry_point": "dreamgym.envs.make:make_single",
    "vector_entry_point": "dreamgym.envs.make:make_vector",
}
_REAL: dict[str, Any] = {
    "entry_point": "dreamgym.envs.twin:make_single",
    "vector_entry_point": "dreamgym.envs.twin:make_vector",
}

DREAMS: dict[str, dict[str, Any]] = {
    "Dream-CALVIN-v0": {"checkpoint": "calvin_d"},
    "Dream-LIBERO-v0": {"checkpoint": "libero"},
    "Dream-PlayTable-v0": {"checkpoint": "playtable"},
    "Dream-Metaworld-v0": {"checkpoint": "metaworld"},
    "Dream-PushT-v0": {"checkpoint": "pusht"},
    "Dream-Robosuite-v0": {"checkpoint": "robosuite"},
    "Dream-v0": {},
}
REALS: dict[str, dict[str, Any]] = {
    "Real-CALVIN-v0": {"simulator": {"id": "calvin", "kwargs": {"scene": "D"}}},
    "Real-PlayTable-v0": {"simulator": {"id": "calvin", "kwargs": {"scene": "playtable"}}},
    "Real-Kitchen-v0": {"simulator": {"id": "kitchen", "kwargs": {}}},
    "Real-LIBERO-v0": {"simulator": {"id": "libero", "kwargs": {}}},
    "Real-Metaworld-v0": {"simulator": {"id": "metaworld", "kwargs": {}}},
    "Real-PushT-v0": {"simulator": {"id": "pusht", "kwargs": {}}},
    "Real-Robosuite-Arms-v0": {"simulator": {"id": "robosuite_arms", "kwargs": {}}},
    "Real-Robosuite-v0": {"simulator": {"id": "robosuite", "kwargs": {}}},
    "Real-v0": {},
}


def register_envs() -> None:
    """Registers every id of this library with Gymnasium; a second call changes nothing."""
    for ids, points in ((DREAMS, _DREAM), (REALS, _REAL)):
        for name, kwargs in ids.items():
            if name not in gym.registry:
                gym.register(id=name, kwargs=kwargs, disable_env_checker=True, **points)


def make_core_by_id(id: str, **kwargs: Any) -> DreamCore:
    """The core behind an env id, for faces that Gymnasium does not make.

    Raises:
        ValueError: not an id of this library.
    """
    spec = gym.registry.get(id)
    if spec is None or spec.entry_point not in _CORES:
        ours = [name for name, s in gym.registry.items() if s.entry_point in _CORES]
        raise ValueError(f"{id!r} is not a dream or a twin; those registered are {ours}")
    module, name = _CORES[spec.entry_point].split(":")
    core: DreamCore = getattr(import_module(module), name)(**{**spec.kwargs, **kwargs})
    return core
