"""The oracle: each family of tasks on made-up states, and the judgement from scene_obs alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from dreamgym.sims.calvin import SCENE_OBS_TASKS, TASKS, TaskState, achieved_tasks, scene_obs_success

ON_TABLE = frozenset({("table", "base_link")})
IN_DRAWER = frozenset({("table", "drawer_link")})
ON_SHELF = frozenset({("table", "plank_link")})
HELD = frozenset({("robot", "")})


def make_state(**changes) -> TaskState:
    """Three blocks at rest on the table, everything closed and dark."""
    scene_obs = np.zeros(24)
    for block in range(3):
        scene_obs[6 + 6 * block : 9 + 6 * block] = [0.1 * block, -0.1, 0.46]
    state = TaskState(
        scene_obs=scene_obs,
        quaternions=np.tile([0.0, 0.0, 0.0, 1.0], (3, 1)),
        velocities=np.zeros((3, 6)),
        contacts={"red": ON_TABLE, "blue": ON_TABLE, "pink": ON_TABLE},
        robot_contacts=frozenset(),
    )
    return replace(state, **changes)


def with_obs(state: TaskState, places: dict[int, float]) -> TaskState:
    scene_obs = state.scene_obs.copy()
    for place, value in places.items():
        scene_obs[place] += value
    return replace(state, scene_obs=scene_obs)


def touching(state: TaskState, robot: frozenset = frozenset(), **contacts) -> TaskState:
    return replace(state, contacts={**state.contacts, **contacts}, robot_contacts=robot)


def turned(state: TaskState, block: int, degrees: float, axis: int = 2) -> TaskState:
    """Turn a block at rest from its identity orientation, in both of its descriptions."""
    half = np.deg2rad(degrees) / 2
    quaternions = state.quaternions.copy()
    quaternions[block] = 0
    quaternions[block, axis], quaternions[block, 3] = np.sin(half), np.cos(half)
    return with_obs(replace(state, quaternions=quaternions), {9 + 6 * block + axis: 2 * half})


def test_there_are_calvins_34_tasks():
    assert len(TASKS) == len(set(TASKS)) == 34


def test_nothing_is_achieved_by_standing_still():
    assert achieved_tasks(make_state(), make_state()) == set()


@pytest.mark.parametrize(
    ("task", "place", "change"),
    [
        ("open_drawer", 1, 0.13),
        ("close_drawer", 1, -0.13),
        ("move_slider_left", 0, 0.16),
        ("move_slider_right", 0, -0.16),
        ("turn_on_lightbulb", 4, 1.0),
        ("turn_off_lightbulb", 4, -1.0),
        ("turn_on_led", 5, 1.0),
        ("turn_off_led", 5, -1.0),
    ],
)
def test_furniture_and_lights(task, place, change):
    start = with_obs(make_state(), {place: max(-change, 0.0)})
    assert achieved_tasks(start, with_obs(start, {place: change})) == {task}


@pytest.mark.parametrize(("place", "change"), [(1, 0.11), (1, -0.11), (0, 0.14), (0, -0.14)])
def test_doors_need_their_whole_way(place, change):
    start = with_obs(make_state(), {place: max(-change, 0.0)})
    assert achieved_tasks(start, with_obs(start, {place: change})) == set()


def test_rotation_left_and_right():
    assert achieved_tasks(make_state(), turned(make_state(), 0, 65)) == {"rotate_red_block_left"}
    assert achieved_tasks(make_state(), turned(make_state(), 1, -65)) == {"rotate_blue_block_right"}
    assert achieved_tasks(make_state(), turned(make_state(), 1, 57)) == set()


def test_rotation_about_another_axis_does_not_count():
    assert achieved_tasks(make_state(), turned(make_state(), 2, 65, axis=0)) == set()


def test_rotation_in_the_air_does_not_count():
    end = touching(turned(make_state(), 0, 65), robot=frozenset({"red"}), red=HELD)
    assert achieved_tasks(make_state(), end) == set()


def test_rotation_may_not_move_the_block_far():
    assert achieved_tasks(make_state(), with_obs(turned(make_state(), 0, 65), {7: 0.11})) == set()


def test_push_left_and_right():
    assert achieved_tasks(make_state(), with_obs(make_state(), {6: 0.11})) == {"push_red_block_right"}
    assert achieved_tasks(make_state(), with_obs(make_state(), {18: -0.11})) == {"push_pink_block_left"}


def test_push_must_keep_its_surface():
    end = touching(with_obs(make_state(), {6: 0.11}), red=frozenset({("table", "plank_link")}))
    assert "push_red_block_right" not in achieved_tasks(make_state(), end)


@pytest.mark.parametrize(
    ("task", "contacts", "height"),
    [
        ("lift_red_block_table", ON_TABLE, 0.06),
        ("lift_red_block_slider", ON_SHELF, 0.04),
        ("lift_red_block_drawer", IN_DRAWER, 0.06),
    ],
)
def test_lift(task, contacts, height):
    start = touching(make_state(), red=contacts)
    end = touching(with_obs(start, {8: height}), robot=frozenset({"red"}), red=HELD)
    assert achieved_tasks(start, end) == {task}
    low = touching(with_obs(start, {8: height - 0.02}), robot=frozenset({"red"}), red=HELD)
    assert achieved_tasks(start, low) == set()


def test_lift_while_it_touches_something_else_does_not_count():
    end = touching(with_obs(make_state(), {8: 0.06}), robot=frozenset({"red"}), red=HELD | ON_TABLE)
    assert achieved_tasks(make_state(), end) == set()


@pytest.mark.parametrize(("task", "contacts"), [("place_in_drawer", IN_DRAWER), ("place_in_slider", ON_SHELF)])
def test_place(task, contacts):
    start = touching(make_state(), robot=frozenset({"blue"}), blue=HELD)
    assert achieved_tasks(start, touching(make_state(), blue=contacts)) == {task}
    still_held = touching(make_state(), robot=frozenset({"blue"}), blue=contacts | HELD)
    assert achieved_tasks(start, still_held) == set()


def test_stack_and_unstack():
    stacked = touching(make_state(), red=frozenset({("blue", "")}), blue=ON_TABLE | {("red", "")})
    assert achieved_tasks(make_state(), stacked) == {"stack_block"}
    assert achieved_tasks(stacked, make_state()) == {"unstack_block"}


def test_a_falling_block_is_not_stacked():
    falling = touching(make_state(velocities=np.full((3, 6), 1.5)), red=frozenset({("blue", "")}))
    assert achieved_tasks(make_state(), falling) == set()


def test_push_into_drawer():
    assert achieved_tasks(make_state(), touching(make_state(), pink=IN_DRAWER)) == {"push_into_drawer"}
    assert achieved_tasks(touching(make_state(), pink=ON_SHELF), touching(make_state(), pink=IN_DRAWER)) == set()


def test_only_the_asked_tasks_are_judged():
    end = with_obs(make_state(), {1: 0.13, 5: 1.0})
    assert achieved_tasks(make_state(), end, ("turn_on_led",)) == {"turn_on_led"}


def test_unknown_task_is_refused():
    with pytest.raises(ValueError, match="expected one of"):
        achieved_tasks(make_state(), make_state(), ("open_window",))
    with pytest.raises(ValueError, match="open_window"):
        scene_obs_success("open_window", np.zeros(24), np.zeros(24))


def test_contact_tasks_are_not_judged_from_scene_obs():
    with pytest.raises(ValueError, match="contacts"):
        scene_obs_success("stack_block", np.zeros(24), np.zeros(24))


def test_scene_obs_of_another_size_are_refused():
    with pytest.raises(ValueError, match=r"expected shape \(\.\.\., 24\)"):
        scene_obs_success("open_drawer", np.zeros((2, 23)), np.zeros((2, 24)))


@pytest.mark.parametrize("task", SCENE_OBS_TASKS)
def test_numpy_and_torch_agree_over_a_batch(task):
    rng = np.random.default_rng(0)
    start, end = rng.uniform(-0.4, 0.4, (2, 64, 5, 24)).astype(np.float32)
    start[..., 4:6], end[..., 4:6] = rng.integers(0, 2, (2, 64, 5, 2))
    for block in range(3):  # near enough for a rotation to count, and turned mostly about z
        end[..., 6 + 6 * block : 9 + 6 * block] = start[..., 6 + 6 * block : 9 + 6 * block]
        end[..., 6 + 6 * block] += rng.choice([-0.15, 0.0, 0.15], (64, 5))
        end[..., 11 + 6 * block] += rng.uniform(-2, 2, (64, 5)).astype(np.float32)
    found = scene_obs_success(task, start, end)
    as_tensors = scene_obs_success(task, torch.as_tensor(start), torch.as_tensor(end))
    assert found.shape == (64, 5)
    assert found.any()
    assert not found.all()
    np.testing.assert_array_equal(found, as_tensors.numpy())


def test_one_start_is_judged_against_many_ends():
    end = np.zeros((4, 24))
    end[2, 1] = 0.13
    assert scene_obs_success("open_drawer", np.zeros(24), end).tolist() == [False, False, True, False]


@pytest.mark.parametrize("degrees", [-80, -50, 50, 80])
def test_rotation_from_euler_angles_agrees_with_the_oracle(degrees):
    start, end = make_state(), turned(make_state(), 0, degrees)
    for task in ("rotate_red_block_left", "rotate_red_block_right"):
        assert bool(scene_obs_success(task, start.scene_obs, end.scene_obs)) == (task in achieved_tasks(start, end))
