"""Pictures of states: a suite's simulator, posed as a recorded or imagined state says and drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np

from dreamgym.suites.base import Suite

IMAGE_SIZE = 128  # pixels, where nobody says


class Drawing:
    """Draws what a suite's state shows; for dreams that imagine no images, and twins without a camera.

    The simulator is made at the first picture.

    Args:
        suite: one that can draw (`Suite.draws`).
        kwargs: options of its simulator; cameras are not needed.

    Attributes:
        keys: the vector sensors that a picture is drawn from.
    """

    def __init__(self, suite: Suite, kwargs: Mapping[str, Any] | None = None) -> None:
        if not suite.draws:
            raise ValueError(f"the suite {suite.name!r} cannot draw its states: it names no sensors for it (draws)")
        self.suite, self.keys = suite, suite.draws
        self._kwargs = {"image_size": IMAGE_SIZE, **(kwargs or {}), "cameras": (), "task": None, "render_mode": None}
        self._env: gym.Env | None = None

    @property
    def missing(self) -> str | None:
        """What has to be installed or found first, with the mend; None where nothing has."""
        try:
            self.suite.check_installed()
            if self.suite.find_assets is not None and self._kwargs.get("assets") is None:
                self.suite.find_assets()
        except (ImportError, FileNotFoundError) as missing:
            return str(missing)
        return None

    def __call__(self, sensors: Mapping[str, np.ndarray], tasks: Sequence[str]) -> np.ndarray:
        """Pictures of K states.

        Args:
            sensors: [K, d] by name; those of ``keys`` are read.
            tasks: K names; of one that is not the suite's the scene of its first task is drawn.

        Returns:
            uint8 [K, H, W, 3].

        Raises:
            ImportError: the simulator is not installed.
            FileNotFoundError: its assets are not there.
            ValueError: states of another shape, or not finite.
        """
        if self._env is None:
            self._env = self.suite.make(**self._kwargs)
        known, draw = self.suite.tasks, self._env.get_wrapper_attr("picture")
        shown = [
            draw({k: sensors[k][i] for k in self.keys}, task if task in known else known[0])
            for i, task in enumerate(tasks)
        ]
        return np.stack(shown)

    def close(self) -> None:
        """Frees the simulator."""
        if self._env is not None:
            self._env.close()
            self._env = None
