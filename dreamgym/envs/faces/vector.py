"""The Gymnasium vector face: a core as a `gymnasium.vector.VectorEnv`, in numpy or torch arrays."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
import torch
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from torch import Tensor

from dreamgym.envs.core.core import DreamCore
from dreamgym.envs.core.steps import Final, Info, Obs

MODES = {
    "same_step": AutoresetMode.SAME_STEP,
    "next_step": AutoresetMode.NEXT_STEP,
    "disabled": AutoresetMode.DISABLED,
}
ARRAYS = ("numpy", "torch")


def mode_name(mode: str | AutoresetMode) -> str:
    """The core's word for an autoreset mode, given as that word, Gymnasium's ("SameStep") or its enum."""
    for name, member in MODES.items():
        if mode in (name, member, member.value):
            return name
    raise ValueError(f"autoreset_mode must be one of {list(MODES)} or a gymnasium AutoresetMode, got {mode!r}")


def without_stats(info: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The info without the statistics of episodes, and these as Gymnasium calls them: "r" and "l"; None: not kept."""
    if "episode_return" not in info:
        return info, None
    rest = {k: v for k, v in info.items() if k not in ("episode_return", "episode_length")}
    return rest, {"r": info["episode_return"], "l": info["episode_length"]}


def to_numpy(value: Any) -> Any:
    """Tensors of a nested dict as numpy arrays; on the CPU the memory is shared (the core hands out fresh tensors)."""
    if isinstance(value, dict):
        return {k: to_numpy(v) for k, v in value.items()}
    return value.detach().cpu().numpy()


class DreamVectorEnv(VectorEnv[Any, Any, Any]):
    """B dreams (or B twins) as one vector env.

    Infos follow Gymnasium: arrays [B] by key, each with a mask ``_key`` that says for which envs it was set. In mode
    "same_step" the last observation and info of ended envs are ``final_obs`` and ``final_info``; numpy ``final_obs`` is
    Gymnasium's array of objects (None where no env ended), torch ``final_obs`` a dense [B, ...] tensor to be read where
    ``_final_obs`` is true. On an accelerator both are there after every step, since looking for an end would wait.

    With ``episode_stats`` the return "r" and length "l" (control actions) of the episodes that ended stand where
    Gymnasium's `RecordEpisodeStatistics` puts them: in ``infos["episode"]``, with the mask ``_episode``.

    Args:
        core: the simulation.
        array: "numpy", or "torch": tensors on the core's device in and out.
        render_mode: "rgb_array": ``render`` gives a tuple of B pictures.
        render_scale: whole number by which pictures are enlarged.
    """

    def __init__(
        self, core: DreamCore, array: str = "numpy", render_mode: str | None = None, render_scale: int = 1
    ) -> None:
        if array not in ARRAYS:
            raise ValueError(f"array must be one of {ARRAYS}, got {array!r}")
        if array == "numpy":
            check_graph(core)
        self.core, self.array, self.num_envs = core, array, core.num_envs
        self.render_mode, self.render_scale = check_render(core, render_mode, render_scale), render_scale
        self.metadata = {
            "autoreset_mode": MODES[core.autoreset],
            "render_modes": ["rgb_array"] if core.missing_camera is None else [],
            "render_fps": frames_per_second(core),
        }
        self.single_observation_space = core.observation_space
        self.single_action_space = core.action_space
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """See `DreamCore.reset`; ``options["reset_mask"]`` resets in part."""
        if seed is not None and not isinstance(seed, Integral):
            raise ValueError(
                f"one seed is that of all {self.num_envs} envs, whose noise is drawn together; got {seed!r}"
            )
        super().reset(seed=None if seed is None else int(seed))
        obs, info = self.core.reset(seed=seed, options=options)
        mask = self.core.read_mask((options or {}).get("reset_mask"))
        return self._out(obs), self._info(
            info, torch.ones_like(info["task"], dtype=torch.bool) if mask is None else mask
        )

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """See `DreamCore.step`."""
        obs, reward, terminated, truncated, info, final = self.core.step(actions)
        info, episode = without_stats(info)
        infos = self._info(info, torch.ones_like(terminated) if final is None else ~final.mask)
        if episode is not None and self.core.autoreset != "same_step":
            infos |= self._episode(episode, terminated | truncated)
        if final is not None:
            infos |= self._final(final, obs)
        out = self._out
        return out(obs), out(reward), out(terminated), out(truncated), infos

    def _out(self, value: Any) -> Any:
        return to_numpy(value) if self.array == "numpy" else value

    def _info(self, info: Info, mask: Tensor) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for key, value in info.items():
            out[key] = self._out(value)
            # The task of an env that was just reset is that of its new episode, and known.
            out[f"_{key}"] = self._out(torch.ones_like(mask) if key == "task" else mask)
        return out

    def _episode(self, episode: dict[str, Tensor], ended: Tensor) -> dict[str, Any]:
        """Statistics of the episodes that ended; zero elsewhere."""
        kept = {name: self._out(value.masked_fill(~ended, 0)) for name, value in episode.items()}
        return {"episode": kept, "_episode": self._out(ended)}

    def _final(self, final: Final, obs: Obs) -> dict[str, Any]:
        mask = self._out(final.mask)
        dense = final.info if final.rows is None else _scatter(final.info, final.rows, self.num_envs)
        final_obs = self._final_objects(final) if self.array == "numpy" else _fill(final, obs)
        told, episode = without_stats(dense)  # type: ignore[arg-type]
        info = self._info(told, final.mask) | {"_task": mask}
        out = {"final_obs": final_obs, "_final_obs": mask, "final_info": info, "_final_info": mask}
        return out if episode is None else out | self._episode(episode, final.mask)

    def _final_objects(self, final: Final) -> np.ndarray:
        """[B] objects: the last observation of each env that ended, else None."""
        rows = final.mask.nonzero().flatten() if final.rows is None else final.rows
        obs = to_numpy(final.obs)
        objects = np.full(self.num_envs, None, dtype=object)
        for place, env in enumerate(rows.tolist()):
            i = env if final.rows is None else place
            objects[env] = {k: v[i] for k, v in obs.items()} if isinstance(obs, dict) else obs[i]
        return objects

    def render(self) -> tuple[np.ndarray, ...] | None:
        """One picture [H, W, 3] an env, its cameras side by side; None without a render mode."""
        return None if self.render_mode is None else tuple(enlarge(to_numpy(self.core.render()), self.render_scale))

    def close_extras(self, **kwargs: Any) -> None:
        """Closes the core."""
        self.core.close()


