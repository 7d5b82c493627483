"""Which rows of an episode are success."""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest

from dreamgym.data.readers import success_rule

FOREIGN = {
    "next.success": np.array([False, False, True, False]),
    "next.reward": np.array([0.0, 0.95, 0.2, 0.9]),
    "done": np.array([0, 0, 0, 1]),
    "reached": np.array([[False], [True], [False], [False]]),
    "many": np.zeros((4, 2), bool),
}
STORED = {"action": np.zeros((4, 2)), "height": np.array([[0.1], [0.5], [0.6], [0.2]])}
NEXT = frozenset({"next.success", "next.reward"})


def high(episode):
    return episode["height"][:, 0] > 0.4


@pytest.mark.parametrize(
    ("rule", "marked"),
    [
        ("done", [3]),
        ("reached", [1]),
        ("next.success", [3]),
        ("next.reward>=0.9", [2, 3]),
        ("next.reward >= 9e-1", [2, 3]),
        ("next.reward<0.1", [1]),
        ("done>0", [3]),
        ("last:2", [2, 3]),
        ("last:9", [0, 1, 2, 3]),
        (high, [1, 2]),
    ],
)
def test_rows_are_marked(rule, marked):
    assert np.flatnonzero(success_rule(rule).marks(FOREIGN, STORED, NEXT)).tolist() == marked


def test_a_function_is_named_by_its_module(monkeypatch):
    module = types.ModuleType("own_marks")
    module.high, module.number = high, 3
    monkeypatch.setitem(sys.modules, "own_marks", module)
    assert success_rule("own_marks:high").marks(FOREIGN, STORED).tolist() == [False, True, True, False]
    for rule, message in (
        ("own_marks:low", "no attribute"),
        ("nobody:high", "--import"),
        ("own_marks:number", "expected a function"),
    ):
        with pytest.raises(ValueError, match=message):
            success_rule(rule)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("success", r"the dataset has no key 'success'; it has \['done'"),
        ("many", r"is bool \[4\], one for each row, got bool \[4, 2\]"),
        (lambda episode: 1.0, r"is bool \[4\], .*got float64 \[\]"),
        ("last:0", "last:N with N of 1 or more"),
        ("last:x", "last:N with N of 1 or more"),
        ("", "marked by one of next.success"),
    ],
)
def test_what_marks_nothing_is_named(rule, message):
    with pytest.raises(ValueError, match=message):
        success_rule(rule).marks(FOREIGN, STORED)
