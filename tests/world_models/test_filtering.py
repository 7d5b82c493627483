import pytest
import torch
from fakes import FakeModel, Listener

from dreamgym.testing import InstructedPointModel, JointPointModel, PointConfig
from dreamgym.world_models.filtering import filter_to, filtered, imagined


def batch(rows, size=2, action=None):
    return {
        "rgb_static": torch.zeros(size, rows, 3, 16, 16, dtype=torch.uint8),
        "robot_obs": torch.arange(rows, dtype=torch.float32).view(1, -1, 1).expand(size, -1, 3) / 100,
        "action": torch.full((size, rows, 3), 7.0) if action is None else action,
    }


class Watched(InstructedPointModel):
    """Notes what it observes along with."""

    def __init__(self) -> None:
        super().__init__(PointConfig(history=3))
        self.given, self.begun = [], []

    def start(self, history, generator=None, instruction=None):
        self.begun.append(history)
        return super().start(history, generator)

    def observe(self, state, action, obs, generator=None):
        self.given.append(action)
        return super().observe(state, action, obs, generator)


def test_a_model_that_instructions_drive_observes_along_the_instruction_and_not_the_recorded_actions():
    model = Watched()
    states = list(filtered(model, batch(9), told=["go up", "light the lamp"]))
    assert len(states) == 5  # a frame is two control steps
    assert [float(s["position"][0, 0]) for s in states] == pytest.approx([0, 0.02, 0.04, 0.06, 0.08])
    assert all(given.tolist() == [1, 2] for given in model.given)
    assert model.begun[0]["robot_obs"].shape == (2, 3, 3)
    assert model.begun[0]["action"].shape == (2, 4, 3)


def test_a_model_that_instructions_drive_refuses_data_that_say_none():
    with pytest.raises(ValueError, match="driven by instructions, and recorded control actions are none"):
        filter_to(InstructedPointModel(), batch(9), 3)
    with pytest.raises(ValueError, match="driven by instructions"):
        list(imagined(InstructedPointModel(), {}, torch.zeros(2, 8, 3)))


def test_a_model_that_is_told_something_refuses_data_that_say_nothing():
    with pytest.raises(ValueError, match="told what to do"):
        filter_to(Listener(), {k: torch.zeros(1, 3, *s.shape) for k, s in Listener().spec.observations.items()}
                  | {"action": torch.zeros(1, 3, 7)}, 2)  # fmt: skip


def test_several_frames_seen_at_once_are_a_history_with_prepared_actions():
    model = JointPointModel(PointConfig(history=3))
    begun = []
    start = model.start
    model.start = lambda history, *rest: begun.append(history) or start(history, *rest)
    states = list(filtered(model, batch(6), seen=3))
    assert len(states) == 4
    assert begun[0]["robot_obs"][0, :, 0].tolist() == pytest.approx([0, 0.01, 0.02])
    assert torch.equal(begun[0]["action"], torch.ones(2, 2, 3))  # 7 is out of bounds


@pytest.mark.parametrize("frames", [2, 4, 7])
def test_an_instruction_is_followed_for_as_many_frames_as_are_asked_for(frames):
    model, state = InstructedPointModel(), {"position": torch.zeros(2, 2), "lamp": torch.zeros(2)}
    found = list(imagined(model, state, torch.zeros(2, 2 * frames, 3), told=["go right", "light the lamp"]))
    assert [round(float(s["position"][0, 0]), 3) for s in found] == [round(0.1 * (t + 1), 3) for t in range(frames)]
    assert all(s["lamp"].tolist() == [0, 1] for s in found)


@pytest.mark.parametrize(("chunk", "samplings"), [(None, 1), (1, 6), (4, 2)])
def test_frames_that_are_predicted_jointly_cost_one_sampling_a_chunk(chunk, samplings):
    calls = []

    class Counting(JointPointModel):
        def sample(self, state, actions, generator=None):
            calls.append(actions.shape[1])
            return super().sample(state, actions, generator)

    state = {"position": torch.zeros(2, 2), "lamp": torch.zeros(2)}
    found = list(imagined(Counting(), state, torch.ones(2, 6, 3), chunk=chunk))
    assert len(calls) == samplings
    assert float(found[-1]["position"][0, 0]) == pytest.approx(0.6)
    assert len(found) == 6


def test_nothing_is_imagined_along_no_actions():
    assert list(imagined(FakeModel(), {}, torch.zeros(2, 0, 7))) == []
