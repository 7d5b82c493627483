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
    "Dream-PlayTable-v0": {"checkpoint": "playtable"},
    # Horizons: what the suites' scripts need, with half as much again (Metaworld 91 steps at most, robosuite 250).
    "Dream-Metaworld-v0": {"checkpoint": "metaworld", "horizon": 150},
    "Dream-PushT-v0": {"checkpoint": "pusht", "horizon": 300},
    "Dream-Robosuite-v0": {"checkpoint": "robosuite", "horizon": 400},
    "Dream-v0": {},
}
HORIZON = 64  # of an id that names none: what the tasks of a play table need
REALS: dict[str, dict[str, Any]] = {
    "Real-CALVIN-v0": {"simulator": {"id": "calvin", "kwargs": {"scene": "D"}}},
    "Real-PlayTable-v0": {"simulator": {"id": "calvin", "kwargs": {"scene": "playtable"}}},
    "Real-Metaworld-v0": {"simulator": {"id": "metaworld", "kwargs": {}}, "horizon": 500},
    "Real-PushT-v0": {"simulator": {"id": "pusht", "kwargs": {}}, "horizon": 300},
    "Real-Robosuite-v0": {"simulator": {"id": "robosuite", "kwargs": {}}, "horizon": 500},
    "Real-v0": {},
}


def usual_horizon(suite: str | None) -> int:
    """Control steps of an episode in the dream of a suite ("metaworld", ...) by its id, or `HORIZON`."""
    own = next((kwargs for kwargs in DREAMS.values() if kwargs.get("checkpoint") == suite), {})
    return int(own.get("horizon", HORIZON))


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
