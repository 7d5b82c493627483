import pytest
import torch
from fakes import Listener

from dreamgym.testing import InstructedPointModel, JointPointModel, PointConfig
from dreamgym.world_models.history import begin, blank_history, pad_history

HOLD = [0.0, 0.0, -1.0]


def frames(length, actions):
    x = torch.arange(length, dtype=torch.float32).view(1, -1, 1).expand(2, -1, 3)
    picture = torch.zeros(2, length, 3, 16, 16, dtype=torch.uint8)
    action = torch.arange(actions, dtype=torch.float32).view(1, -1, 1).expand(2, -1, 3)
    return {"rgb_static": picture, "robot_obs": x, "action": action / 10}


@pytest.mark.parametrize("model", [InstructedPointModel, JointPointModel])
@pytest.mark.parametrize("length", [1, 3, 5])
def test_a_history_has_exactly_as_many_frames_as_the_model_reads_and_the_actions_between_them(model, length):
    spec = model(PointConfig(history=3)).spec
    a = spec.actions_per_frame
    history = pad_history(frames(length, (length - 1) * a), spec)
    seen = history["robot_obs"][0, :, 0].tolist()
    assert seen == {1: [0, 0, 0], 3: [0, 1, 2], 5: [2, 3, 4]}[length]
    assert history["action"].shape == (2, 2 * a, 3)
    between = history["action"][0].tolist()
    if length == 1:
        assert between == [HOLD] * (2 * a)
    else:
        first = (length - 3) * a
        assert [round(row[0] * 10) for row in between] == list(range(first, first + 2 * a))
        assert {row[2] for row in between} <= {-1.0, 1.0}  # prepared: the switch is two-valued


def test_a_blank_history_has_actions_whatever_drives_the_model():
    for model in (InstructedPointModel(PointConfig(history=2)), JointPointModel(PointConfig(history=2))):
        blank = blank_history(model.spec, 4, "cpu")
        assert blank["action"].shape == (4, model.spec.actions_per_frame, 3)


def test_a_model_that_is_told_what_to_do_is_told():
    model = Listener()
    history = blank_history(model.spec, 2, "cpu")
    begin(model, history, told=["turn on led", "open the drawer"])
    assert model.heard == ["turn on led", "open the drawer"]
    with pytest.raises(ValueError, match="told what to do: say it of each episode"):
        begin(model, history)


def test_the_sentence_of_a_model_that_it_drives_is_its_action_and_not_said_at_the_start():
    calls = []

    class Begun(InstructedPointModel):
        def start(self, history, generator=None, instruction=None):
            calls.append(instruction)
            return super().start(history, generator)

    model = Begun()
    begin(model, blank_history(model.spec, 1, "cpu"), told=["go up"])
    assert calls == [None]
