"""From a checkpoint's name, or the checkpoint itself, to a core and its faces."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from dataclasses import fields
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Unpack

import torch

from dreamgym.envs.core.core import DreamCore
from dreamgym.envs.core.options import CoreKwargs, CoreOptions
from dreamgym.envs.core.starts import StartBank
from dreamgym.envs.faces.single import DreamEnv
from dreamgym.envs.faces.vector import DreamVectorEnv, mode_name
from dreamgym.envs.registration import DREAMS
from dreamgym.envs.simulators import suite_of
from dreamgym.rewards.base import RewardModel
from dreamgym.rewards.function import ANY_TASK, Function, FunctionReward, NoReward
from dreamgym.rewards.goal import GoalReward
from dreamgym.rewards.shaped import ShapedReward
from dreamgym.suites.drawing import Drawing

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
            "Dream-v0 needs a checkpoint: a folder, 'hf://org/name' or a shipped name, as gym.make('Dream-v0', "
            "checkpoint='path/to/folder'), on the command line --checkpoint"
        )
    from dreamgym.training.checkpoint import Checkpoint, built_in_names, load

    if isinstance(checkpoint, Checkpoint):
        return checkpoint
    if not isinstance(checkpoint, str | os.PathLike):
        raise ValueError(
            f"a checkpoint is its name, a folder, 'hf://org/name' or what dreamgym.load gave; got {checkpoint!r}"
        )

    if checkpoint in SHIPPED and checkpoint not in built_in_names() and not os.path.isdir(checkpoint):
        raise ValueError(
            f"the checkpoint {checkpoint!r} of {SHIPPED[checkpoint]} is not in this installation (which has "
            f"{built_in_names() or 'none'}): install a release of dreamgym, train it with the scripts of the "
            "repository, or pass checkpoint='path/to/folder' of your own"
        )
    return load(checkpoint)


def choose_reward(checkpoint: Checkpoint, name: str | None, reward: str | Function | None = "success") -> RewardModel:
    """What scores tasks: the reward model called ``name`` (by default "success", or else the only or first one).

    Where ``reward`` is a function or None, a model of just that; where it is "shaped", the suite's dense reward beside
    that model's verdict. The name "goal" is `GoalReward` in every checkpoint.
    """
    rewards = checkpoint.rewards
    tasks = tuple(checkpoint.starts_meta.get("tasks") or (next(iter(rewards.values())).tasks if rewards else ()))
    tasks = tasks or ANY_TASK
    if name == GoalReward.kind and name not in rewards:
        if reward not in ("success", "probability", "log_probability"):
            raise ValueError(f"reward_model='goal' pays 'success', 'probability' or 'log_probability', not {reward!r}")
        return GoalReward(tasks)
    if not isinstance(reward, str):
        return NoReward(tasks) if reward is None else FunctionReward(reward, tasks=tasks)
    if not rewards:
        raise ValueError(
            "this checkpoint holds no reward model, so nothing says when a task is done: add one with 'dreamgym "
            "rewards', pass reward=function, reward_model='goal', or reward=None"
        )
    if name is None:
        name = "success" if "success" in rewards else next(iter(rewards))
    if name not in rewards:
        raise ValueError(f"no reward model {name!r} in this checkpoint; it holds {list(rewards)}, and there is 'goal'")
    if reward == "shaped":
        return ShapedReward(suite_of(checkpoint.simulator), rewards[name])
    return rewards[name]


def start_bank(checkpoint: Checkpoint) -> StartBank | None:
    """The checkpoint's start bank, or None."""
    if not checkpoint.starts:
        return None
    return StartBank.from_tensors(checkpoint.starts, checkpoint.starts_meta["tasks"])


