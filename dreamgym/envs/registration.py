"""The env ids, registered when dreamgym is imported; what they name is imported when an env is made."""

from __future__ import annotations

import gymnasium as gym

_DREAM = {"entry_point": "dreamgym.envs.make:make_single", "vector_entry_point": "dreamgym.envs.make:make_vector"}
_REAL = {"entry_point": "dreamgym.envs.twin:make_single", "vector_entry_point": "dreamgym.envs.twin:make_vector"}

DREAMS = {"Dream-CALVIN-v0": {"checkpoint": "calvin_d"}, "Dream-PlayTable-v0": {"checkpoint": "playtable"}, "Dream-v0": {}}
REALS = {
    "Real-CALVIN-v0": {"simulator": {"id": "calvin", "kwargs": {"scene": "D"}}},
    "Real-PlayTable-v0": {"simulator": {"id": "calvin", "kwargs": {"scene": "playtable"}}},
}


def register_envs() -> None:
    """Registers every id of this library with Gymnasium; a second call changes nothing."""
    for ids, points in ((DREAMS, _DREAM), (REALS, _REAL)):
        for name, kwargs in ids.items():
            if name not in gym.registry:
                gym.register(id=name, kwargs=kwargs, disable_env_checker=True, **points)
