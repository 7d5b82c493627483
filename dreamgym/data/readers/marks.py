"""Which rows of an episode are success: by a key, a threshold, the last rows, or a function."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

import numpy as np

from dreamgym.data.store import Episode

_COMPARE: Final[dict[str, Callable[[Any, float], Any]]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
_THRESHOLD = re.compile(r"(.+?)\s*(>=|<=|>|<)\s*([-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?)")
_FORMS: Final = "next.success (a key), reward>=0.9 (a threshold on one), last:5 (the last rows), or module:function"


@dataclass(frozen=True)
class SuccessRule:
    """Marks rows of episodes.

    Attributes:
        text: what was asked for; `success_rule` reads it back.
        key: the key of the data set that it looks at; None: no single one.
        judge: (the data set's episode, the one that is stored) -> bool [T].
    """

    text: str
    key: str | None
    judge: Callable[[Episode, Episode], Any]

    def marks(self, foreign: Episode, stored: Episode, next_row: frozenset[str] = frozenset()) -> np.ndarray:
        """Bool [T]: whether the observation of each row is success.

        Args:
            foreign: the episode under the data set's names.
            stored: the same as it is stored, under the store's names.
            next_row: keys whose row t tells of the observation at t + 1. The last row, whose next observation is not
                there, counts as success if what it leads to does.

        Raises:
            ValueError: the data set lacks the key, or the function does not return bool [T].
        """
        if self.key is not None and self.key not in foreign:
            raise ValueError(f"success by {self.text!r}: the dataset has no key {self.key!r}; it has {sorted(foreign)}")
        rows, found = len(stored["action"]), np.asarray(self.judge(foreign, stored))
        if found.ndim == 2 and found.shape[1] == 1:
            found = found[:, 0]
        if found.shape != (rows,) or found.dtype != np.bool_:
            raise ValueError(
                f"success by {self.text!r} is bool [{rows}], one for each row, got {found.dtype} {list(found.shape)}"
            )
        if self.key not in next_row:
            return found
        return np.concatenate([[False], found[:-1]]) | (found & (np.arange(rows) == rows - 1))


def success_rule(rule: str | SuccessRule | Callable[[Episode], Any]) -> SuccessRule:
    """Reads a rule.

    Args:
        rule: "KEY" (true or above 0.5), "KEY>=NUMBER" (also >, <=, <), "last:N" (the last N rows of every episode: for
            demonstrations), "module:function", or the function: (episode as it is stored: dict of arrays) -> bool [T].

    Raises:
        ValueError: nothing of these; no such module or function.
    """
    if isinstance(rule, SuccessRule):
        return rule
    if callable(rule):
        return _by_function(f"{rule.__module__}:{rule.__qualname__}", rule)
    if found := _THRESHOLD.fullmatch(rule):
        key, sign, number = found[1], _COMPARE[found[2]], float(found[3])
        return SuccessRule(rule, key, lambda foreign, stored: sign(foreign[key], number))
    name, colon, rest = rule.partition(":")
    if colon and name == "last":
        if not rest.isdigit() or int(rest) < 1:
            raise ValueError(f"success by the last rows is last:N with N of 1 or more, got {rule!r}")
        return SuccessRule(rule, None, lambda foreign, stored: _last(len(stored["action"]), int(rest)))
    if colon:
        return _by_function(rule, _load(rule))
    if re.search("[<>=]", rule):
        raise ValueError(f"success by a threshold is KEY>=NUMBER (or >, <=, <), got {rule!r}")
    if not rule:
        raise ValueError(f"success is marked by one of {_FORMS}; got nothing")
    return SuccessRule(rule, rule, lambda foreign, stored: np.asarray(foreign[rule]) > 0.5)


def _last(rows: int, count: int) -> np.ndarray:
    return np.arange(rows) >= rows - count


def _by_function(text: str, function: Callable[[Episode], Any]) -> SuccessRule:
    return SuccessRule(text, None, lambda foreign, stored: function(stored))


def _load(rule: str) -> Callable[[Episode], Any]:
    module, _, name = rule.partition(":")
    try:
        function: Callable[[Episode], Any] = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ValueError(
            f"success by {rule!r}: {error}; it is one of {_FORMS}, whose module is installed or named by --import"
        ) from error
    if not callable(function):
        raise ValueError(f"success by {rule!r}: expected a function, {name} is {type(function).__name__!r}")
    return function
