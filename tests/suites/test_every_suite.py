"""What must hold of every suite: it builds, its facts fit its simulator, it collects, repeats and replays."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # cars.py

import numpy as np
import pytest
import torch
from cars import CAR, PENDULUM

from dreamgym.suites import suite
from dreamgym.suites.registry import suites
from dreamgym.suites.scripted import ROAMING

BUILT_IN = ("calvin", "kitchen", "libero", "metaworld", "pusht", "robosuite", "robosuite_arms")
SUITES = {name: suite(name) for name in BUILT_IN} | {s.name: s for s in (CAR, PENDULUM)}
# Cameras off: what is tested here needs none, and they cost most.
OPTIONS = {"calvin": {"cameras": ()}, "robosuite_arms": {"cameras": ()}}
STATED = pytest.mark.parametrize("made", SUITES.values(), ids=SUITES)


@pytest.fixture(scope="module", params=SUITES)
def simulated(request):
    """A suite with a simulator of it, where that is installed."""
    found = SUITES[request.param]
    if found.module is not None and find_spec(found.module) is None:
        pytest.skip(f"{found.module} is not installed")
    try:
        env = found.make(**OPTIONS.get(found.name, {}))
    except FileNotFoundError as missing:
        pytest.skip(str(missing))  # somebody else's assets
    yield found, env
    env.close()


def go(env, steps, seed=0):
    """Vector sensors along random actions, [steps, ...] by sensor."""
    rng = np.random.default_rng(seed)
    low, high = env.action_space.low, env.action_space.high
    seen = [env.step(rng.uniform(low, high))[0] for _ in range(steps)]
    return {k: np.stack([obs[k] for obs in seen]) for k in seen[0]}


def same(a, b):
    return all(np.array_equal(a[k], b[k]) for k in a)


def test_the_registry_has_them_all():
    assert set(BUILT_IN) <= set(suites())


@STATED
def test_facts_are_whole(made):
    assert len(set(made.tasks)) == len(made.tasks) > 0
    assert len({m.name for m in made.measures}) == len(made.measures)
    assert made.collectors
    assert made.proprioception is None or made.proprioception in made.layouts
    assert all(made.instruction(task) for task in made.tasks)
    assert bool(made.cameras) == ("cameras" in made.settings)


def test_the_simulator_has_the_cameras_that_the_suite_names(simulated):
    made, _ = simulated
    for sensor, camera in made.cameras.items():
        env = made.make(cameras=(camera,))
        images = [k for k, space in env.observation_space.spaces.items() if space.dtype == np.uint8]
        env.close()
        assert images == [sensor]
    # Whoever can tell success from recorded state says when a task can start, and the other way round.
    assert (made.startable is None) == (made.succeeded is None) == (made.rules is None)
    assert not made.operators or set(made.operators) & {*ROAMING}


@STATED
def test_unknown_kinds_and_options_are_named(made):
    with pytest.raises(ValueError, match="got 'nothing'"):
        made.collector("nothing")
    with pytest.raises(ValueError, match="got colour"):
        made.collector(colour="red")


@STATED
def test_rules_name_an_unknown_task(made):
    if made.rules is not None:
        with pytest.raises(ValueError, match="fly"):
            made.rules(("fly",), "cpu")


def test_actions_and_tasks_are_the_simulators(simulated):
    made, env = simulated
    np.testing.assert_array_equal(env.action_space.low, np.float32(made.action.low))
    np.testing.assert_array_equal(env.action_space.high, np.float32(made.action.high))
    env.reset(seed=0)
    for task in made.tasks[:: 1 + len(made.tasks) // 100 * 30]:  # LIBERO's 130 take seconds each
        _, info = env.reset(seed=0, options={"task": task})
        assert not info["is_success"] or made.name == "pendulum"  # which may begin as its tasks end
    with pytest.raises(ValueError, match="fly"):
        env.reset(options={"task": "fly"})


def test_layouts_hints_and_measures_read_the_simulators_sensors(simulated):
    made, env = simulated
    obs, _ = env.reset(seed=0)
    for key, layout in made.layouts.items():
        assert obs[key].shape == (sum(n for _, n in layout),)
    for key, hint in made.hints.items():
        assert all(0 <= i < len(obs[key]) for entries in hint.values() for i in entries)
    if made.proprioception is not None:
        assert made.proprioception in obs
    rows = {k: torch.from_numpy(np.stack([v, v + 0.3])) for k, v in obs.items() if v.dtype == np.float32}
    same_rows, moved = ({k: v[i] for k, v in rows.items()} for i in (0, 1))
    for measure in made.measures:
        assert float(measure.error(same_rows, same_rows)) == float(measure.higher_is_better)
        assert not measure.has_moved(same_rows, same_rows)
        assert np.isfinite(float(measure.error(moved, same_rows)))


def test_seeds_repeat_and_others_do_not(simulated):
    made, env = simulated
    task = {"task": made.tasks[0]}
    first, again, other = (env.reset(seed=s, options=task)[0] for s in (5, 5, 6))
    assert same(first, again)
    assert not same(first, other)
    env.reset(seed=5, options=task)
    once = go(env, 5)
    env.reset(seed=5, options=task)
    assert same(once, go(env, 5))


def test_a_snapshot_replays_exactly(simulated):
    made, env = simulated
    env.reset(seed=5, options={"task": made.tasks[-1]})
    go(env, 6)
    taken = env.snapshot()
    assert taken.dtype == np.float64
    assert taken.ndim == 1
    env.restore(taken)
    once = go(env, 8, seed=1)
    go(env, 3, seed=2)
    env.restore(taken)
    assert same(once, go(env, 8, seed=1))
    env.reset(seed=9, options={"snapshot": taken, "task": made.tasks[-1]})
    assert env.snapshot().shape == taken.shape


def short(made, kind):
    """The smallest collection of a kind: few rows, no pictures where they can be left out."""
    small = {"episode_steps": 6, "image_size": 8, "max_steps": 6, "operators": ("random",)}
    for names in (
        ("episode_steps", "image_size"),
        ("image_size", "max_steps", "operators"),
        ("image_size",),
        ("max_steps", "operators"),
    ):
        try:
            return made.collector(kind, **{k: small[k] for k in names})
        except ValueError:
            continue
    raise AssertionError(kind)


def test_every_kind_collects_episodes_that_repeat(simulated):
    made, _ = simulated
    for kind in made.collectors:
        factory = short(made, kind)
        rows, meta = factory(3).episode(0)
        again, _ = factory(3).episode(0)
        assert same(rows, again)
        assert len({len(v) for v in rows.values()}) == 1
        assert rows["action"].shape[1] == made.action.dim
        assert rows["action"].dtype == np.float32
        assert set(made.layouts) <= set(rows)
        assert meta.get("task", made.tasks[0]) in made.tasks
        assert {"tasks", "settings"} <= set(factory.info())
        if "success" in rows:
            assert meta["success"] == bool(rows["success"].any())
            if made.succeeded is not None:
                marks = made.succeeded(meta["task"], {k: v[:1] for k, v in rows.items()}, rows)
                np.testing.assert_array_equal(marks, rows["success"])


@pytest.mark.slow
def test_every_operator_makes_an_episode(simulated):
    made, _ = simulated
    for operator in made.operators:
        factory = made.collector(operators=(operator,), tasks=(made.tasks[0],))
        rows, meta = factory(0).episode(0)
        assert meta["operator"] == operator
        assert meta["success"] or operator in ROAMING
        assert len(rows["action"]) <= factory.max_steps


def test_the_simulators_own_lists_are_the_suites():
    pytest.importorskip("metaworld")
    pytest.importorskip("robosuite")
    from dreamgym.sims.metaworld import TASKS as METAWORLD
    from dreamgym.sims.robosuite import ROBOTS
    from dreamgym.sims.robosuite import TASKS as ROBOSUITE

    assert suite("metaworld").tasks == METAWORLD
    assert suite("robosuite").tasks == ROBOSUITE
    assert tuple(suite("robosuite").robots) == ROBOTS
