"""One player's dream and its twin, driven side by side from the same start."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dreamgym.envs.core.core import DreamCore
from dreamgym.envs.core.observation import to_uint8
from dreamgym.envs.core.steps import Snapshot, Step
from dreamgym.envs.faces.vector import to_numpy
from dreamgym.envs.twin import TwinCore
from dreamgym.play.recorder import Recorder
from dreamgym.types import ActionSpec


@dataclass(frozen=True)
class Side:
    """What one of the two worlds shows.

    Attributes:
        picture: uint8 [H, W, 3].
        success_probability: of the reward model, 0 to 1.
        uncertainty: of the world model; None in a twin, and where it reports none.
        is_success: the dream's classifier, or the twin's simulator, has seen the task done in this episode.
        ended: why the episode is over: "success", "horizon", "uncertainty" or "failure"; None while it goes on.
    """

    picture: np.ndarray
    success_probability: float
    uncertainty: float | None
    is_success: bool
    ended: str | None


@dataclass(frozen=True)
class Frame:
    """What a player sees after a step or a reset.

    Attributes:
        dream, twin: the two worlds; ``twin`` None where there is none.
        task: its name.
        start: the bank's row that the episode began from; -1: none.
        elapsed: control actions since then.
        marked: whether there is a moment to return to.
        recorded: episodes written so far; None where nothing is recorded.
    """

    dream: Side
    twin: Side | None
    task: str
    start: int
    elapsed: int
    marked: bool
    recorded: int | None


@dataclass
class _World:
    core: DreamCore
    last: Step | None = None
    ended: str | None = None
    success: bool = False
    mark: tuple[Snapshot, str | None, bool, int] | None = field(default=None, repr=False)

    def begin(self) -> None:
        self.last, self.ended, self.success = None, None, False

    def step(self, action: np.ndarray) -> None:
        if self.ended is not None:
            return
        self.last = self.core.step(action[None])
        info = self.last.info
        self.success = self.success or bool(info["is_success"][0])
        if bool(self.last.terminated[0] | self.last.truncated[0]):
            reasons = {"failure": "model_failure", "uncertainty": "uncertainty_exceeded", "horizon": "horizon_reached"}
            why = [word for word, key in reasons.items() if key in info and bool(info[key][0])]
            self.ended = "success" if bool(self.last.terminated[0]) else (why or ["horizon"])[0]

    def side(self) -> Side:
        info = {} if self.last is None else self.last.info
        shown = "uncertainty" in info and not isinstance(self.core, TwinCore)
        return Side(
            picture=to_numpy(self.core.render())[0],
            success_probability=float(info["success_probability"][0]) if info else 0.0,
            uncertainty=float(info["uncertainty"][0]) if shown else None,
            is_success=self.success,
            ended=self.ended,
        )


class Session:
    """A dream, and its twin if there is one, that take the same actions.

    Args:
        dream: a core of one env with autoreset "disabled" that can be rendered.
        twin: the same of its twin; None: the dream alone.
        recorder: writes down the episodes that are kept; None: nothing is recorded.
        first_task: of the first episode; None: the first that the dream knows.
        axes: names of the action's entries; without them they are numbered.
        pointer: the two entries that are a place in the picture, for the mouse; None: there are none.

    Raises:
        ValueError: cores of several envs or with autoreset, or driven by instructions.
    """

    def __init__(
        self,
        dream: DreamCore,
        twin: TwinCore | None = None,
        recorder: Recorder | None = None,
        *,
        first_task: str | None = None,
        axes: tuple[str, ...] = (),
        pointer: tuple[int, int] | None = None,
    ) -> None:
        for core in (dream, twin):
            if core is None:
                continue
            if core.num_envs != 1 or core.autoreset != "disabled":
                raise ValueError(
                    f"play drives cores with num_envs=1 and autoreset 'disabled', got num_envs={core.num_envs}, "
                    f"autoreset={core.autoreset!r}"
                )
            if core.missing_camera is not None:
                raise ValueError(f"play shows pictures, which needs {core.missing_camera}")
        if not isinstance(dream.spec.action, ActionSpec):
            raise ValueError("play drives control actions, and this dream is driven by instructions")
        self.action: ActionSpec = dream.spec.action
        self.tasks, self.pointer = dream.tasks, pointer
        self.first_task = self._known(first_task or dream.tasks[0])
        self.axes = axes or tuple(str(i + 1) for i in range(self.action.dim))
        self._dream = _World(dream)
        self._twin = None if twin is None else _World(twin)
        self._recorder = recorder
        self._start, self._elapsed = -1, 0

    @property
    def _worlds(self) -> list[_World]:
        return [self._dream] if self._twin is None else [self._dream, self._twin]

    @property
    def has_twin(self) -> bool:
        """Whether a twin is driven too."""
        return self._twin is not None

    @property
    def frame_rate(self) -> float:
        """Steps a second of real time, Hz."""
        spec = self._dream.core.spec
        return spec.frame_rate / spec.actions_per_frame

    @property
    def uncertainty_limit(self) -> float | None:
        """What the checkpoint calls uncertain, for the bar's scale; None: it does not say."""
        return self._dream.core.spec.uncertainty_limit

    def reset(self, task: str, seed: int) -> Frame:
        """Begins an episode in both worlds, from the same start.

        Raises:
            ValueError: an unknown task.
        """
        options: dict[str, Any] = {"task": self._known(task)}
        for world in self._worlds:
            if world is self._twin and self._start >= 0:
                options["start"] = self._start
            _, info = world.core.reset(seed=seed, options=options)
            world.begin()
            world.mark = None
            if world is self._dream:
                self._start = int(info["start"][0])
        self._elapsed = 0
        if self._recorder is not None:
            self._recorder.begin(task)
        return self.frame()

    def _known(self, task: str) -> str:
        if task not in self.tasks:
            raise ValueError(f"unknown task {task!r}; this dream knows {list(self.tasks)}")
        return task

    def step(self, action: np.ndarray) -> Frame:
        """Takes one action (A,) in every world whose episode goes on; it is clipped to its bounds.

        Raises:
            ValueError: another shape, or not finite.
        """
        action = np.asarray(action, np.float32)
        if action.shape != (self.action.dim,) or not np.isfinite(action).all():
            raise ValueError(f"an action is {self.action.dim} finite numbers, got {action.tolist()}")
        chunk = self._dream.core.chunk
        whole = action if chunk is None else np.repeat(action[None], chunk, 0)
        if self._recorder is not None and not self.over:
            self._recorder.note(self._sensors(), self.action.prepare(action), self._seen)
        if not self.over:
            self._elapsed += self._dream.core.spec.actions_per_frame * self._dream.core.num_frames
        for world in self._worlds:
            world.step(whole)
        return self.frame()

    @property
    def over(self) -> bool:
        """Whether every world's episode is over."""
        return all(world.ended is not None for world in self._worlds)

    @property
    def _seen(self) -> bool:
        return self._worlds[-1].success

    def _sensors(self) -> dict[str, np.ndarray]:
        """What is recorded: the twin's real sensors, or what the dream decodes."""
        if self._twin is not None:
            assert isinstance(self._twin.core, TwinCore)
            return dict(self._twin.core.sensors[0])
        core = self._dream.core
        decoded = core.model.decode(core.state, list(core.spec.decodable))
        shown = {k: to_uint8(v) if k in core.reader.images else v for k, v in decoded.items()}
        return {k: v[0].cpu().numpy() for k, v in shown.items()}

    def mark(self) -> Frame:
        """Notes this moment, to `return_to_mark` later."""
        for world in self._worlds:
            world.mark = (world.core.snapshot(), world.ended, world.success, self._elapsed)
        return self.frame()

    def return_to_mark(self) -> Frame:
        """Goes back to the moment that was marked, in both worlds.

        Raises:
            ValueError: none was in this episode.
        """
        if self._dream.mark is None:
            raise ValueError("there is no moment to return to: mark one first")
        for world in self._worlds:
            assert world.mark is not None
            snapshot, world.ended, world.success, self._elapsed = world.mark
            world.core.restore(snapshot)
            world.last = None
        if self._recorder is not None:
            self._recorder.rewind(self._elapsed // max(1, self._dream.core.spec.actions_per_frame))
        return self.frame()

    def keep(self) -> Frame:
        """Writes the present episode into the store.

        Raises:
            ValueError: nothing is recorded here, or the episode is shorter than two steps.
        """
        if self._recorder is None:
            raise ValueError("nothing is recorded: start play with --record STORE")
        self._recorder.keep()
        return self.frame()

    def frame(self) -> Frame:
        """What both worlds show now."""
        return Frame(
            dream=self._dream.side(),
            twin=None if self._twin is None else self._twin.side(),
            task=self.tasks[int(self._dream.core.counters["task"][0])],
            start=self._start,
            elapsed=self._elapsed,
            marked=self._dream.mark is not None,
            recorded=None if self._recorder is None else self._recorder.num_kept,
        )

    def close(self) -> None:
        """Closes both worlds."""
        for world in self._worlds:
            world.core.close()
