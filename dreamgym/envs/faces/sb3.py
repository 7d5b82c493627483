"""The Stable-Baselines3 face: a core as a `VecEnv`. Import it through `dreamgym.sb3_env`."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

import gymnasium as gym
import numpy as np

from dreamgym.envs.core.core import DreamCore
from dreamgym.envs.core.steps import Final
from dreamgym.envs.faces.vector import check_graph, check_render, enlarge, to_numpy, without_stats
from dreamgym.envs.registration import make_core_by_id

try:
    from stable_baselines3.common.vec_env import VecEnv
except ImportError as missing:
    raise ImportError('the SB3 face needs stable-baselines3: pip install "dreamgym[sb3]"') from missing


class DreamVecEnv(VecEnv):
    """B dreams as SB3 sees them: same-step autoreset, a list of info dicts.

    Infos of an env that goes on: ``is_success``, ``success_probability`` (and ``uncertainty`` where the core reports
    it). Infos of an env that ended add ``terminal_observation``, ``TimeLimit.truncated``, ``task`` and the reasons.
    With ``episode_stats`` they also have ``episode`` (return "r", length "l" in control actions, seconds "t"), which
    SB3 logs: no `VecMonitor` is needed.
    A truncation by the uncertainty limit or a model failure has ``TimeLimit.truncated`` false: SB3 bootstraps the value
    of the last state where it is true, and there that value means nothing.

    Args:
        core: a core with ``autoreset`` "same_step".
        render_mode: "rgb_array" or None.
        render_scale: whole number by which pictures are enlarged.
    """

    def __init__(self, core: DreamCore, render_mode: str | None = None, render_scale: int = 1) -> None:
        if core.autoreset != "same_step":
            raise ValueError(f"SB3 wants autoreset_mode='same_step': leave autoreset_mode={core.autoreset!r} away")
        check_graph(core)
        self.core, self.render_scale = core, render_scale
        self.render_mode = check_render(core, render_mode, render_scale)
        self._closed, self._began = False, time.monotonic()
        super().__init__(core.num_envs, core.observation_space, core.action_space)

    def reset(self) -> Any:
        """Begins all episodes, from the seed that `seed` left where it left one."""
        seed = self._seeds[0]
        options = self._options[0] if self._options and self._options[0] else None
        obs, info = self.core.reset(seed=seed, options=options)
        self._reset_seeds()
        self._reset_options()
        task = info["task"].tolist()
        self.reset_infos = [{"task": self.core.tasks[t]} for t in task]
        return to_numpy(obs)

    def step_async(self, actions: np.ndarray) -> None:
        """Keeps the actions for `step_wait`."""
        self._pending = actions

    def step_wait(self) -> Any:
        """See `DreamCore.step`."""
        obs, reward, terminated, truncated, info, final = self.core.step(self._pending)
        shown = {k: info[k].tolist() for k in ("is_success", "success_probability", "uncertainty") if k in info}
        infos: list[dict[str, Any]] = [dict(zip(shown, row, strict=True)) for row in zip(*shown.values(), strict=True)]
        if final is not None:
            self._add_final(infos, final, truncated.tolist())
        return to_numpy(obs), to_numpy(reward), to_numpy(terminated | truncated), infos

    def _add_final(self, infos: list[dict[str, Any]], final: Final, truncated: list[bool]) -> None:
        rows = final.mask.nonzero().flatten() if final.rows is None else final.rows
        obs, last = to_numpy(final.obs), {k: v.tolist() for k, v in final.info.items()}
        for place, env in enumerate(rows.tolist()):
            i = env if final.rows is None else place
            info, episode = without_stats({k: v[i] for k, v in last.items()})
            if episode is not None:
                info["episode"] = {**episode, "t": time.monotonic() - self._began}
            info["task"] = self.core.tasks[info["task"]]
            info["TimeLimit.truncated"] = truncated[env] and not (
                info["model_failure"] or info.get("uncertainty_exceeded", False)
            )
            info["terminal_observation"] = {k: v[i] for k, v in obs.items()} if isinstance(obs, dict) else obs[i]
            infos[env] = info

    def close(self) -> None:
        """Closes the core."""
        self.core.close()

    def get_images(self) -> Sequence[np.ndarray | None]:
        """A picture an env."""
        if self.render_mode is None:
            return [None] * self.num_envs
        return list(enlarge(to_numpy(self.core.render()), self.render_scale))

    # SB3's way to reach into envs: here they are rows of one core, so an attribute is the same for all.

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """The core's (or this env's) attribute, once for each env asked for."""
        owner = self if hasattr(self, attr_name) else self.core
        return [getattr(owner, attr_name) for _ in self._indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Not possible: the envs are rows of one batch."""
        raise NotImplementedError(f"the envs share one core: make a new env with {attr_name}={value!r} instead")

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        """Calls a method of this env once, and repeats its result for each env asked for."""
        result = getattr(self, method_name)(*args, **kwargs)
        return [result for _ in self._indices(indices)]

    def env_is_wrapped(self, wrapper_class: type[gym.Wrapper], indices: Any = None) -> list[bool]:
        """No env is wrapped."""
        return [False for _ in self._indices(indices)]

    def _indices(self, indices: Any) -> Iterable[int]:
        return range(self.num_envs) if indices is None else [indices] if isinstance(indices, int) else indices


def sb3_env(
    id: str, num_envs: int = 1, render_mode: str | None = None, render_scale: int = 1, **kwargs: Any
) -> DreamVecEnv:
    """A dream or twin as an SB3 VecEnv: ``dreamgym.sb3_env("Dream-PlayTable-v0", num_envs=64)``.

    Args:
        id: an env id of this library.
        num_envs: B.
        render_mode, render_scale: see `DreamVecEnv`.
        kwargs: as for `gymnasium.make_vec` with that id; ``validate`` is on unless given.

    Raises:
        ImportError: stable-baselines3 is missing.
        ValueError: not an id of this library, or options that do not fit.
    """
    kwargs = {"validate": True, "autoreset_mode": "same_step", **kwargs}
    return DreamVecEnv(make_core_by_id(id, num_envs=num_envs, **kwargs), render_mode, render_scale)
