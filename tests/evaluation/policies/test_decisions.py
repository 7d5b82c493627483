from dataclasses import replace

import numpy as np
import pytest
import torch

from dreamgym.evaluation.policies.decisions import actions_a_decision, check_decision
from dreamgym.testing import PointMassModel
from dreamgym.types import ActionSpec, InstructionSpec

SPEC = PointMassModel().spec
BOX = SPEC.action
ONE = ActionSpec((-1.0,), (1.0,))
JOINT = replace(SPEC, actions_per_frame=5)
TOLD = replace(SPEC, action=InstructionSpec(("go", "stop"), 4, SPEC.control))


class Chunked:
    def __init__(self, chunk=None):
        if chunk is not None:
            self.chunk = chunk


def test_without_a_chunk_a_decision_is_one_action_or_one_instruction():
    assert actions_a_decision(Chunked(), SPEC) is None
    assert actions_a_decision(Chunked(), TOLD) is None


def test_a_chunk_is_a_multiple_of_the_models_frame():
    assert actions_a_decision(Chunked(3), SPEC) == 3
    assert actions_a_decision(Chunked(10), JOINT) == 10


@pytest.mark.parametrize(
    ("policy", "spec", "message"),
    [
        (Chunked(), JOINT, "frame every 5 actions.*chunk = 5"),
        (Chunked(7), JOINT, "multiple of the model's actions per frame, 5; got 7"),
        (Chunked(0), SPEC, "positive multiple"),
        (Chunked(2.0), SPEC, "got 2.0"),
        (Chunked(4), TOLD, "take the attribute chunk away"),
    ],
)
def test_a_policy_that_does_not_fit_the_model_is_told_the_mend(policy, spec, message):
    with pytest.raises(ValueError, match=message):
        actions_a_decision(policy, spec)


def test_a_chunk_of_another_length_is_refused():
    with pytest.raises(ValueError, match=r"\(2, 4, 3\).*got \(2, 3, 3\)"):
        check_decision(torch.zeros(2, 3, 3), np.ones(2, bool), 4, BOX)


def test_only_envs_under_way_must_act_finitely():
    action = torch.tensor([[0.0], [torch.nan]])
    assert check_decision(action, np.array([True, False]), None, ONE) is action
    with pytest.raises(ValueError, match="NaN or infinity in 1 of 2"):
        check_decision(action, np.array([True, True]), None, ONE)
    assert (
        check_decision(torch.tensor([1, 0]), np.ones(2, bool), None, InstructionSpec(("a", "b"), 2, BOX)).dtype
        == torch.int64
    )


def test_actions_of_another_width_are_named():
    with pytest.raises(ValueError, match=r"expected actions \[B, A\] = \(2, 3\) from the policy's act, got \(2, 4\)"):
        check_decision(torch.zeros(2, 4), np.ones(2, bool), None, BOX)
