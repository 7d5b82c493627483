import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dreamgym.envs.core.actions import ActionReader, action_space, check_chunk
from dreamgym.types import ActionSpec, InstructionSpec, WorldModelSpec

SPEC = ActionSpec((-1.0, 0.0, -1.0), (1.0, 2.0, 1.0), binary=(2,))
CPU = torch.device("cpu")


def reader(chunk=None, validate=True):
    return ActionReader(SPEC, 2, chunk, CPU, validate)


def test_arrays_and_tensors_give_the_same():
    action = np.array([[0.5, 1.0, -0.2], [1.0, 0.0, 0.0]])
    want = torch.tensor([[0.5, 1.0, -1.0], [1.0, 0.0, 1.0]])
    assert torch.equal(reader()(action), want)
    assert torch.equal(reader()(torch.from_numpy(action)), want)


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (np.zeros((2, 4)), r"shape \(2, 4\), expected \(2, 3\) \(num_envs, A\)"),
        (np.zeros(3), "expected"),
        (torch.zeros(2, 1, 3), "expected"),
        (np.zeros((2, 3), int), "must be floats"),
        (torch.zeros(2, 3, dtype=torch.bool), "must be floats"),
        (np.array([["a"] * 3] * 2), "must be floats"),
        (None, "must be floats"),
        (np.full((2, 3), np.nan), r"env\(s\) \[0, 1\] are not finite"),
        (torch.tensor([[0.0, 1.0, 0.0], [0.0, float("inf"), 0.0]]), r"env\(s\) \[1\] are not finite"),
        (np.full((2, 3), 1.5), "outside low="),
    ],
)
def test_bad_actions_are_one_clear_error(action, message):
    with pytest.raises(ValueError, match=message):
        reader()(action)


def test_without_validation_values_are_clipped_but_shapes_still_checked():
    loose = reader(validate=False)
    assert torch.equal(loose(np.full((2, 3), 9.0)), torch.tensor([[1.0, 2.0, 1.0]] * 2))
    with pytest.raises(ValueError, match="shape"):
        loose(np.zeros((3, 3)))


def test_a_hair_outside_the_bounds_is_rounding():
    assert reader()(np.array([[1.0001, 2.0, 1.0], [-1.0001, 0.0, 1.0]])).max() <= 2.0


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 5), st.integers(0, 2**31))
def test_what_the_space_samples_is_accepted_and_stays_inside(chunk, seed):
    space = action_space(SPEC, chunk)
    space.seed(seed)
    action = np.stack([space.sample(), space.sample()])
    out = ActionReader(SPEC, 2, chunk, CPU, True)(action).numpy()
    assert all(space.contains(row) for row in out)
    assert set(np.unique(out[..., 2])) <= {-1.0, 1.0}


@settings(deadline=None, max_examples=100)
@given(hnp.arrays(np.float32, (2, 3), elements=st.floats(width=32)))
def test_any_finite_array_is_read_or_refused(action):
    inside = np.isfinite(action).all() and (np.abs(action - [0, 1, 0]) <= 1).all()
    try:
        out = reader()(action)
    except ValueError:
        assert not inside
    else:
        assert np.isfinite(action).all()
        assert bool(((out >= torch.tensor(SPEC.low)) & (out <= torch.tensor(SPEC.high))).all())


def test_a_chunk_is_a_multiple_of_the_models_frame():
    spec = WorldModelSpec("toy", {}, SPEC, (1,), actions_per_frame=5)
    assert check_chunk(10, spec) == 10
    assert check_chunk(None, spec) == 5
    for chunk in (0, -5, 7):
        with pytest.raises(ValueError, match="positive multiple of 5"):
            check_chunk(chunk, spec)


def test_instructions_are_whole_numbers_of_sentences():
    spec = InstructionSpec(("go", "stop"), 4, SPEC)
    read = ActionReader(spec, 2, None, CPU, True)
    assert torch.equal(read(np.array([0, 1])), torch.tensor([0, 1]))
    for wrong, message in (([0.0, 1.0], "whole numbers"), ([0, 2], r"0..1"), ([[0, 1]], "shape")):
        with pytest.raises(ValueError, match=message):
            read(np.array(wrong))
    assert action_space(spec).n == 2
    with pytest.raises(ValueError, match="one instruction, a clip of 4 frames"):
        check_chunk(4, WorldModelSpec("toy", {}, spec, (1,)))
