"""Options of a simulation core, checked in one place."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral
from typing import TypedDict

AUTORESET = ("same_step", "next_step", "disabled")
REWARDS = ("success", "probability", "log_probability", "shaped")


class CoreKwargs(TypedDict, total=False):
    """`CoreOptions` as keyword arguments of the functions that make envs, for type checkers and completion."""

    num_envs: int
    horizon: int | None
    task: str | Sequence[str]
    obs: str
    proprioception: str | None
    instructions: Mapping[str, str]
    uncertainty: bool
    uncertainty_limit: float | str | None
    chunk: int | None
    normalize_actions: bool
    episode_stats: bool
    embodiment: str | None
    fidelity: str | None
    validate: bool
    split: str | None
    gradients: bool
    share_features: bool
    compile: bool
    fast: bool | None
    threads: int | None


@dataclass(frozen=True)
class CoreOptions:
    """What a core is asked for.

    Attributes:
        num_envs: B.
        horizon: control actions after which an episode is truncated.
        task: a task name, a list of names (each episode draws one) or "all" (draws from every task of the reward).
        reward_mode: "success" pays 1 once, at the first frame whose probability reaches the calibrated threshold, and
            terminates; "probability" pays the reward model's own reward and never terminates (DiWA III.C);
            "log_probability" pays the logarithm of the success probability, which tells far from farther where the
            probability itself is 0 in float32, and never terminates either. It is 0 at most: bootstrap where episodes
            are truncated. Not in twins, whose oracle pays 0 or 1. "shaped" pays the suite's dense reward
            (`ShapedReward`) and never terminates.
        obs: "features", "state", "pixels" or "dict".
        proprioception: the decoded vector that ``obs="dict"`` shows under that name too, where there is one.
        instructions: sentences of tasks, for models that are told what to do; of a task without one, its name counts.
        autoreset: "same_step", "next_step" or "disabled", per env, as Gymnasium defines them. A finished env under
            "disabled" waits: it keeps its state, pays 0 and repeats its flags until it is reset.
        uncertainty: report the model's uncertainty each step (costs what the model charges for it).
        uncertainty_limit: truncate above it: a number, "auto" (the limit in the checkpoint) or None (never).
        chunk: control actions a step takes, as [B, chunk, A], judged frame by frame, stopping at the first end; None:
            one frame's worth, [B, A] where a frame is one action. An instruction is always one clip.
        normalize_actions: take actions between -1 and 1 and scale them to the robot's bounds.
        episode_stats: report the return and the length (control actions) of each episode so far, as "episode_return"
            and "episode_length"; Gymnasium's and SB3's faces tell them of episodes that ended, as "episode".
        embodiment: act as this robot of the model's; None: its own.
        fidelity: how the model predicts, of models that can in several ways (`WorldModelSpec.fidelities`), as "preview"
            or "refined"; None: as it does by itself.
        validate: raise on NaN or out-of-range actions (see `ActionReader`).
        split: "train", "val", "test" or None (all): which starts of the bank.
        gradients: keep the autograd graph through steps, for policies trained by backpropagation; `DreamCore.detach`
            cuts it.
        share_features: hand out features that are the state itself (an RSSM's) without a copy. The core never writes to
            them; a caller who does is told so at the next step.
        compile: run the dynamics through `torch.compile`: for accelerators, where a small step is all launches. The
            first steps take seconds to minutes more; on a CPU nothing is gained.
        fast: skip work that nobody needs (`dreamgym.envs.core.fast`): same results. None: where looking at a value
            costs nothing, which is on a CPU.
        threads: torch threads while the core works, on a CPU; the process's own number stands again after each call.
            None leaves it. One is the default: on a busy machine, waiting for a second thread can cost a hundred times
            what it saves.
    """

    num_envs: int = 1
    horizon: int = 64
    task: str | Sequence[str] = "all"
    reward_mode: str = "success"
    obs: str = "features"
    proprioception: str | None = None
    instructions: Mapping[str, str] = field(default_factory=dict)
    autoreset: str = "same_step"
    uncertainty: bool = True
    uncertainty_limit: float | str | None = None
    chunk: int | None = None
    normalize_actions: bool = False
    episode_stats: bool = False
    embodiment: str | None = None
    fidelity: str | None = None
    validate: bool = False
    split: str | None = "train"
    gradients: bool = False
    share_features: bool = False
    compile: bool = False
    fast: bool | None = None
    threads: int | None = 1

    def __post_init__(self) -> None:
        if not isinstance(self.num_envs, Integral) or self.num_envs < 1:
            raise ValueError(f"num_envs must be a whole number of at least 1, got {self.num_envs!r}")
        if not isinstance(self.task, Sequence) or not all(isinstance(name, str) for name in self.task):
            raise ValueError(f"task must be a task's name, a list of names or 'all', got {self.task!r}")
        if not isinstance(self.horizon, int) or self.horizon < 1:
            raise ValueError(f"horizon must be a whole number of at least 1 step, got {self.horizon!r}")
        if self.autoreset not in AUTORESET:
            raise ValueError(f"autoreset must be one of {AUTORESET}, got {self.autoreset!r}")
        if self.reward_mode not in REWARDS:
            raise ValueError(f"reward must be one of {REWARDS}, a function or None, got {self.reward_mode!r}")
        if self.threads is not None and not (isinstance(self.threads, int) and self.threads >= 1):
            raise ValueError(
                f"threads must be a whole number of at least 1, or None for torch's own number, got {self.threads!r}"
            )
        limit = self.uncertainty_limit
        if isinstance(limit, str) and limit != "auto":
            raise ValueError(f"uncertainty_limit must be a number, 'auto' or None, got {limit!r}")
        if isinstance(limit, int | float) and math.isnan(limit):
            raise ValueError(
                "uncertainty_limit is NaN, which nothing exceeds: give a number, 'auto', or None for never"
            )

    def limit(self, calibrated: float | None) -> float | None:
        """The uncertainty limit as a number, or None: never. ``calibrated`` is the checkpoint's.

        Raises:
            ValueError: "auto" without a calibrated limit.
        """
        if self.uncertainty_limit != "auto":
            return None if self.uncertainty_limit is None else float(self.uncertainty_limit)
        if calibrated is None:
            raise ValueError(
                "uncertainty_limit='auto' needs a calibrated checkpoint, and this one records no limit; pass a number"
            )
        return calibrated
