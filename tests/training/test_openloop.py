"""Open-loop errors during training, on models whose predictions are known."""

import pytest
import torch
from fakes import FakeModel, advance

from dreamgym.suites import suite
from dreamgym.training.openloop import auroc, open_loop_eval, rows_of


def recorded(size: int, rows: int) -> dict[str, torch.Tensor]:
    """Windows of the world that `FakeModel` knows; actions open drawer and slider step by step."""
    robot, scene = torch.zeros(size, 15), torch.zeros(size, 24)
    action = torch.zeros(size, rows, 7)
    action[..., :2] = torch.linspace(0.1, 0.3, rows).view(1, -1, 1)
    robots, scenes = [robot], [scene]
    for t in range(rows - 1):
        robot, scene = advance(robot, scene, action[:, t])
        robots.append(robot)
        scenes.append(scene)
    images = torch.zeros(size, rows, 3, 8, 8, dtype=torch.uint8)
    return {
        "action": action,
        "robot_obs": torch.stack(robots, 1),
        "scene_obs": torch.stack(scenes, 1),
        "rgb_static": images,
    }


@pytest.mark.parametrize("history", [1, 2])
def test_a_model_that_knows_the_world_makes_no_error(history: int) -> None:
    model = FakeModel(history=history)
    batch = recorded(2, rows_of(model.spec, 5))
    errors = open_loop_eval(model, batch, (1, 5), suite("calvin").measures)
    assert errors["mae/scene_obs/5"] == pytest.approx(0, abs=1e-6)
    assert errors["drawer/5"] == pytest.approx(0, abs=1e-6)
    moved = batch["scene_obs"][0, -1, 1] - batch["scene_obs"][0, history - 1, 1]
    assert errors["drawer_repeat/5"] == pytest.approx(float(moved), abs=1e-6)
    assert {"psnr/rgb_static/1", "psnr_repeat/rgb_static/5", "bulb/1", "led_repeat/5"} <= set(errors)


def test_a_model_that_runs_ahead_errs_by_as_much() -> None:
    batch = recorded(2, 6)
    errors = open_loop_eval(FakeModel(slip=0.5), batch, (5,), suite("calvin").measures)
    assert errors["drawer/5"] == pytest.approx(0.5 * errors["drawer_repeat/5"], rel=1e-4)


def test_measures_of_sensors_that_are_not_decoded_are_left_out() -> None:
    errors = open_loop_eval(FakeModel(scene=False), recorded(2, 6), (5,), suite("calvin").measures)
    assert set(errors) == {"psnr/rgb_static/5", "psnr_repeat/rgb_static/5"}


def test_frames_of_several_actions_are_counted_in_frames() -> None:
    from dataclasses import replace

    model = FakeModel()
    model.spec = replace(model.spec, actions_per_frame=3)
    seen = []
    model.imagine = lambda state, action, generator=None: seen.append(tuple(action.shape)) or state  # type: ignore
    assert rows_of(model.spec, 4) == 13
    batch = recorded(2, 13)
    errors = open_loop_eval(model, batch, (1, 4))
    assert seen == [(2, 3, 7)] * 4
    assert errors["mae/scene_obs/4"] == pytest.approx(
        float((batch["scene_obs"][:, 12] - batch["scene_obs"][:, 0]).abs().mean())
    )


def test_auroc_counts_ties_half_and_one_class_not_at_all() -> None:
    import numpy as np

    assert auroc(np.array([1.0, 2, 3, 4]), np.array([0, 0, 1, 1])) == 1
    assert auroc(np.array([1.0, 1, 1, 1]), np.array([0, 0, 1, 1])) == 0.5
    assert np.isnan(auroc(np.array([1.0, 2]), np.array([1, 1])))
