"""What a suite states of itself, once, for every room: data, training, envs and evaluation read it from here."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib import import_module
from importlib.util import find_spec
from inspect import signature
from typing import Any, Protocol

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor

from dreamgym.data.workers import EpisodeGenerator
from dreamgym.fields import LARGEST_IMAGE, convert
from dreamgym.types import ActionSpec

Layout = tuple[tuple[str, int], ...]
"""Segments of a vector sensor, (kind, entries): kinds "linear", "euler", "sign", "binary" (`dreamgym.nn.vectors`)."""

Rows = Mapping[str, np.ndarray]
"""Recorded sensors by name, numpy layout, each [..., d]."""

Sensors = dict[str, np.ndarray]
"""What a simulator observes, by sensor, numpy layout."""

Act = Callable[[Sensors], np.ndarray]
"""From what a simulator observes to an action (A,)."""

MEASURE_KINDS = ("distance", "angle", "flag")


@dataclass(frozen=True)
class Measure:
    """One part of a simulator's state whose error has a unit: what fidelity reports.

    Attributes:
        name: as tables show it ("drawer").
        key: the vector sensor that holds it.
        entries: which entries of that sensor. An angle is given by its cosine and sine.
        unit: of the error, after ``scale``.
        scale: units to one of the sensor's own.
        kind: "distance" (Euclidean), "angle" (radians before scaling) or "flag" (1 where both lie on the same side of
            0.5, else 0: the share that is right).
        moved: change of the real thing, in the sensor's own units (radians for an angle), from which it counts as
            having moved.
        label: as tables and pages call it; empty: the name.
    """

    name: str
    key: str
    entries: tuple[int, ...]
    unit: str
    scale: float = 1.0
    kind: str = "distance"
    moved: float = 0.0
    label: str = ""

    def __post_init__(self) -> None:
        if self.kind not in MEASURE_KINDS:
            raise ValueError(f"a measure's kind must be one of {MEASURE_KINDS}, got {self.kind!r}")
        if not self.entries or (self.kind == "angle" and len(self.entries) != 2):
            raise ValueError(
                f"measure {self.name!r} needs entries (of an angle its cosine and sine), got {self.entries}"
            )

    @property
    def higher_is_better(self) -> bool:
        """True for a share that is right, false for an error."""
        return self.kind == "flag"

    def error(self, predicted: Mapping[str, Tensor], truth: Mapping[str, Tensor]) -> Tensor:
        """[...] of sensors [..., d]: the error in ``unit``, or 1 and 0 (right, wrong) of a flag."""
        a, b = predicted[self.key][..., list(self.entries)], truth[self.key][..., list(self.entries)]
        if self.kind == "flag":
            return ((a > 0.5) == (b > 0.5)).all(-1).float()
        return self._distance(a, b) * self.scale

    def has_moved(self, before: Mapping[str, Tensor], now: Mapping[str, Tensor]) -> Tensor:
        """[...] bool: whether the real thing has changed by more than ``moved``."""
        a, b = before[self.key][..., list(self.entries)], now[self.key][..., list(self.entries)]
        if self.kind == "flag":
            return ((a > 0.5) != (b > 0.5)).any(-1)
        return self._distance(a, b) > self.moved

    def _distance(self, a: Tensor, b: Tensor) -> Tensor:
        if self.kind == "angle":
            between = torch.atan2(a[..., 1], a[..., 0]) - torch.atan2(b[..., 1], b[..., 0])
            return torch.remainder(between + math.pi, 2 * math.pi).sub(math.pi).abs()
        if len(self.entries) == 1:
            return (a - b).abs().squeeze(-1)
        return (a - b).norm(dim=-1)


class TaskRules(Protocol):
    """A suite's tasks as rules on decoded state, on a device, with a task for each env; for `DecodedStateReward`."""

    keys: tuple[str, ...]
    """Vector sensors that the rules read."""

    def progress(self, start: Mapping[str, Tensor], now: Mapping[str, Tensor], task: Tensor) -> Tensor:
        """Signed distance beyond each env's threshold, [B]: above 0 where its task is done.

        Args:
            start: sensors [B, d] at the start of the episode.
            now: the same now.
            task: int64 [B], indices into the tasks the rules were made for.
        """
        ...