def _scatter(info: Obs, rows: Tensor, size: int) -> Obs:
    """Rows of each entry spread over ``size`` envs, zero elsewhere."""
    assert isinstance(info, dict)
    return {k: v.new_zeros((size, *v.shape[1:])).index_copy_(0, rows, v) for k, v in info.items()}


def _fill(final: Final, obs: Obs) -> Obs:
    """The last observations as a dense batch; envs that did not end hold their present observation."""
    if final.rows is None:
        return final.obs
    if isinstance(obs, dict):
        assert isinstance(final.obs, dict)
        return {k: v.index_copy(0, final.rows, final.obs[k]) for k, v in obs.items()}
    assert isinstance(final.obs, Tensor)
    return obs.index_copy(0, final.rows, final.obs)


def frames_per_second(core: DreamCore) -> int:
    """Pictures a second of real time: one a step."""
    actions = core.num_frames * core.spec.actions_per_frame
    return max(1, round(core.spec.frame_rate / actions))


def check_graph(core: DreamCore) -> None:
    """ValueError where a core keeps the autograd graph and its face would cut it: numpy arrays hold none."""
    if core.gradients:
        raise ValueError(
            "gradients=True keeps the autograd graph, which numpy arrays cannot hold: take torch tensors, "
            "gym.make_vec(..., array='torch'), dreamgym.torchrl_env or dreamgym.make_core; or leave gradients out"
        )


def check_render(
    core: DreamCore, render_mode: str | None, render_scale: int, modes: tuple[str, ...] = ("rgb_array",)
) -> str | None:
    """The render mode, if it is one of the face's and the core can serve it; ValueError otherwise."""
    if render_mode is not None and render_mode not in modes:
        raise ValueError(f"render_mode must be {' or '.join(map(repr, modes))} or None, got {render_mode!r}")
    if render_mode is not None and core.missing_camera is not None:
        raise ValueError(f"render_mode={render_mode!r} needs {core.missing_camera}")
    if render_scale < 1 or int(render_scale) != render_scale:
        raise ValueError(f"render_scale must be a whole number of at least 1, got {render_scale}")
    return render_mode


def enlarge(pictures: np.ndarray, scale: int) -> np.ndarray:
    """[B, H, W, 3] with every pixel repeated ``scale`` times each way."""
    return pictures if scale == 1 else pictures.repeat(scale, 1).repeat(scale, 2)
