"""Where a dream knows more than every baseline."""

import pytest

from dreamgym.evaluation.making.card_trust import common_span, trusted_span, trusted_spans


def curve(model, repeat, mean=(), held=(), higher=False, steps=()):
    return {
        "model": list(model), "repeat": list(repeat), "mean": list(mean), "held": list(held),
        "higher_is_better": higher, "steps": list(steps),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("given", "span"),
    [
        (curve([1, 1, 1], [2, 2, 2]), (1, 3)),
        (curve([1, 1, 1], [0, 2, 2]), (2, 3)),
        (curve([1, 1, 1, 1], [2, 2, 0, 2]), (1, 2)),  # the longest run, the first of equals
        (curve([1, 1], [1, 1]), None),  # as good is not better
        (curve([1, 1], [2, 2], held=[2, 0]), (1, 1)),
        (curve([0.9, 0.9], [0.8, 0.95], higher=True), (1, 1)),
        (curve([1, 1, 1], [2, 2, 2], steps=[5, 10, 50]), (5, 50)),
        (curve([None, 1, 1], [None, 2, None], [3, 3, 3]), (2, 3)),  # not measured there
        (curve([1], [None]), None),  # nothing to compare with
    ],
)
def test_the_longest_run_of_steps_that_beat_every_baseline(given, span):
    assert trusted_span(given) == span


def test_frames_that_moved_count_and_pictures_do_not():
    still, moved = curve([1, 1], [0, 0]), curve([1, 1], [2, 2])
    assert trusted_spans({"curves": {"drawer": still}, "moving": {"rgb_static": still, "drawer": moved}}) == {
        "drawer": (1, 2)
    }
    assert trusted_spans({"curves": {"drawer": still}}) == {"drawer": None}


def test_all_measures_together_are_trusted_where_each_is():
    assert common_span({"a": (1, 50), "b": (5, 20)}) == (5, 20)
    assert common_span({"a": (1, 50), "b": None}) is None
    assert common_span({"a": (1, 3), "b": (5, 20)}) is None
