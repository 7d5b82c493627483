"""Real simulators as the world of a core: what a twin's transitions are.

Each frame the simulators move, the world model filters what their sensors show (``observe``), and the features of the
filtered state are the observation. The verdict is the simulator's oracle. Episodes begin from the simulator snapshots
of the dream's start bank: the same bank row, ``options={"start": row}``, begins the same episode in the dream and in
its twin.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from dreamgym.envs.core.draws import uniform
from dreamgym.envs.core.observation import ObservationReader, sensors_to_torch
from dreamgym.envs.core.steps import Obs
from dreamgym.envs.core.world import Begun, World
from dreamgym.envs.ray_simulators import RaySimulators
from dreamgym.envs.simulators import Sensors, Simulators, WorkerSimulators
from dreamgym.types import InstructionSpec, Policy, State
from dreamgym.world_models.history import begin

if TYPE_CHECKING:
    from dreamgym.envs.core.core import DreamCore

CAMERAS = "the simulator observes none: give it some, as in simulator_kwargs={'cameras': ('static',)}"


class SimulatorWorld(World):
    """B simulators, seen through the core's world model.

    Args:
        sims: the simulators.
        executor: carries instructions out, for models that are driven by them: a policy that follows the imagined clip.
    """

    waits = True
    can_place = False

    def __init__(
        self, sims: Simulators | WorkerSimulators | RaySimulators, num_envs: int, executor: Policy | None = None
    ) -> None:
        self.sims, self.executor = sims, executor
        self.sensors: list[Sensors] = [{} for _ in range(num_envs)]
        self._begun: list[np.ndarray] = [np.empty(0) for _ in range(num_envs)]
        self._fresh = torch.ones(num_envs, dtype=torch.bool)
        self._left = torch.zeros(num_envs, dtype=torch.bool)
        self._carry: Any = None
        self._reader: ObservationReader | None = None

    # ------------------------------------------------------------------ beginning

    def begin(self, core: DreamCore, mask: Tensor | None, rows: Tensor | None, options: Mapping[str, Any]) -> Begun:
        given = [k for k in ("state", "history") if k in options]
        if given:
            raise ValueError(
                f"a twin cannot begin from options {given}: a simulator needs a snapshot; use {{'start': rows}}"
            )
        envs = list(range(core.num_envs)) if mask is None else mask.nonzero().flatten().tolist()
        if not envs:  # a reset of nobody
            part = slice(None) if rows is None else slice(0, 0)
            state = {k: v[part] for k, v in core.state.items()}
            return state, core.counters["task"][part], core.counters["start"][part]
        self._fresh[envs], self._left[envs] = True, False
        if core.starts is None:
            return self._begin_by_reset(core, envs, rows, options)
        state, task, start = core.beginner.begin(core.seed, core.episode, rows, options)
        assert core.starts.snapshot is not None
        own = slice(None) if rows is not None else envs
        snapshots = core.starts.snapshot[start[own].cpu()].numpy()
        names = [core.tasks[t] for t in task[own].tolist()]
        self._reset(core, envs, [{"snapshot": s, "task": t} for s, t in zip(snapshots, names, strict=True)])
        return state, task, start

    def _begin_by_reset(
        self, core: DreamCore, envs: list[int], rows: Tensor | None, options: Mapping[str, Any]
    ) -> Begun:
        """Episodes that begin where the simulators' own resets put them."""
        if "start" in options:
            raise ValueError("options={'start': ...} needs a start bank with snapshots, and this twin has none")
        task, _ = core.beginner.draw_task(core.seed, core.episode, rows, options)
        own = task if rows is not None else task[envs]
        env = torch.tensor(envs, device=core.device)
        seeds = (uniform(core.seed, env, core.episode[env], 2) * 2**31).long().tolist()
        names = [core.tasks[t] for t in own.tolist()]
        self._reset(core, envs, [{"seed": s, "task": t} for s, t in zip(seeds, names, strict=True)])
        # One at a time, each with a generator of its own: what one env draws must not depend on which others begin.
        sentences: list[Any] = core.beginner.sentences(own) or [None] * len(envs)
        states = [self._first_state(core, *each) for each in zip(envs, seeds, sentences, strict=True)]
        state = {k: torch.cat([s[k] for s in states]) for k in states[0]}
        if rows is None and len(envs) < core.num_envs:
            state = {k: v.new_zeros(core.num_envs, *v.shape[1:]).index_copy(0, env, v) for k, v in state.items()}
        return state, task, torch.full_like(task, -1)

    def _first_state(self, core: DreamCore, env: int, seed: int, sentence: str | None) -> State:
        """The filtered first frame of one env, hold steps before it; leading dimension 1."""
        frame = {k: v[:, None] for k, v in self._stack(core, [env]).items()}
        history = sensors_to_torch(frame, core.spec, core.device)
        told = None if sentence is None else [sentence]
        return begin(core.model, history, torch.Generator(core.device).manual_seed(seed), told)

    def _reset(self, core: DreamCore, envs: list[int], options: list[dict[str, Any]]) -> None:
        for env, (obs, snapshot) in zip(envs, self.sims.reset(envs, options), strict=True):
            self.sensors[env], self._begun[env] = obs, snapshot
        if envs:
            self._check_sensors(core, self.sensors[envs[0]])

    def _check_sensors(self, core: DreamCore, obs: Sensors) -> None:
        for key, sensor in core.spec.observations.items():
            want = (*sensor.shape[1:], sensor.shape[0]) if sensor.kind == "image" else sensor.shape
            if key not in obs or tuple(obs[key].shape) != tuple(want):
                got = f"shape {tuple(obs[key].shape)}" if key in obs else f"only {list(obs)}"
                raise ValueError(
                    f"the model reads {key!r} of shape {tuple(want)} but the simulator gives {got}; make the twin with "
                    "simulator_kwargs that match what the model was trained on"
                )

    def _stack(self, core: DreamCore, envs: list[int]) -> Sensors:
        """Sensors that the model reads, [K, ...] in numpy layout."""
        return {k: np.stack([self.sensors[i][k] for i in envs]) for k in core.spec.observations}

    # ------------------------------------------------------------------ going on

    def unroll(self, core: DreamCore, action: Tensor) -> Iterator[State]:
        if isinstance(core.spec.action, InstructionSpec):
            self._follow(core, list(core.model.unroll(core.state, action, core.generator)))
        for each in core.split(action):
            success = torch.zeros(core.num_envs, dtype=torch.bool)
            # An executor looks at every control step, a model at the last one of a frame alone.
            unseen = 0 if self.executor is not None else core.spec.actions_per_frame - 1
            for number, control in enumerate(self._controls(core, each)):
                still = self._left if core.frozen is None else self._left | core.frozen.cpu()
                envs = (~still).nonzero().flatten().tolist()
                actions = control.detach().cpu().numpy()[envs]
                if number < unseen:
                    self.sims.advance(envs, actions)
                    continue
                for env, (obs, done) in zip(envs, self.sims.step(envs, actions), strict=True):
                    self.sensors[env] = obs
                    success[env] = done  # the verdict of a frame is that of its last control action
            frame = self._stack(core, list(range(core.num_envs)))
            self.oracle = success.to(core.device)
            yield core.model.observe(core.state, each, sensors_to_torch(frame, core.spec, core.device), core.generator)

    def leave(self, mask: Tensor) -> None:
        self._left = mask.cpu().clone()

    def _controls(self, core: DreamCore, action: Tensor) -> Iterator[Tensor]:
        """The control actions [B, A] of one frame, one after the other."""
        if not isinstance(core.spec.action, InstructionSpec):
            yield from (action,) if action.dim() == 2 else action.unbind(1)
            return
        assert self.executor is not None and self._reader is not None
        chunk, left = getattr(self.executor, "chunk", 1), core.spec.actions_per_frame
        while left > 0:
            obs = self._show(core, self._reader, None)
            act, self._carry = self.executor.act(obs, self._carry, self._fresh.to(core.device), core.generator)
            self._fresh = torch.zeros_like(self._fresh)
            acts = core.spec.control.prepare(act).reshape(core.num_envs, -1, core.spec.control.dim)
            yield from acts[:, :left].unbind(1)
            left -= chunk

    def _follow(self, core: DreamCore, clip: list[State]) -> None:
        """Hands the executor the clip that it is to follow."""
        executor = self.executor
        if executor is None:
            raise ValueError(
                "this model is driven by instructions: its twin needs executor=..., a policy that carries a clip out"
            )
        if self._reader is None:
            blank = {k: v[:1] for k, v in core.state.items()}
            self._reader = ObservationReader(core.model, getattr(executor, "obs", "features"), core.tasks, blank)
            self._carry = executor.start(core.num_envs, core.generator)
        fresh = self._fresh.to(core.device)
        if hasattr(executor, "begin"):
            names = [core.tasks[t] for t in core.counters["task"].tolist()]
            self._carry = executor.begin(self._carry, fresh, names)
        if hasattr(executor, "follow"):
            task = core.counters["task"]
            self._carry = executor.follow(self._carry, fresh, [self._reader(state, task) for state in clip])

    # ------------------------------------------------------------------ showing

    def observe(self, core: DreamCore, rows: Tensor | None) -> Obs:
        """The dream's observation, with what the real sensors show in place of what the model would decode."""
        return self._show(core, core.reader, rows)

    def _show(self, core: DreamCore, reader: ObservationReader, rows: Tensor | None) -> Obs:
        envs = list(range(core.num_envs)) if rows is None else rows.tolist()
        task = core.counters["task"] if rows is None else core.counters["task"][rows]
        state = core.state if rows is None else {k: v[rows] for k, v in core.state.items()}
        if reader.mode == "features":
            return reader.features(state)

        def real(key: str) -> Tensor:
            if missing := [i for i in envs if key not in self.sensors[i]]:
                raise ValueError(
                    f"the simulator does not observe {key!r}, which obs={reader.mode!r} shows (envs {missing[:4]})"
                )
            return torch.from_numpy(np.stack([self.sensors[i][key] for i in envs])).to(core.device)

        return reader.assemble(
            lambda: reader.features(state),
            task,
            lambda: {k: real(k) for k in reader.images},
            lambda: {k: real(k).float() for k in reader.vectors},
        )

    def picture(self, core: DreamCore) -> Tensor:
        cameras = self.sims.cameras
        if not cameras and core.drawing is not None:
            keys = core.drawing.keys
            return core.draw({k: np.stack([obs[k] for obs in self.sensors]) for k in keys})
        if not cameras:
            raise ValueError(f"nothing to render: {CAMERAS}")
        # In the dream's order, so that both show the same things at the same places.
        first = [k for k in core.reader.images if k in cameras]
        cameras = (*first, *(k for k in cameras if k not in first))
        height = max(self.sensors[0][k].shape[0] for k in cameras)
        rows = [np.concatenate([_padded(obs[k], height) for k in cameras], 1) for obs in self.sensors]
        return torch.from_numpy(np.stack(rows))

    def missing_camera(self, core: DreamCore) -> str | None:
        if self.sims.cameras:
            return None
        return f"a camera: {CAMERAS}" if core.drawing is None else core.drawing.missing

    # ------------------------------------------------------------------ branching

    def snapshot(self, core: DreamCore) -> np.ndarray:
        """[B, 2, S]: the simulators' states at the start of the episode and now."""
        return np.stack([np.stack(x) for x in (self._begun, self.sims.snapshot())], 1)

    def restore(self, core: DreamCore, snapshot: np.ndarray | None, tasks: list[int]) -> None:
        if snapshot is None:
            raise ValueError("this snapshot was taken of a dream and holds no simulator state; take one of a twin")
        begun, now = snapshot[:, 0], snapshot[:, 1]
        # The oracle judges against the state at the start, so the episode is begun again and then moved on.
        options = [{"snapshot": b, "task": core.tasks[t]} for b, t in zip(begun, tasks, strict=True)]
        self._reset(core, list(range(core.num_envs)), options)
        self._fresh[:], self._left[:] = True, False  # an executor's memory is its own: it begins anew
        self._reader = None
        self.sensors = self.sims.restore(list(now))

    def close(self) -> None:
        self.sims.close()


def _padded(image: np.ndarray, height: int) -> np.ndarray:
    return np.pad(image, ((0, height - image.shape[0]), (0, 0), (0, 0)))