def usual_horizon(checkpoint: Checkpoint) -> int:
    """Control actions of an episode where nobody says: the suite's that the checkpoint's twin is of, or 64."""
    suite = suite_of(checkpoint.simulator)
    if suite is None and checkpoint.simulator is not None:
        warnings.warn(
            f"{checkpoint.path}: its suite {checkpoint.simulator.get('id')!r} is not known here, so an episode lasts "
            f"{CoreOptions.horizon} actions and not as many as the suite's: give horizon=..., or run the file that "
            "registers the suite first (--import FILE.py on the command line)",
            stacklevel=2,
        )
    return CoreOptions.horizon if suite is None else suite.horizon


def core_options(checkpoint: Checkpoint, reward: Any, autoreset_mode: Any, changes: Mapping[str, Any]) -> CoreOptions:
    """Options as callers of a face give them, with what the checkpoint's suite says where they say nothing.

    Raises:
        ValueError: an option that a core does not have, with those that it has.
    """
    known = {f.name for f in fields(CoreOptions)}
    if unknown := sorted(set(changes) - known):
        known = (known - {"reward_mode", "autoreset"}) | {"reward", "reward_model", "device"}
        meant = [close for name in unknown for close in get_close_matches(name, known, 1)]
        mend = f" (did you mean {meant}?)" if meant else ""
        raise ValueError(f"unknown option(s) {unknown} of an env{mend}; known: {sorted(known)}")
    suite = suite_of(checkpoint.simulator)
    given = dict(changes)
    if given.get("horizon") is None:
        given["horizon"] = usual_horizon(checkpoint)
    if suite is not None:
        given = {"proprioception": suite.proprioception, "instructions": suite.instructions, **given}
    mode = reward if isinstance(reward, str) else "probability"
    return CoreOptions(reward_mode=mode, autoreset=mode_name(autoreset_mode), **given)


def drawing_of(simulator: Mapping[str, Any] | None) -> Drawing | None:
    """What draws the states of a suite's simulator; None: nothing does."""
    suite = suite_of(simulator)
    if simulator is None or suite is None or not suite.draws:
        return None
    kwargs = {k: v for k, v in (simulator.get("kwargs") or {}).items() if k in suite.settings}
    suite.check_settings(kwargs)
    return Drawing(suite, kwargs)


def make_core(
    checkpoint: str | Checkpoint | None = None,
    *,
    reward: str | Function | None = "success",
    reward_model: str | None = None,
    autoreset_mode: Any = "same_step",
    device: str | torch.device | None = None,
    **options: Unpack[CoreKwargs],
) -> DreamCore:
    """A batch of dreams from a checkpoint, without any face.

    Args:
        checkpoint: a shipped name ("playtable", "calvin_d"), a folder, ``hf://org/name``, or a loaded checkpoint.
        reward: "success", "probability", "log_probability" or "shaped" (see `CoreOptions.reward_mode`); a function
            (decoded, action, next_decoded) -> [B] that pays (`FunctionReward`); or None: pays nothing and never ends an
            episode.
        reward_model: which of the checkpoint's reward models.
        autoreset_mode: "same_step", "next_step" or "disabled", or Gymnasium's AutoresetMode.
        device: where to dream; None: where the model is.
        options: fields of `CoreOptions`: task, num_envs, horizon, obs, chunk, split, validate, ...
    """
    opened = open_checkpoint(checkpoint)
    made = core_options(opened, reward, autoreset_mode, options)
    scores = choose_reward(opened, reward_model, reward)
    drawing = drawing_of(opened.simulator)
    return DreamCore(opened.model, scores, start_bank(opened), made, device=device, drawing=drawing)


def make_single(
    checkpoint: str | Checkpoint | None = None, render_mode: str | None = None, render_scale: int = 1, **kwargs: Any
) -> DreamEnv:
    """A single dream as `gymnasium.Env`; ``validate`` is on unless told otherwise, the rest as `make_core`."""
    if "autoreset_mode" in kwargs:
        raise ValueError(
            "a single env is reset by its caller and has no autoreset_mode: leave it out. gym.make_vec takes it, and "
            "with vectorization_mode='sync' or 'async' within vector_kwargs={'autoreset_mode': ...}"
        )
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
