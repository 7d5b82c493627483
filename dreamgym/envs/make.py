"""From a checkpoint's name, or the checkpoint itself, to a core and its faces."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from dreamgym.envs.core.core import DreamCore
from dreamgym.envs.core.starts import StartBank
from dreamgym.envs.faces.single import DreamEnv
from dreamgym.envs.faces.vector import DreamVectorEnv, mode_name
from dreamgym.envs.registration import DREAMS
from dreamgym.rewards.base import RewardModel

if TYPE_CHECKING:
    from dreamgym.training.checkpoint import Checkpoint


SHIPPED = {kwargs["checkpoint"]: name for name, kwargs in DREAMS.items() if "checkpoint" in kwargs}


def open_checkpoint(checkpoint: str | Checkpoint | None) -> Checkpoint:
    """The checkpoint of that name, or the object as it is.

    Raises:
        ValueError: none was named, or it is damaged, foreign or newer (see `dreamgym.training.checkpoint`).
        FileNotFoundError: there is none of that name; the message names the mend.
    """
    if checkpoint is None:
        raise ValueError(
            "Dream-v0 needs a checkpoint: gym.make('Dream-v0', checkpoint='path/to/folder'), 'hf://org/name' or a "
            "shipped name"
        )
    if not isinstance(checkpoint, str | os.PathLike):
        return checkpoint
    from dreamgym.training.checkpoint import built_in_names, load

    if checkpoint in SHIPPED and checkpoint not in built_in_names() and not os.path.isdir(checkpoint):
        raise ValueError(
            f"the checkpoint {checkpoint!r} of {SHIPPED[checkpoint]} is not in this installation (which has "
            f"{built_in_names() or 'none'}): install a release of dreamgym, train it with the scripts of the "
            "repository, or pass checkpoint='path/to/folder' of your own"
        )
    return load(checkpoint)


def choose_reward(checkpoint: Checkpoint, name: str | None) -> RewardModel:
    """The reward model called ``name``, by default "success" or else the only or first one."""
    rewards = checkpoint.rewards
    if not rewards:
        raise ValueError("this checkpoint holds no reward model, so nothing says when a task is done; add one to it")
    if name is None:
        name = "success" if "success" in rewards else next(iter(rewards))
    if name not in rewards:
        raise ValueError(f"no reward model {name!r} in this checkpoint; it holds {list(rewards)}")
    return rewards[name]


def start_bank(checkpoint: Checkpoint) -> StartBank | None:
    """The checkpoint's start bank, or None."""
    if not checkpoint.starts:
        return None
    return StartBank.from_tensors(checkpoint.starts, checkpoint.starts_meta["tasks"])


def make_core(
    checkpoint: str | Checkpoint | None = None,
    *,
    task: str | Sequence[str] = "all",
    num_envs: int = 1,
    horizon: int = 64,
    reward: str = "success",
    reward_model: str | None = None,
    obs: str = "features",
    autoreset_mode: Any = "same_step",
    uncertainty: bool = True,
    uncertainty_limit: float | str | None = None,
    chunk: int | None = None,
    validate: bool = False,
    split: str | None = "train",
    gradients: bool = False,
    share_features: bool = False,
    compile: bool = False,
    device: str | torch.device | None = None,
) -> DreamCore:
    """A batch of dreams from a checkpoint, without any face.

    Args:
        checkpoint: a shipped name ("playtable", "calvin_d"), a folder, ``hf://org/name``, or a loaded checkpoint.
        reward: "success" or "probability".
        reward_model: which of the checkpoint's reward models.
        autoreset_mode: "same_step", "next_step" or "disabled", or Gymnasium's AutoresetMode.
        task, num_envs, horizon, obs, uncertainty, uncertainty_limit, chunk, validate, split: see `DreamCore`.
        gradients, share_features, compile, device: see `DreamCore`.
    """
    opened = open_checkpoint(checkpoint)
    return DreamCore(
        opened.model,
        choose_reward(opened, reward_model),
        start_bank(opened),
        task=task,
        num_envs=num_envs,
        horizon=horizon,
        reward_mode=reward,
        obs=obs,
        autoreset=mode_name(autoreset_mode),
        uncertainty=uncertainty,
        uncertainty_limit=uncertainty_limit,
        chunk=chunk,
        validate=validate,
        split=split,
        gradients=gradients,
        share_features=share_features,
        compile=compile,
        device=device,
    )


def make_single(
    checkpoint: str | Checkpoint | None = None, render_mode: str | None = None, render_scale: int = 1, **kwargs: Any
) -> DreamEnv:
    """A single dream as `gymnasium.Env`; ``validate`` is on unless told otherwise, the rest as `make_core`."""
    kwargs = {"validate": True, **kwargs}
    return DreamEnv(make_core(checkpoint, autoreset_mode="disabled", **kwargs), render_mode, render_scale)


def make_vector(
    num_envs: int = 1,
    checkpoint: str | Checkpoint | None = None,
    array: str = "numpy",
    render_mode: str | None = None,
    render_scale: int = 1,
    **kwargs: Any,
) -> DreamVectorEnv:
    """Dreams as a `gymnasium.vector.VectorEnv`; ``validate`` is on for numpy, off for torch; else as `make_core`."""
    kwargs = {"validate": array == "numpy", **kwargs}
    return DreamVectorEnv(make_core(checkpoint, num_envs=num_envs, **kwargs), array, render_mode, render_scale)
