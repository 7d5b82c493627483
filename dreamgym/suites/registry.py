"""Suites by name: one line each. Those of installed packages are entry points of theirs; a script registers its own.

[project.entry-points."dreamgym.suites"]
mine = "my_package.suite:SUITE"
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points

from dreamgym.suites.base import Suite

GROUP = "dreamgym.suites"
_SUITES: dict[str, str | Suite] = {
    "calvin": "dreamgym.suites.calvin:SUITE",
    "kitchen": "dreamgym.suites.kitchen:SUITE",
    "libero": "dreamgym.suites.libero:SUITE",
    "metaworld": "dreamgym.suites.metaworld:SUITE",
    "pusht": "dreamgym.suites.pusht:SUITE",
    "robosuite": "dreamgym.suites.robosuite:SUITE",
    "robosuite_arms": "dreamgym.suites.robosuite.arms:SUITE",
}


def register_suite(suite: Suite) -> None:
    """Makes a suite known under its name.

    Raises:
        ValueError: the name already stands for another suite.
    """
    if _SUITES.get(suite.name, suite) != suite:
        raise ValueError(f"a suite {suite.name!r} is already registered; choose another name")
    _SUITES[suite.name] = suite


def suites() -> tuple[str, ...]:
    """Names of all suites: built in, registered, or brought by an installed package."""
    return tuple(dict.fromkeys([*_SUITES, *(e.name for e in entry_points(group=GROUP))]))


def suite(name: str) -> Suite:
    """The suite of that name.

    Raises:
        ValueError: there is none.
    """
    if name not in _SUITES and (installed := entry_points(group=GROUP, name=name)):
        _SUITES[name] = next(iter(installed)).value
    if name not in _SUITES:
        raise ValueError(
            f"unknown suite {name!r}: expected one of {list(suites())}, or register yours with register_suite (on the "
            "command line: --import FILE.py)"
        )
    target = _SUITES[name]
    if isinstance(target, str):
        module, _, attribute = target.partition(":")
        target = _SUITES[name] = getattr(import_module(module), attribute)
    assert isinstance(target, Suite)
    return target
