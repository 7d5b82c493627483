"""Scripted skills that try a task from a snapshot: who acts in rollouts of the twin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dreamgym.suites.base import Attempt
from dreamgym.suites.calvin.play import PlayConfig, Stage, draw_style
from dreamgym.suites.calvin.skills import SkillRun
from dreamgym.suites.calvin.skills_engine import Waypoint


class CalvinTrials:
    """Keeps `dreamgym.suites.base.Trials`.

    Args:
        sensors: cameras to draw are those of ``kwargs`` that are among them ("rgb_static": "static").
        kwargs: scene, image_size, visuals and cameras of the simulator.

    Raises:
        ImportError: pybullet is missing.
    """

    def __init__(self, sensors: Sequence[str] = (), **kwargs: Any) -> None:
        cameras = kwargs.pop("cameras", PlayConfig.cameras)
        drawn = tuple(c for c in cameras if f"rgb_{c}" in sensors)
        self.stage = Stage(PlayConfig(**kwargs, cameras=drawn))

    def attempt(
        self,
        task: str,
        snapshot: np.ndarray,
        rng: np.random.Generator,
        *,
        horizon: int,
        linger: int | None = None,
        noise: float = 0.0,
        miss: bool = False,
    ) -> Attempt:
        """See `dreamgym.suites.base.Trials`."""
        stage = self.stage
        stage.obs, _ = stage.env.reset(options={"snapshot": snapshot})
        stage.view.update(stage.obs)
        stage.hand.rng = rng
        stage.hand.sync(stage.view)
        run = SkillRun(task, stage.hand, stage.view, rng, draw_style(rng, miss=miss), horizon)
        start, succeeded = run.start, run.skill.success
        frames: list[Mapping[str, np.ndarray]] = [stage.obs]
        actions: list[np.ndarray] = []
        marks = [False]
        while len(actions) < horizon and linger != 0:
            if run.done and linger is None:
                run = SkillRun("wander", stage.hand, stage.view, rng, draw_style(rng, miss=False), horizon)
            if run.done:
                action = stage.hand.act(
                    stage.view, Waypoint(stage.hand.reference.copy(), float(actions[-1][6])), run.style
                )
            else:
                action = run.act()
            noisy = np.clip(action + np.append(noise * rng.normal(size=6), 0.0), -1, 1).astype(np.float32)
            # The hand keeps a copy of the simulator's target pose, which only knows executed actions.
            stage.hand.target += (noisy[:3] - action[:3]) * 0.02
            stage.hand.target_euler += (noisy[3:6] - action[3:6]) * 0.05
            stage.obs, *_ = stage.env.step(noisy)
            stage.view.update(stage.obs)
            run.settle()
            actions.append(noisy)
            frames.append(stage.obs)
            marks.append(bool(succeeded(start, stage.view.scene_obs)))
            if linger is not None:
                linger -= bool(marks[-1] or run.done)
        return Attempt(frames, np.stack(actions), np.array(marks))

    def close(self) -> None:
        """Frees the simulator."""
        self.stage.env.close()