class Shaping(Protocol):
    """A suite's dense reward on decoded state, on a device, with a task for each env; for `ShapedReward`."""

    keys: tuple[str, ...]
    """Vector sensors that it reads."""

    def reward(self, start: Mapping[str, Tensor], now: Mapping[str, Tensor], task: Tensor) -> Tensor:
        """What a step that ends in ``now`` pays, [B], at most 1; 1 where the task is done.

        Args:
            start: sensors [B, d] at the start of the episode.
            now: the same now.
            task: int64 [B], indices into the tasks the reward was made for.
        """
        ...


class CollectionFactory(Protocol):
    """What a collector returns: the picklable factory that `dreamgym.data.collect` runs, and what its store says."""

    def __call__(self, worker_seed: int) -> EpisodeGenerator: ...

    def info(self) -> dict[str, Any]:
        """JSON for `store.info`: "tasks", "settings" that decide what episode i is and, where there are several,
        "scene" and "robot".
        """
        ...


@dataclass(frozen=True)
class Attempt:
    """One episode of a scripted operator.

    Attributes:
        frames: sensors before each action and after the last, T + 1, numpy layout.
        action: [T, A] float32, as executed.
        success: [T + 1] bool, by the simulator's rules; False at the start.
    """

    frames: Sequence[Mapping[str, np.ndarray]]
    action: np.ndarray
    success: np.ndarray


class Trials(Protocol):
    """One simulator in which scripted operators try tasks from snapshots."""

    def attempt(
        self,
        task: str,
        snapshot: np.ndarray,
        rng: np.random.Generator,
        *,
        horizon: int,
        linger: int | None = None,
        noise: float = 0.0,
        miss: bool = False,
    ) -> Attempt:
        """Tries a task from a snapshot.

        Args:
            task: its name.
            snapshot: [S] float64, of this simulator.
            rng: of the operator's style and of noise.
            horizon: actions at most.
            linger: actions after the first success, or after the operator has given up; None: go on to the horizon.
            noise: standard deviation of Gaussian noise on the actions, in units of half the action's range.
            miss: reach for a wrong place.
        """
        ...

    def close(self) -> None:
        """Frees the simulator."""
        ...


