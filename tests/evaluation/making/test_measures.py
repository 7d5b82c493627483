import numpy as np
import pytest
import torch
from fakes import FakeModel

from dreamgym.evaluation.making.measures import (
    Curve,
    StateReader,
    format_value,
    measures_of,
    psnr,
    readable,
    state_error,
)
from dreamgym.suites import Measure, suite


def test_psnr_of_a_tenth_is_twenty_decibels():
    assert psnr(0.01) == pytest.approx(20)


def test_figures_for_people():
    assert format_value(0.0123, "m") == "1.2 cm"
    assert format_value(0.0123, "m", 2) == "1.23 cm"
    assert format_value(0.987, "share right", 2) == "98.7%"
    assert format_value(23.456, "dB") == "23.5 dB"
    assert format_value(0.012345, "std", 2) == "0.0123 std"
    assert format_value(None, "m") == format_value(float("nan"), "m") == "-"


def test_measures_are_those_whose_entries_a_sensor_has():
    near, far, end = (Measure(n, "state", e, "m") for n, e in (("near", (0,)), ("far", (5,)), ("end", (-3,))))
    assert readable([near, far, end], {"state": torch.zeros(2, 4)}) == [near, end]
    assert readable([near, end], {"state": torch.zeros(2, 2)}) == [near]
    assert readable([near], {"other": torch.zeros(2, 4)}) == []


def test_a_checkpoints_measures_are_its_suites():
    assert measures_of({"id": "calvin", "kwargs": {}}) == suite("calvin").measures
    assert measures_of({"id": "my_module:Env", "kwargs": {}}) == measures_of(None) == ()


def test_the_error_of_a_state_adds_distances_in_the_sensors_units_and_a_tenth_for_a_wrong_flag():
    measures = [Measure("hand", "state", (0, 1), "cm", scale=100.0), Measure("light", "state", (2,), "", kind="flag")]
    guess = {"state": torch.tensor([[0.3, 0.4, 1.0], [0.0, 0.0, 0.0]])}
    truth = {"state": torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])}
    torch.testing.assert_close(state_error(measures, guess, truth), torch.tensor([0.6, 0.0]))


def test_a_reader_decodes_what_it_can_and_asks_the_probe_for_the_rest():
    state = {"robot": torch.ones(2, 15), "scene": torch.zeros(2, 24), "unsure": torch.zeros(2)}

    def probe(features):
        return {"robot_obs": torch.full((len(features), 15), 7.0), "gaze": torch.ones(len(features), 2)}

    reader = StateReader(FakeModel(), probe)
    read = reader(state)
    assert float(read["robot_obs"][0, 0]) == 1
    assert set(read) == {"robot_obs", "scene_obs", "gaze"}
    assert reader.source == "probe"
    alone = StateReader(FakeModel(), probe, ["scene_obs"])
    assert set(alone(state)) == {"scene_obs"}
    assert alone.source == "decoded"
    assert StateReader(FakeModel(scene=False)).source == "none"


def test_a_curve_is_compared_from_the_fifth_control_step_on():
    late = Curve("m", False, [9.0, 0.1, 0.1], [1.0, 1.0, 1.0], [], steps=[1, 5, 20])
    assert late.beats() == {"repeat": True}
    assert late.at(5) == (0.1, 1.0)
    assert Curve("m", False, [9.0] * 6, [1.0] * 6, []).beats() == {"repeat": False}
    told = Curve("m", False, [np.nan], [1.0], []).to_dict()
    assert told["model"] == [None]
    assert told["steps"] == [1]
