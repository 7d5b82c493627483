"""What is registered, written into the help of commands: ``{suites}`` in a docstring becomes the suites' names."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import is_dataclass
from typing import Any, get_type_hints


def _suites() -> str:
    from dreamgym.suites.registry import suites

    return ", ".join(suites())


def _of_suites(told: Callable[[Any], str]) -> str:
    from dreamgym.suites.registry import suite, suites

    words = ((name, told(suite(name))) for name in suites())
    return "; ".join(f"{name} {value}" for name, value in words if value)


def _families() -> str:
    from dreamgym.world_models.registry import family_names

    return ", ".join(family_names())


LISTS: dict[str, Callable[[], str]] = {
    "suites": _suites,
    "families": _families,
    "horizons": lambda: _of_suites(lambda suite: str(suite.horizon)),
    "robots": lambda: _of_suites(lambda suite: ", ".join(suite.robots)),
    "kinds": lambda: _of_suites(lambda suite: ", ".join(suite.collectors)),
}
"""By the word in braces."""

_WORD = re.compile(r"\{(" + "|".join(LISTS) + r")\}")


def fill_help(call: Callable[..., Any]) -> None:
    """Fills the lists into the docstrings of a command and of those of its arguments that are dataclasses."""
    options = [kind for name, kind in get_type_hints(call).items() if name != "return" and is_dataclass(kind)]
    for place in (call, *options):
        if place.__doc__ is not None:
            place.__doc__ = _WORD.sub(lambda found: LISTS[found[1]](), place.__doc__)
