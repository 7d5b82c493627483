"""Made-up episodes for the tests of comparison, page and pictures."""

from __future__ import annotations

import numpy as np

from dreamgym.evaluation.statistics.comparison import Sequences, Trajectories

TASKS = ("open_drawer", "turn_on_led")


def made_up(num=4, steps=20, drift=0.002, seed=0):
    """(real, dream, sequences): the drawer opens at a steady rate; the dream runs ahead by ``drift`` m a step."""
    rng = np.random.default_rng(seed)
    t = np.arange(steps + 1)
    robot = np.zeros((num, steps + 1, 15), np.float32)
    robot[..., :3] = rng.normal(size=(num, 1, 3)) + 0.01 * t[:, None]

    def play(rate):
        scene = np.zeros((num, steps + 1, 24), np.float32)
        scene[..., 1] = rate * t
        shade = np.clip(scene[..., 1] / 0.4 * 255, 0, 255).astype(np.uint8)
        frames = np.broadcast_to(shade[..., None, None, None], (num, steps + 1, 16, 16, 3)).copy()
        frames[:, :, 4:8, 4:8, 0] = 200
        probability = np.clip(scene[..., 1] / 0.12, 0, 1)
        success = scene[..., 1] > 0.12
        success[1::2] = False
        state = {"robot_obs": robot, "scene_obs": scene}
        return Trajectories(
            {"rgb_static": frames, "rgb_gripper": frames},
            state,
            probability,
            success,
            0.01 * t * np.ones((num, 1)),
            1.0,
        )

    sequences = Sequences(
        TASKS,
        np.arange(num),
        np.arange(num) % 2,
        np.full(num, steps) - np.arange(num),
        np.zeros((num, steps, 7), np.float32),
    )
    return play(0.01), play(0.01 + drift), sequences
