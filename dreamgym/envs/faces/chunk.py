"""Action chunks for any single env, dream or real: one decision, several executed actions."""

from __future__ import annotations

from typing import Any, SupportsFloat

import gymnasium as gym
import numpy as np
from gymnasium import spaces


class ChunkActions(gym.Wrapper[Any, np.ndarray, Any, np.ndarray], gym.utils.RecordConstructorArgs):
    """Takes [chunk, A] actions, executes them in order, sums their rewards and stops at the first end.

    ``info`` is that of the last executed step, with "executed": how many actions were. The dream's own ``chunk=``
    does the same inside the core, also for vector envs.

    Args:
        env: a single env with a Box (A,) action space.
        chunk: actions a step.

    Raises:
        ValueError: a vector env, another action space, or a chunk below 1.
    """

    def __init__(self, env: gym.Env, chunk: int) -> None:
        if not isinstance(env, gym.Env):
            raise ValueError(
                f"ChunkActions wraps single envs, got {type(env).__name__}; make vector envs with chunk={chunk}"
            )
        box = env.action_space
        if not isinstance(box, spaces.Box) or len(box.shape) != 1:
            raise ValueError(f"ChunkActions needs an action space Box (A,), got {box}")
        if chunk < 1:
            raise ValueError(f"chunk must be at least 1, got {chunk}")
        gym.utils.RecordConstructorArgs.__init__(self, chunk=chunk)
        gym.Wrapper.__init__(self, env)
        self.chunk = chunk
        low, high = np.tile(box.low, (chunk, 1)), np.tile(box.high, (chunk, 1))
        self.action_space = spaces.Box(low, high, dtype=box.dtype)

    def step(self, action: np.ndarray) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Executes up to ``chunk`` actions.

        Raises:
            ValueError: the action is not [chunk, A].
        """
        action = np.asarray(action)
        if action.shape != self.action_space.shape:
            raise ValueError(f"actions have shape {action.shape}, expected {self.action_space.shape} (chunk, A)")
        total, executed = 0.0, 0
        for each in action:
            obs, reward, terminated, truncated, info = self.env.step(each)
            total, executed = total + float(reward), executed + 1
            if terminated or truncated:
                break
        return obs, total, terminated, truncated, {**info, "executed": executed}
