"""The Gymnasium single-env face: one dream (or twin) in numpy, with pictures."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

from dreamgym.envs.core.core import DreamCore
from dreamgym.envs.faces.vector import check_graph, check_render, enlarge, frames_per_second, to_numpy, without_stats

MODES = ("rgb_array", "rgb_array_list")


class DreamEnv(gym.Env[Any, np.ndarray]):
    """A core of one env as `gymnasium.Env`.

    ``info`` holds plain Python values: is_success, success_probability, uncertainty, task (its name), horizon_reached,
    uncertainty_exceeded, model_failure; with ``episode_stats`` at an episode's end "episode": its return "r" and length
    "l" (control actions).

    Args:
        core: a core with ``num_envs`` 1 and ``autoreset`` "disabled".
        render_mode: "rgb_array": ``render`` gives a picture; "rgb_array_list": a list of the pictures of all frames
            since the last call or reset, so that a step of several frames is seen as a clip; or None.
        render_scale: whole number by which the picture is enlarged.
    """

    metadata: dict[str, Any] = {"render_modes": list(MODES), "render_fps": 30}

    def __init__(self, core: DreamCore, render_mode: str | None = None, render_scale: int = 1) -> None:
        if core.num_envs != 1 or core.autoreset != "disabled":
            raise ValueError(
                f"a single env needs a core with num_envs=1 and autoreset='disabled', got num_envs={core.num_envs}, "
                f"autoreset={core.autoreset!r}"
            )
        check_graph(core)
        self.core, self.render_scale = core, render_scale
        self.render_mode = check_render(core, render_mode, render_scale, MODES)
        modes = list(MODES) if core.missing_camera is None else []
        self.metadata = {**self.metadata, "render_modes": modes, "render_fps": self._pictures_per_second()}
        self._film: list[np.ndarray] = []
        self.observation_space, self.action_space = core.observation_space, core.action_space

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """See `DreamCore.reset`."""
        super().reset(seed=seed)
        obs, info = self.core.reset(seed=seed, options=options)
        if self.render_mode == "rgb_array_list":
            self._film = [self._picture()]
        return self._obs(obs), self._info(info)

    def step(self, action: np.ndarray) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """See `DreamCore.step`."""
        obs, reward, terminated, truncated, info = self._stepped(np.asarray(action)[None])
        info, episode = without_stats(info)
        told = self._info(info)
        if episode is not None and bool(terminated[0] | truncated[0]):
            told["episode"] = {name: value[0].item() for name, value in episode.items()}
        return self._obs(obs), float(reward[0]), bool(terminated[0]), bool(truncated[0]), told

    def _stepped(self, action: np.ndarray) -> tuple[Any, ...]:
        """The core's step; for "rgb_array_list" frame by frame, a picture of each kept."""
        if self.render_mode != "rgb_array_list":
            return self.core.step(action)[:5]
        total: Any = 0.0
        for obs, reward, terminated, truncated, info, _ in self.core.frames(action):  # noqa: B007 - the last ones count
            self._film.append(self._picture())
            total = total + reward
            if terminated[0] or truncated[0]:
                break
        return obs, total, terminated, truncated, info

    def _obs(self, obs: Any) -> Any:
        if not isinstance(obs, dict):
            return to_numpy(obs)[0]
        spaces = self.observation_space.spaces  # type: ignore[attr-defined]
        # A Discrete entry is a number, not an array.
        return {k: np.int64(v[0]) if spaces[k].shape == () else to_numpy(v)[0] for k, v in obs.items()}

    def _info(self, info: dict[str, Any]) -> dict[str, Any]:
        out = {k: v[0].item() for k, v in info.items()}
        out["task"] = self.core.tasks[out["task"]]
        return out

    def render(self) -> np.ndarray | list[np.ndarray] | None:  # type: ignore[override]
        """[H, W, 3] uint8, the cameras side by side, or a list of them; None without a render mode."""
        if self.render_mode == "rgb_array_list":
            film, self._film = self._film, []
            return film
        return None if self.render_mode is None else self._picture()

    def _picture(self) -> np.ndarray:
        return enlarge(to_numpy(self.core.render()), self.render_scale)[0]

    def _pictures_per_second(self) -> int:
        if self.render_mode != "rgb_array_list":
            return frames_per_second(self.core)
        return max(1, round(self.core.spec.frame_rate / self.core.spec.actions_per_frame))

    def close(self) -> None:
        """Closes the core."""
        self.core.close()
