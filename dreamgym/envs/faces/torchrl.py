"""The TorchRL face: a core as `torchrl.envs.EnvBase`. Import it through `dreamgym.torchrl_env`."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor

from dreamgym.envs.core.core import DreamCore
from dreamgym.envs.core.steps import Info, Obs
from dreamgym.envs.registration import make_core_by_id

try:
    from tensordict import TensorDict, TensorDictBase
    from torchrl.data import Binary, Bounded, Categorical, Composite, Unbounded
    from torchrl.envs import EnvBase
except ImportError as missing:
    raise ImportError('the TorchRL face needs torchrl: pip install "dreamgym[torchrl]"') from missing

# Info that travels with the observations: dtype by key.
INFO = {
    "is_success": torch.bool,
    "success_probability": torch.float32,
    "uncertainty": torch.float32,
    "task": torch.int64,
    "horizon_reached": torch.bool,
    "uncertainty_exceeded": torch.bool,
    "model_failure": torch.bool,
    "episode_return": torch.float32,
    "episode_length": torch.int64,
}


MOST_COPIED = 32
FLAGS = ("done", "terminated", "truncated")


class DreamTorchRLEnv(EnvBase):
    """B dreams with batch size [B]; ends are reset in part through "_reset", as collectors and rollouts do.

    Observations: "observation" [B, ...], or with ``obs="dict"`` and ``obs="pixels"`` each entry under its own name
    (pixels uint8 [B, H, W, C]). "done", "terminated", "truncated", "reward" and the info entries are [B, 1].

    Args:
        core: a core with ``autoreset`` "disabled".
        info: which entries of the core's info to deliver beside the observation; each costs a little time.
    """

    def __init__(self, core: DreamCore, info: tuple[str, ...] = ("is_success", "success_probability")) -> None:
        if core.autoreset != "disabled":
            raise ValueError(f"the TorchRL face resets what ended itself: leave autoreset_mode={core.autoreset!r} away")
        unknown = [k for k in info if k not in INFO]
        if unknown:
            raise ValueError(f"unknown info {unknown}; known: {list(INFO)}")
        super().__init__(device=core.device, batch_size=torch.Size([core.num_envs]))
        self.core, self.info = core, info
        # EnvBase's own properties cost a search each.
        self._size, self._device_of_all = self.batch_size, core.device
        self._dict = isinstance(core.observation_space, gym.spaces.Dict)
        self._seed: int | None = None
        self._make_specs()
        self._zeros = torch.zeros((core.num_envs, 1), dtype=torch.bool, device=core.device)

    def _make_specs(self) -> None:
        core = self.core
        batch = self.batch_size
        spaces = core.observation_space.spaces if self._dict else {"observation": core.observation_space}  # type: ignore[attr-defined]
        specs = {k: _spec(v, batch, self.device) for k, v in spaces.items()}
        for key in self.info:
            highest = len(core.tasks) if key == "task" else None
            specs[key] = _info_spec(INFO[key], (*batch, 1), highest, self.device)
        self.observation_spec = Composite(specs, shape=batch, device=self.device)
        self.action_spec = _spec(core.action_space, batch, self.device)
        self.reward_spec = Unbounded((*batch, 1), device=self.device)
        flag = {k: Binary(1, shape=(*batch, 1), dtype=torch.bool, device=self.device) for k in FLAGS}
        self.full_done_spec = Composite(flag, shape=batch, device=self.device)

    def _reset(self, tensordict: TensorDictBase | None = None, **kwargs: Any) -> TensorDictBase:
        mask = None if tensordict is None else tensordict.get("_reset", None)
        if mask is not None:
            mask = mask.reshape(self.core.num_envs)
        if self._seed is not None or not self.core.ready:
            # A seed speaks of the whole batch; so does the first reset.
            obs, info = self.core.reset(seed=self._seed)
            self._seed = None
        else:
            obs, info = self.core.reset(mask=mask)
        out = self._entries(obs, info)
        done = self._zeros if mask is None else self.core.done.unsqueeze(1)
        out["done"], out["terminated"], out["truncated"] = done.clone(), done.clone(), done.clone()
        return TensorDict._new_unsafe(out, batch_size=self.batch_size, device=self.device)

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        out = self._stepped(tensordict.get("action"))
        return TensorDict._new_unsafe(out, batch_size=self._size, device=self._device_of_all)

    def _stepped(self, action: Tensor) -> dict[str, Tensor]:
        """The entries of a step: observation, info, reward and ends, each [B, ...]."""
        obs, verdict = self.core.step_bare(action)
        info = {**verdict.info(), **self.core.stats()} if self.info else {}
        if "task" in self.info:
            info["task"] = self.core.counters["task"].clone()
        out = self._entries(obs, info)
        out["reward"] = verdict.reward.unsqueeze(1)
        out["terminated"], out["truncated"] = verdict.terminated.unsqueeze(1), verdict.truncated.unsqueeze(1)
        out["done"] = out["terminated"] | out["truncated"]
        return out

    def step_and_maybe_reset(self, tensordict: TensorDictBase) -> tuple[TensorDictBase, TensorDictBase]:
        """What `EnvBase` does, in fewer steps where it can be: at 16 envs its bookkeeping costs what a model does.

        Rollouts and collectors call this. It builds the next root tensordict (every root entry but the reward, then
        what the step gave) directly; anything out of the ordinary goes the long way.
        """
        held = tensordict._tensordict if type(tensordict) is TensorDict else {"next": None}
        unusual = (
            "next" in held
            or "_step" in held
            or tensordict.is_locked
            or tensordict.device != self._device_of_all
            or tensordict.batch_size != self._size
            or self.run_type_checks
            or self._post_step_mdp_hooks is not None
            or self.__dict__.get("_compiled_step_and_maybe_reset") is not None
        )
        if unusual:
            return super().step_and_maybe_reset(tensordict)
        following = {k: v for k, v in held.items() if k != "reward"}
        out = self._stepped(tensordict.get("action"))
        # Every entry has the right batch size and device already, so the checks of the constructor are skipped.
        held["next"] = TensorDict._new_unsafe(out, batch_size=self._size, device=self._device_of_all)
        following.update(out)
        del following["reward"]
        if self.core.some_done:
            foreign = [k for k in held if k not in out and k != "next"]
            plain = {k: v for k in foreign if isinstance(v := held[k], Tensor)}
            if len(plain) == len(foreign) and self.core.fast is not None and self._seed is None:
                following.update(self._restarted(out, plain))
                return tensordict, TensorDict._new_unsafe(following, batch_size=self._size, device=self._device_of_all)
        root = TensorDict._new_unsafe(following, batch_size=self._size, device=self._device_of_all)
        return tensordict, self.maybe_reset(root) if self.core.some_done else root

    def _restarted(self, out: dict[str, Tensor], foreign: dict[str, Tensor]) -> dict[str, Tensor]:
        """What new episodes in the ended envs change in the root tensordict, as TorchRL would have it.

        Args:
            out: entries of the step that ended them.
            foreign: entries of others (actions, hidden states): zero where an episode begins, unless all begin.
        """
        obs, task = self.core.restart()
        changed = dict(obs) if isinstance(obs, dict) else {"observation": obs}
        ended = out["done"]
        for key in self.info:
            changed[key] = task.unsqueeze(1) if key == "task" else out[key].masked_fill(ended, 0)
        for key, flag in zip(FLAGS, self._zeros.repeat(len(FLAGS), 1, 1), strict=True):
            changed[key] = flag
        if foreign and not bool(ended.all()):
            for key, value in foreign.items():
                changed[key] = value.masked_fill(ended.view(-1, *[1] * (value.dim() - 1)), 0)
        return changed

    def _entries(self, obs: Obs, info: Info) -> dict[str, Tensor]:
        out = dict(obs) if isinstance(obs, dict) else {"observation": obs}
        for key in self.info:
            value = info.get(key)
            if value is None:
                value = torch.zeros(self.core.num_envs, dtype=INFO[key], device=self.device)
            out[key] = value.unsqueeze(1)
        return out

    def _set_seed(self, seed: int | None) -> None:
        self._seed = seed

    def close(self, *, raise_if_closed: bool = True) -> None:
        """Closes the core."""
        super().close(raise_if_closed=raise_if_closed)
        self.core.close()


def _spec(space: gym.Space, batch: torch.Size, device: torch.device) -> Any:
    """The batched spec of a single-env space."""
    if isinstance(space, gym.spaces.Discrete):
        return Categorical(int(space.n), shape=batch, dtype=torch.int64, device=device)
    assert isinstance(space, gym.spaces.Box)
    dtype = torch.uint8 if space.dtype == np.uint8 else torch.float32
    shape = (*batch, *space.shape)
    if not space.is_bounded():
        return Unbounded(shape, dtype=dtype, device=device)
    low, high = (torch.as_tensor(b).expand(shape).clone() for b in (space.low, space.high))
    return Bounded(low, high, shape=shape, dtype=dtype, device=device)


def _info_spec(dtype: torch.dtype, shape: tuple[int, ...], highest: int | None, device: torch.device) -> Any:
    """The spec of an info entry; ``highest``: how many values it can take, where it is an index."""
    if dtype == torch.bool:
        return Binary(1, shape=shape, dtype=dtype, device=device)
    if highest is not None:
        return Categorical(highest, shape=shape, dtype=dtype, device=device)
    return Unbounded(shape, dtype=dtype, device=device)


def torchrl_env(
    id: str, num_envs: int = 1, info: tuple[str, ...] = ("is_success", "success_probability"), **kwargs: Any
) -> DreamTorchRLEnv:
    """A dream or twin as a TorchRL env: ``dreamgym.torchrl_env("Dream-PlayTable-v0", num_envs=64, device="cpu")``.

    Args:
        id: an env id of this library.
        num_envs: B.
        info: see `DreamTorchRLEnv`.
        kwargs: as for `gymnasium.make_vec` with that id; ``validate`` is off, and ``share_features`` on for more
            than 32 envs, unless given.

    Raises:
        ImportError: torchrl is missing.
        ValueError: not an id of this library, or options that do not fit.
    """
    if given := sorted({"render_mode", "render_scale"} & set(kwargs)):
        raise ValueError(f"{given[0]} is no option here: a TorchRL env's env.core.render() gives uint8 [B, H, W, 3]")
    # A copy of few envs costs less than inference mode saves the core that shares nothing.
    kwargs.setdefault("share_features", num_envs > MOST_COPIED)
    kwargs.setdefault("uncertainty", any(k.startswith("uncertainty") for k in info))
    kwargs.setdefault("episode_stats", any(k.startswith("episode_") for k in info))
    kwargs = {"autoreset_mode": "disabled", **kwargs}
    return DreamTorchRLEnv(make_core_by_id(id, num_envs=num_envs, **kwargs), info)
