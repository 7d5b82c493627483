import pytest
import torch
from fakes import FakeModel

from dreamgym.evaluation.making.measures import StateReader
from dreamgym.evaluation.making.yardstick import Yardstick
from dreamgym.suites import Measure

SPREAD = (torch.tensor([2.0, 1.0, 1.0, 1.0, 1.0, 4.0]), torch.tensor([0.1, 0.0, 0.5, 0.5, 0.5, 0.4]))
LAYOUT = (("linear", 2), ("euler", 3), ("linear", 1))


def make(**options):
    reader = StateReader(FakeModel(), None, [])
    given = {"layouts": {"state": LAYOUT}, **options}
    return Yardstick(reader, (), ("state",), (), {"state": torch.zeros(6)}, {"state": SPREAD}, **given)


def test_a_vectors_error_is_over_linear_entries_that_move_in_standard_deviations():
    guess, truth = torch.ones(1, 6) * 4, torch.zeros(1, 6)
    # Entry 1 stands still, entries 2 to 4 are angles: |4| / 2 and |4| / 4 are left.
    assert float(make().errors({"state": guess}, {"state": truth})["state"]) == pytest.approx(1.5)
    without = make(layouts={})
    assert float(without.errors({"state": guess}, {"state": truth})["state"]) == pytest.approx((2 + 4 * 3 + 1) / 5)


def test_names_have_units_and_measures_that_the_data_lack_are_left_out():
    own = [Measure("hand", "state", (0,), "m", label="the hand"), Measure("lamp", "state", (9,), "", kind="flag")]
    yardstick = Yardstick(
        StateReader(FakeModel(), None, []), ("rgb_static",), ("state",), own, {}, {"state": SPREAD}, {}
    )  # fmt: skip
    assert yardstick.units == {
        "rgb_static": ("dB", True, "static camera"),
        "hand": ("m", False, "the hand"),
        "state": ("std", False, "state, all entries that move"),
    }
