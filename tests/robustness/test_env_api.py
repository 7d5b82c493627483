"""Any arguments to reset and step end in a result or in a ValueError, TypeError or Gymnasium's error with a message.

And a call that was refused leaves the environment as it was: its next step is that of one that was never asked. The
short form tries the same calls every time; the long one (``-m slow``) others, seventy-five times as many.
"""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import error
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import dreamgym
from dreamgym.envs.core.core import DreamCore
from dreamgym.testing import (
    PointMassModel,
    PointMassReward,
    instructed_point_checkpoint,
    point_mass_checkpoint,
    point_mass_starts,
)

REFUSED = (ValueError, TypeError, error.Error)
SHORT = settings(max_examples=40, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
LONG = settings(SHORT, max_examples=3000, derandomize=False)
AMOUNTS = pytest.mark.parametrize("amount", [SHORT, pytest.param(LONG, marks=pytest.mark.slow)], ids=["short", "long"])
B, A = 3, 3

NUMBERS = st.one_of(
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.booleans(),
    st.none(),
    st.text(max_size=4),
    st.just(1j),
    st.binary(max_size=4),
)
DTYPES = ["f2", "f4", "f8", "i1", "i4", "i8", "u1", "u4", "u8", "?", "c8", "U3", "O", "M8[s]"]
SHAPES = st.lists(st.integers(0, 4), max_size=4).map(tuple)


@st.composite
def arrays(draw):
    """Arrays and tensors of any type and shape, NaN and infinities among them."""
    shape = draw(st.one_of(SHAPES, st.just((B, A)), st.just((B,)), st.just((A,))))
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    values = rng.normal(0, draw(st.sampled_from([0.1, 1.0, 1e30])), shape)
    if draw(st.booleans()) and values.size:
        values.flat[0] = draw(st.sampled_from([np.nan, np.inf, -np.inf]))
    with np.errstate(all="ignore"):
        made = values.astype("i8").astype(dtype) if dtype.kind == "M" else values.astype(dtype)
    return (
        torch.from_numpy(made)
        if dtype.kind in "fiub?" and dtype.str[1:] not in ("u4", "u8") and draw(st.booleans())
        else made
    )


ANYTHING = st.one_of(
    arrays(), NUMBERS, st.lists(NUMBERS, max_size=4), st.dictionaries(st.text(max_size=3), NUMBERS, max_size=2)
)
OPTIONS = st.one_of(
    st.dictionaries(
        st.sampled_from(["start", "task", "state", "history", "reset_mask", "colour"]), ANYTHING, max_size=3
    ),
    NUMBERS,
    st.lists(NUMBERS, max_size=2),
)


FACES = ["core", "single", "numpy", "torch", "chunks", "instructed core", "instructed single", "instructed numpy"]


CORE_OPTIONS = st.dictionaries(
    st.sampled_from(
        ["num_envs", "horizon", "task", "obs", "chunk", "autoreset", "reward_mode", "uncertainty_limit", "split",
         "threads", "embodiment", "proprioception"]
    ),
    st.one_of(NUMBERS, st.integers(-3, 6), st.lists(NUMBERS, max_size=2)).filter(
        lambda v: not isinstance(v, int) or abs(v) < 10
    ),
    max_size=3,
)  # fmt: skip


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    made = {"": point_mass_checkpoint, "instructed": instructed_point_checkpoint}
    return {world: str(make(tmp_path_factory.mktemp("world") / "point")) for world, make in made.items()}


def made(face, folders):
    assert dreamgym.__version__
    world, _, kind = face.rpartition(" ")
    options = {"checkpoint": folders[world], "horizon": 50}
    if world == "":
        options["task"] = "reach_right"
    if kind == "core":
        return dreamgym.make_core(num_envs=B, **options)
    if kind == "single":
        return gym.make("Dream-v0", **options).unwrapped
    if kind == "chunks":
        return gym.make_vec("Dream-v0", num_envs=B, chunk=4, **options).unwrapped
    return gym.make_vec("Dream-v0", num_envs=B, array=kind, **options).unwrapped


def step(env, face):
    if face.startswith("instructed"):
        action = 1 if face.endswith("single") else np.ones(B, np.int64)
    else:
        shape = (A,) if face == "single" else (B, 4, A) if face == "chunks" else (B, A)
        action = np.full(shape, 0.25, np.float32)
    action = torch.from_numpy(action) if face in ("torch", "core") else action
    out = env.step(action)
    return seen(out.obs if face.endswith("core") else out[0])


def seen(obs):
    """Observations as one array."""
    parts = [obs[k] for k in sorted(obs)] if isinstance(obs, dict) else [obs]
    return np.concatenate([np.asarray(part, np.float64).ravel() for part in parts])


def refuses(call, *args, **kwargs):
    """Whether the call is refused, with a message; anything but a refusal or a result fails."""
    try:
        call(*args, **kwargs)
    except REFUSED as refused:
        told = str(refused)
    else:
        return False
    assert told
    return True


@AMOUNTS
@pytest.mark.parametrize("face", FACES)
def test_any_action_is_taken_or_refused(face, amount, folders, record_property):
    env, twin = made(face, folders), made(face, folders)

    @amount
    @given(ANYTHING)
    def fuzz(action):
        env.reset(seed=1)
        twin.reset(seed=1)
        if refuses(env.step, action):
            assert np.array_equal(step(env, face), step(twin, face))

    fuzz()
    record_property("calls", amount.max_examples)


@AMOUNTS
@pytest.mark.parametrize("face", FACES)
def test_any_reset_is_taken_or_refused(face, amount, folders, record_property):
    env, twin = made(face, folders), made(face, folders)

    @amount
    @given(st.one_of(st.none(), NUMBERS), OPTIONS)
    def fuzz(seed, options):
        env.reset(seed=1)
        twin.reset(seed=1)
        if not refuses(env.reset, seed=seed, options=options):
            env.reset(seed=1)
            twin.reset(seed=1)
        assert np.array_equal(step(env, face), step(twin, face))

    fuzz()
    record_property("calls", amount.max_examples)


@AMOUNTS
def test_any_options_of_a_core_are_taken_or_refused(amount, record_property):
    @amount
    @given(CORE_OPTIONS)
    def fuzz(options):
        refuses(lambda: DreamCore(PointMassModel(), PointMassReward(), point_mass_starts(), **options).reset(seed=0))

    fuzz()
    record_property("calls", amount.max_examples)


@pytest.mark.parametrize("array", ["numpy", "torch"])
def test_no_mask_is_a_whole_reset(array, folders):
    """A caller may hand on ``reset_mask=None``, as `DreamCore.reset` takes it."""
    env = made(array, folders)
    _, info = env.reset(seed=1, options={"reset_mask": None})
    assert np.asarray(info["_task"]).all()


def test_a_refused_placement_changes_nothing(folders):
    core, twin = made("instructed core", folders), made("instructed core", folders)
    for each in (core, twin):
        each.reset(seed=1)
    state, task = {k: v + 1 for k, v in core.state.items()}, torch.zeros(B, dtype=torch.int64)
    assert refuses(core.place, state, torch.full((B,), 99))
    assert refuses(core.place, {}, task)
    with pytest.raises(AttributeError):
        core.place(state, task, elapsed="long")
    assert np.array_equal(step(core, "instructed core"), step(twin, "instructed core"))


def test_a_refused_seeded_reset_leaves_the_noise(folders):
    core, twin = made("instructed core", folders), made("instructed core", folders)
    for each in (core, twin):
        each.reset(seed=1)
    assert refuses(core.reset, seed=0, options={"start": None})
    assert np.array_equal(step(core, "instructed core"), step(twin, "instructed core"))