@dataclass(frozen=True)
class Suite:
    """A benchmark: its simulators and everything that the other rooms must know of them.

    Attributes:
        name: as checkpoints and stores call it.
        tasks: every task's name.
        action: bounds, two-valued entries, and the action that keeps still; of the default robot.
        frame_rate: control steps a second, Hz.
        horizon: control steps of an episode, in the dream and in its twin alike.
        simulator: "module:factory", or the factory: called with keyword options, it returns a `gymnasium.Env` with a
            dict of sensors (numpy layout), reset options "task" and "snapshot", ``info["is_success"]``, and
            ``snapshot() -> [S] float64``, ``restore(snapshot)``, ``observe()``.
        extra: dreamgym's extra that installs it; None: nothing to install.
        module: a module whose presence tells that the extra is installed.
        needs: what no extra installs, such as assets and the variable that names their folder; empty: nothing.
        find_assets: finds them, or raises FileNotFoundError with the mend; None: there are none.
        licence: of the simulator and of its assets.
        robots: actions by robot, for suites with several; the simulator then takes ``robot=name``.
        task_sets: tasks that the benchmark reports together, by the set's name ("libero_goal").
        initial_states: how many states the benchmark begins each task from: the simulator's reset takes their number as
            the option "init_state"; 0: it has none of its own.
        settle_steps: hold actions between such a state and the episode, in which things that hang in the air fall.
        instructions: a sentence for each task that has one; else the task's name with blanks.
        paraphrases: further sentences that say the same, by task.
        layouts: vector sensors of the simulator's state, by name; what a probe reads.
        measures: what fidelity reports.
        proprioception: the sensor that ``obs="dict"`` shows as "proprioception".
        cameras: what the simulator's option ``cameras`` calls each image sensor ({"rgb_static": "static"}).
        hints: facts of a sensor's entries that a family may use, by sensor ({"state": {"position": (0, 1)}}).
        startable: (task, rows) -> bool [...]: whether the task is undone and can be done from a recorded state; None:
            wherever an operator began it.
        succeeded: (task, rows at the start, rows now) -> bool [...]: the oracle on recorded state; None: only the
            simulator can tell.
        rules: (tasks, device) -> `TaskRules`: the same oracle on tensors.
        shaping: (tasks, device) -> `Shaping`: the dense reward that ``reward="shaped"`` pays; None: there is none.
        operators: scripted hands by name, for `dreamgym.suites.scripted`: (simulator that has just begun an episode,
            generator of its draws) -> `Act`.
        collectors: what ``dreamgym collect`` can collect, by kind ("play", "demonstrations", ...), its usual kind
            first: each takes the suite and that command's options by name, and returns a `CollectionFactory`.
        simulator_kwargs: (info of a store, meta of its first episode) -> options of the simulator it was recorded in,
            or None where it does not say; see `recorded_in`.
        settings: options of the simulator that a checkpoint may set, with their types (`dreamgym.fields.convert`):
            none that is a path or code, since a checkpoint is a stranger's data.
        axes: names of the action's entries, as a person who drives the robot calls them ("x", "gripper").
        pointer: the two entries that are a place in the camera's picture, left to right and top to bottom; None: none.
        draws: vector sensors from which the simulator can draw a picture without being stepped: it then has
            ``picture(sensors, task) -> (H, W, 3) uint8`` and the option ``image_size``; see `dreamgym.suites.drawing`.
        trials: (sensors, the options of the simulator) -> `Trials` whose frames have at least those sensors; None: by
            ``operators``; see `dreamgym.suites.trials.open_trials`.
        describe: sensors of ``layouts`` as rows [T, d] -> sentences that hold of each row, an array of str [T] for each
            thing that is spoken of; None: nothing is said.
    """

    name: str
    tasks: tuple[str, ...]
    action: ActionSpec
    frame_rate: float
    horizon: int
    simulator: str | Callable[..., gym.Env]
    extra: str | None = None
    module: str | None = None
    needs: str = ""
    find_assets: Callable[[], object] | None = None
    licence: str = ""
    robots: Mapping[str, ActionSpec] = field(default_factory=dict)
    task_sets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    initial_states: int = 0
    settle_steps: int = 0
    instructions: Mapping[str, str] = field(default_factory=dict)
    paraphrases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    layouts: Mapping[str, Layout] = field(default_factory=dict)
    measures: tuple[Measure, ...] = ()
    proprioception: str | None = None
    cameras: Mapping[str, str] = field(default_factory=dict)
    hints: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    startable: Callable[[str, Rows], np.ndarray] | None = None
    succeeded: Callable[[str, Rows, Rows], np.ndarray] | None = None
    rules: Callable[[Sequence[str], torch.device | str], TaskRules] | None = None
    shaping: Callable[[Sequence[str], torch.device | str], Shaping] | None = None
    operators: Mapping[str, Callable[[Any, np.random.Generator], Act]] = field(default_factory=dict)
    collectors: Mapping[str, Callable[..., CollectionFactory]] = field(default_factory=dict)
    simulator_kwargs: Callable[[Mapping[str, Any], Mapping[str, Any]], dict[str, Any] | None] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    axes: tuple[str, ...] = ()
    pointer: tuple[int, int] | None = None
    draws: tuple[str, ...] = ()
    trials: Callable[..., Trials] | None = None
    describe: Callable[[Rows], list[np.ndarray]] | None = None

    def __post_init__(self) -> None:
        if self.horizon < 1 or self.frame_rate <= 0:
            raise ValueError(
                f"suite {self.name!r}: horizon >= 1 and frame_rate > 0, got {self.horizon}, {self.frame_rate}"
            )

    def make(self, **kwargs: Any) -> gym.Env:
        """A simulator.

        Raises:
            ImportError: the extra is missing; the message is the pip line.
            ValueError: an option that the simulator does not take.
        """
        try:
            factory = _load(self.simulator)
            env: gym.Env = factory(**kwargs)
        except ImportError as missing:
            raise self.lacks(missing) from missing
        except TypeError as wrong:
            if "unexpected keyword argument" not in str(wrong):
                raise
            raise ValueError(
                f"{wrong}: the simulator of {self.name!r} takes its own options; "
                "those of a dream's env need world_model=..."
            ) from wrong
        return env

    def begin(self, env: Any, seed: int, options: Mapping[str, Any]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Resets a simulator of this suite; after a reset to one of `initial_states` things settle first.

        Args:
            env: the simulator.
            seed: of the reset.
            options: of the reset.

        Returns:
            Sensors and info of the frame at which the episode begins.
        """
        obs, info = env.reset(seed=seed, options=dict(options))
        for _ in range(self.settle_steps if options.get("init_state") is not None else 0):
            obs, _, _, _, info = env.step(np.asarray(self.action.hold, np.float32))
        return obs, info

    def check_installed(self) -> None:
        """Raises ImportError with the pip line where the simulator's package is not installed; imports nothing."""
        if self.module is not None and find_spec(self.module) is None:
            raise self.lacks(ImportError(f"No module named {self.module!r}"))

    def lacks(self, missing: ImportError) -> ImportError:
        """The error of a simulator that is not installed, with the pip line where ``missing`` does not say it."""
        if self.extra is None or "pip install" in str(missing):
            return missing
        return ImportError(f'{self.name} needs its simulator ({missing}): pip install "dreamgym[{self.extra}]"')

    def collector(self, kind: str | None = None, **options: Any) -> CollectionFactory:
        """What makes the episodes of a kind.

        Args:
            kind: one of ``collectors``; None: the first.
            options: that kind's own.

        Raises:
            ValueError: there is no such kind, or it does not take one of the options, or frames of that size.
        """
        if not self.collectors:
            raise ValueError(f"the suite {self.name!r} has nothing that collects episodes")
        kind = next(iter(self.collectors)) if kind is None else kind
        if kind not in self.collectors:
            raise ValueError(f"{self.name} collects {' or '.join(self.collectors)}, got {kind!r}")
        make = self.collectors[kind]
        known = list(signature(make).parameters)[1:]
        if unknown := [name for name in options if name not in known]:
            raise ValueError(f"{kind} of {self.name} takes {', '.join(known)}; got {', '.join(unknown)}")
        if not 0 <= (size := options.get("image_size", 0)) <= LARGEST_IMAGE:
            raise ValueError(f"image_size: expected at most {LARGEST_IMAGE} pixels, got {size}")
        return make(self, **options)

    def recorded_in(self, info: Mapping[str, Any], meta: Mapping[str, Any]) -> dict[str, Any] | None:
        """What a checkpoint records of the simulator: {"id": name, "kwargs": {...}}; None where it is not known.

        Args:
            info: of the store that the data come from.
            meta: of its first episode.
        """
        kwargs = {} if self.simulator_kwargs is None else self.simulator_kwargs(info, meta)
        return None if kwargs is None else {"id": self.name, "kwargs": kwargs}

    def check_settings(self, kwargs: Mapping[str, Any]) -> None:
        """Refuses options of the simulator that are not a checkpoint's to set.

        Raises:
            ValueError: an option that is not among ``settings``, or a value of another type.
        """
        for name, value in kwargs.items():
            if name not in self.settings:
                raise ValueError(
                    f"a checkpoint may set {sorted(self.settings)} of the simulator {self.name!r}, not {name!r}"
                )
            convert(value, self.settings[name], name)

    @property
    def has_trials(self) -> bool:
        """Whether scripted operators can try this suite's tasks."""
        return self.trials is not None or bool(self.operators)

    def instruction(self, task: str) -> str:
        """The sentence that says what ``task`` is."""
        return self.instructions.get(task, task.replace("_", " "))

    def sentences(self, task: str) -> tuple[str, ...]:
        """Every sentence that says what ``task`` is, `instruction` first."""
        return self.instruction(task), *self.paraphrases.get(task, ())


def some_names(known: Sequence[str], unknown: Sequence[str], most: int = 40) -> str:
    """Names to choose from, for a message: all of them, or where there are more than ``most`` the nearest."""
    if len(known) <= most:
        return str(list(known))
    near = dict.fromkeys(close for name in unknown for close in get_close_matches(str(name), known, 3, 0.4))
    return f"{len(known)} names, nearest {list(near)} (`dreamgym info`)"


def _load(target: str | Callable[..., gym.Env]) -> Callable[..., gym.Env]:
    if not isinstance(target, str):
        return target
    module, _, attribute = target.partition(":")
    found: Callable[..., gym.Env] = getattr(import_module(module), attribute)
    return found
