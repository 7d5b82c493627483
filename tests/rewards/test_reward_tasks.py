import numpy as np
import pytest
import torch

from dreamgym.rewards.tasks import TASKS, TaskTable, check_tasks, startable
from dreamgym.sims.calvin import scene_obs_success


def scenes(rng, count):
    scene = rng.uniform(0, 0.3, (count, 24)).astype(np.float32)
    scene[:, 4:6] = rng.integers(0, 2, (count, 2))
    return scene


def test_the_table_agrees_with_the_simulators_oracle_on_every_task():
    rng = np.random.default_rng(0)
    start, now = scenes(rng, 4000), scenes(rng, 4000)
    table = TaskTable(TASKS)
    for i, name in enumerate(TASKS):
        task = torch.full((4000,), i)
        got = table.progress(torch.from_numpy(start), torch.from_numpy(now), task) > 0
        wanted = scene_obs_success(name, start, now)
        assert 0 < wanted.mean() < 1
        assert (got.numpy() == wanted).mean() > 0.9995, name  # float32 ties at the threshold


def test_each_env_is_judged_by_its_own_task():
    start, now = torch.zeros(8, 24), torch.zeros(8, 24)
    start[:, 5] = 1.0  # LED on; the end has it off, and the drawer open
    now[:, 1] = 0.2
    done = TaskTable(TASKS).progress(start, now, torch.arange(8)) > 0
    assert [t for t, d in zip(TASKS, done, strict=True) if d] == ["open_drawer", "turn_off_led"]


def test_a_start_has_room_for_the_task():
    scene = np.zeros((1, 24))
    assert [t for t in TASKS if startable(t, scene)[0]] == [
        "open_drawer",
        "move_slider_left",
        "turn_on_lightbulb",
        "turn_on_led",
    ]
    scene[0, [0, 1]] = 0.14, 0.12  # neither end has room
    assert not any(startable(t, scene)[0] for t in TASKS[:4])


def test_an_unknown_task_is_named():
    with pytest.raises(ValueError, match="fly"):
        check_tasks(["open_drawer", "fly"])
