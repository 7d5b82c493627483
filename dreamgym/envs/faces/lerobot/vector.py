"""A core as the vector env that ``lerobot-eval`` scores policies in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from dreamgym.envs.core.core import DreamCore
from dreamgym.envs.faces.vector import check_graph, frames_per_second, to_numpy
from dreamgym.types import ActionSpec

OTHERS = ("lerobot_new_rollout",)
"""Reset options that LeRobot passes for wrappers of its own; they are none of ours."""


class LeRobotVectorEnv(VectorEnv[Any, Any, Any]):
    """B dreams (or twins) of one task, as LeRobot expects a vector env.

    Observations: ``pixels``, a dict of uint8 [B, H, W, C] by sensor (where there are images), as ``dreamgym export``
    names them, and ``agent_pos``, float32 [B, d]: the robot's own sensor where the suite names one, else the whole
    decoded state. An env whose episode ended keeps still, pays 0 and repeats its flags until the next reset, so that a
    rollout that waits for its slowest env costs nothing for the others. ``final_info["is_success"]`` holds the verdicts
    at steps at which some env ends.

    Seeds: env i of ``reset(seed=[s_0, ..., s_B-1])`` begins at start number s_i (modulo their number) of the task's
    starts in the bank's split. Seeds 0 to 99 are 100 test starts, each once, however they are batched; noise of the
    dream is seeded by the whole list.

    Args:
        make_core: makes the core when it is first needed: obs "dict", autoreset "disabled". A suite of many tasks then
            holds no more simulators than the task that is being scored.
        task: its name.
        num_envs: B.
        instruction: the task as a sentence.
        split: of the starts.
    """

    def __init__(
        self,
        make_core: Callable[[], DreamCore],
        task: str,
        num_envs: int,
        instruction: str,
        split: str | None = "test",
    ) -> None:
        self._make, self._split = make_core, split
        self.num_envs, self.task = num_envs, task
        self.task_description = instruction
        self._ended = np.zeros(num_envs, bool)

    @cached_property
    def core(self) -> DreamCore:
        """The simulation."""
        core = self._make()
        check_graph(core)
        if not isinstance(core.spec.action, ActionSpec):
            raise ValueError("LeRobot's policies give control actions, and this dream is driven by instructions")
        return core

    @property
    def _agent(self) -> str:
        own = self.core.reader.proprioception
        return "proprioception" if own in self.core.reader.vectors else "state"

    @cached_property
    def single_observation_space(self) -> spaces.Dict:  # type: ignore[override]
        """Of one env."""
        given = self.core.observation_space
        assert isinstance(given, spaces.Dict)
        pixels = {key: given[key] for key in self.core.reader.images}
        found: dict[str, spaces.Space] = {"pixels": spaces.Dict(pixels)} if pixels else {}
        if self._agent in given.spaces:
            found["agent_pos"] = given[self._agent]
        return spaces.Dict(found)

    @cached_property
    def single_action_space(self) -> spaces.Space:  # type: ignore[override]
        """Of one env."""
        return self.core.action_space

    @cached_property
    def observation_space(self) -> spaces.Space:  # type: ignore[override]
        """Of all envs."""
        return batch_space(self.single_observation_space, self.num_envs)

    @cached_property
    def action_space(self) -> spaces.Space:  # type: ignore[override]
        """Of all envs."""
        return batch_space(self.single_action_space, self.num_envs)

    @property
    def metadata(self) -> dict[str, Any]:  # type: ignore[override]
        """Gymnasium's, with the rate of real time."""
        modes = ["rgb_array"] if self.core.missing_camera is None else []
        fps = frames_per_second(self.core)
        return {"autoreset_mode": AutoresetMode.DISABLED, "render_modes": modes, "render_fps": fps}

    def reset(
        self, *, seed: int | Sequence[int] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Begins an episode in every env.

        Args:
            seed: one an env, or the first of B that follow each other; None draws.
            options: those of `DreamCore.reset`; LeRobot's own are passed over.

        Raises:
            ValueError: another number of seeds, or an option that is unknown.
        """
        options = {k: v for k, v in (options or {}).items() if k not in OTHERS}
        options.setdefault("task", self.task)
        first = None
        if seed is not None:
            seeds = [int(seed) + i for i in range(self.num_envs)] if isinstance(seed, int) else [int(s) for s in seed]
            if len(seeds) != self.num_envs or min(seeds) < 0:
                raise ValueError(f"seeds are {self.num_envs} whole numbers from 0, one for each env; got {seeds}")
            bank, first = self.core.starts, seeds[0]
            if bank is not None and not {"start", "history", "state"} & set(options):
                rows = bank.candidates(self.task, self._split)
                options["start"] = rows[torch.tensor(seeds) % len(rows)]
        obs, info = self.core.reset(seed=first, options=options)
        self._ended[:] = False
        return self._shown(obs), {k: to_numpy(v) for k, v in info.items()}

    def step(self, actions: np.ndarray) -> tuple[dict[str, Any], np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """One control action [B, A] in every env that has not ended."""
        obs, reward, terminated, truncated, info, _ = self.core.step(np.asarray(actions, np.float32))
        out: dict[str, Any] = {k: to_numpy(v) for k, v in info.items()}
        ended = to_numpy(terminated | truncated)
        if (ended & ~self._ended).any():
            out["final_info"] = {"is_success": out["is_success"], "_is_success": ended}
        self._ended |= ended
        return self._shown(obs), to_numpy(reward), to_numpy(terminated), to_numpy(truncated), out

    def _shown(self, obs: Any) -> dict[str, Any]:
        pixels = {key: to_numpy(obs[key]) for key in self.core.reader.images}
        shown: dict[str, Any] = {"pixels": pixels} if pixels else {}
        if self._agent in obs:
            shown["agent_pos"] = to_numpy(obs[self._agent])
        return shown

    def call(self, name: str, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """What each env answers to an attribute or a method: LeRobot's way of asking.

        Raises:
            AttributeError: these envs have none of that name.
        """
        if name == "render":
            return tuple(to_numpy(self.core.render()))
        known = {
            "_max_episode_steps": lambda: self.core.rules.horizon,
            "task_description": lambda: self.task_description,
            "task": lambda: self.task,
        }
        if name not in known:
            raise AttributeError(f"a {type(self).__name__} has no {name!r}; it answers to {[*known, 'render']}")
        return (known[name](),) * self.num_envs

    def get_attr(self, name: str) -> tuple[Any, ...]:
        """See `call`."""
        return self.call(name)

    def close_extras(self, **kwargs: Any) -> None:
        """Closes the core, if one was made."""
        if "core" in self.__dict__:
            self.core.close()
