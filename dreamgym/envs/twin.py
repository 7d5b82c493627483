"""The twin: real simulators behind a dream's spaces, so that one policy and one line of code score both.

Each step the simulators move, the world model filters what their sensors show (``observe``), and the features of the
filtered state are the observation. Reward and ``is_success`` come from the simulator's oracle, ``success_probability``
from the dream's own reward model. Episodes begin from the simulator snapshots of the dream's start bank: the same bank
row, ``options={"start": row}``, begins the same episode in the dream and in its twin.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from inspect import signature
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv, VectorEnv
from torch import Tensor

from dreamgym.envs.core.core import DreamCore
from dreamgym.envs.core.draws import uniform
from dreamgym.envs.core.observation import PROPRIOCEPTION, pad_history, sensors_to_torch
from dreamgym.envs.core.starts import StartBank
from dreamgym.envs.core.steps import Obs, Snapshot
from dreamgym.envs.faces.single import DreamEnv
from dreamgym.envs.faces.vector import MODES, DreamVectorEnv, mode_name
from dreamgym.envs.make import choose_reward, open_checkpoint, start_bank
from dreamgym.envs.simulators import Sensors, Simulators, WorkerSimulators, make_simulator, resolve_simulator
from dreamgym.rewards.base import RewardModel
from dreamgym.types import State
from dreamgym.world_models.base import WorldModel

if TYPE_CHECKING:
    from dreamgym.training.checkpoint import Checkpoint

CAMERAS = "the simulator observes none: give it some, as in simulator_kwargs={'cameras': ('static',)}"


class TwinCore(DreamCore):
    """A `DreamCore` whose transitions are real. All its faces are those of the dream.

    Args:
        model, reward, starts: the dream's own. Without ``starts`` (or with starts that lack snapshots) episodes begin
            where the simulator's reset puts them, and the first frame is filtered with hold steps before it.
        simulator: what to simulate: {"id": ..., "kwargs": {...}}.
        num_workers: worker processes for the simulators; 0: this process.
        kwargs: as for `DreamCore`.

    Raises:
        ValueError: the simulator lacks a sensor that the model reads, or has it in another shape.
    """

    def __init__(
        self,
        model: WorldModel,
        reward: RewardModel,
        starts: StartBank | None,
        simulator: Mapping[str, Any],
        *,
        num_workers: int = 0,
        **kwargs: Any,
    ) -> None:
        if starts is not None and starts.snapshot is None:
            starts = None
        super().__init__(model, reward, starts, **kwargs)
        # The simulators wait for every step anyway, so reading a value costs nothing on any device.
        self._eager, self._quick = True, False
        many = num_workers > 0
        self.sims = (
            WorkerSimulators(simulator, self.num_envs, num_workers) if many else Simulators(simulator, self.num_envs)
        )
        self._sensors: list[Sensors] = [{} for _ in range(self.num_envs)]
        self._begun: list[np.ndarray] = [np.empty(0) for _ in range(self.num_envs)]

    def _draw(self, rows: Tensor | None, options: Mapping[str, Any]) -> tuple[State, Tensor, Tensor]:
        given = [k for k in ("state", "history") if k in options]
        if given:
            raise ValueError(
                f"a twin cannot begin from options {given}: a simulator needs a snapshot; use {{'start': rows}}"
            )
        envs = list(range(self.num_envs)) if rows is None else rows.tolist()
        if self.starts is None:
            return self._draw_simulated(envs, rows, options)
        state, task, start = super()._draw(rows, options)
        assert self.starts.snapshot is not None
        snapshots = self.starts.snapshot[start.cpu()].numpy()
        self._begin_sims(
            envs, [{"snapshot": s, "task": self.tasks[t]} for s, t in zip(snapshots, task.tolist(), strict=True)]
        )
        return state, task, start

    @property
    def can_render(self) -> bool:
        """Whether there is a camera to look through."""
        return bool(self.sims.cameras)

    @property
    def render_needs(self) -> str:
        """See `DreamCore`."""
        return f"a camera: {CAMERAS}"

    @property
    def sensors(self) -> list[Sensors]:
        """What each simulator's sensors showed last, in numpy layout; to look at, not to write to."""
        return self._sensors

    @property
    def starts(self) -> StartBank | None:
        """The start bank."""
        return self.beginner.bank

    def _draw_simulated(
        self, envs: list[int], rows: Tensor | None, options: Mapping[str, Any]
    ) -> tuple[State, Tensor, Tensor]:
        """Episodes that begin where the simulators' own resets put them."""
        task, _ = self.beginner.draw_task(self.seed, self._episode, rows, options)
        env = torch.tensor(envs, device=self.device)
        seeds = (uniform(self.seed, env, self._episode[env], 2) * 2**31).long().tolist()
        self._begin_sims(envs, [{"seed": s, "task": self.tasks[t]} for s, t in zip(seeds, task.tolist(), strict=True)])
        # One at a time, each with a generator of its own: what one env draws must not depend on which others begin.
        states = [self._first_state(e, s) for e, s in zip(envs, seeds, strict=True)]
        state = {k: torch.cat([s[k] for s in states]) for k in states[0]}
        return state, task, torch.full_like(task, -1)

    def _first_state(self, env: int, seed: int) -> State:
        """The filtered first frame of one env, hold steps before it; leading dimension 1."""
        frame = {k: v[:, None] for k, v in self._stack([env]).items()}
        history = pad_history(sensors_to_torch(frame, self.spec, self.device), self.spec)
        return self.model.start(history, torch.Generator(self.device).manual_seed(seed))

    def _begin_sims(self, envs: list[int], options: list[dict[str, Any]]) -> None:
        for env, (obs, snapshot) in zip(envs, self.sims.reset(envs, options), strict=True):
            self._sensors[env], self._begun[env] = obs, snapshot
        self._check_sensors(self._sensors[envs[0]])

    def _check_sensors(self, obs: Sensors) -> None:
        for key, sensor in self.spec.observations.items():
            want = (*sensor.shape[1:], sensor.shape[0]) if sensor.kind == "image" else sensor.shape
            if key not in obs or tuple(obs[key].shape) != tuple(want):
                got = f"shape {tuple(obs[key].shape)}" if key in obs else f"only {list(obs)}"
                raise ValueError(
                    f"the model reads {key!r} of shape {tuple(want)} but the simulator gives {got}; make the twin with "
                    "simulator_kwargs that match what the model was trained on"
                )

    def _stack(self, envs: list[int]) -> Sensors:
        """Sensors that the model reads, [K, ...] in numpy layout."""
        return {k: np.stack([self._sensors[i][k] for i in envs]) for k in self.spec.observations}

    def _advance(
        self, action: Tensor, frozen: Tensor | None
    ) -> tuple[State, Tensor, Tensor, Tensor | None, dict[str, Tensor]]:
        task, before = self.counters["task"], self.state
        envs = list(range(self.num_envs)) if frozen is None else (~frozen).nonzero().flatten().tolist()
        success = torch.zeros(self.num_envs, dtype=torch.bool)
        actions = action if action.dim() == 3 else action.unsqueeze(1)
        for each in actions.detach().cpu().numpy().swapaxes(0, 1):
            for env, (obs, done) in zip(envs, self.sims.step(envs, each[envs]), strict=True):
                self._sensors[env] = obs
                success[env] |= done
        frame = sensors_to_torch(self._stack(list(range(self.num_envs))), self.spec, self.device)
        state = self.model.observe(before, actions, frame, self.generator)
        _, probability, memory = self.reward.step(self.model, self.memory, before, action, state, task)
        success = success.to(self.device)
        return state, success.to(torch.float32), probability, success, memory

    def _observe(self, rows: Tensor | None = None) -> Obs:
        """The dream's observation, with what the real sensors show in place of what the model would decode."""
        reader, envs = self.observe, list(range(self.num_envs)) if rows is None else rows.tolist()
        if reader.mode == "features":
            return super()._observe(rows)
        task = self.counters["task"] if rows is None else self.counters["task"][rows]
        state = self.state if rows is None else {k: v[rows] for k, v in self.state.items()}

        def real(key: str) -> Tensor:
            missing = [i for i in envs if key not in self._sensors[i]]
            if missing:
                raise ValueError(f"the simulator does not observe {key!r}, which obs={reader.mode!r} shows")
            return torch.from_numpy(np.stack([self._sensors[i][key] for i in envs])).to(self.device)

        pixels = {k: real(k) for k in reader.images} if reader.mode in ("pixels", "dict") else {}
        if reader.mode == "pixels":
            return pixels
        vector = torch.cat([real(k).float() for k in reader.vectors], -1) if reader.vectors else None
        if reader.mode == "state":
            assert vector is not None
            return vector
        out = {"features": reader.features(state), "instruction": task.clone(), **pixels}
        if vector is not None:
            out["state"] = vector
        if PROPRIOCEPTION in reader.vectors:
            out["proprioception"] = real(PROPRIOCEPTION).float()
        return out

    def render(self) -> Tensor:
        """What the real cameras of each env show, side by side: uint8 [B, H, W, 3]."""
        self._check_ready("render")
        cameras = self.sims.cameras
        if not cameras:
            raise ValueError(f"nothing to render: {CAMERAS}")
        height = max(self._sensors[0][k].shape[0] for k in cameras)
        rows = [np.concatenate([_padded(obs[k], height) for k in cameras], 1) for obs in self._sensors]
        return torch.from_numpy(np.stack(rows))

    def snapshot(self) -> Snapshot:
        """See `DreamCore.snapshot`; the simulators' states are in it too."""
        sims = [np.stack(x) for x in (self._begun, self.sims.snapshot())]
        return replace(super().snapshot(), simulators=np.stack(sims, 1))

    def restore(self, snapshot: Snapshot) -> Obs:
        """See `DreamCore.restore`.

        Raises:
            ValueError: the snapshot is a dream's.
        """
        if snapshot.simulators is None:
            raise ValueError("this snapshot was taken of a dream and holds no simulator state; take one of a twin")
        self._check_open()
        begun, now = snapshot.simulators[:, 0], snapshot.simulators[:, 1]
        tasks = snapshot.counters["task"].tolist()
        # The oracle judges against the state at the start, so the episode is begun again and then moved on.
        options = [{"snapshot": b, "task": self.tasks[t]} for b, t in zip(begun, tasks, strict=True)]
        self._begin_sims(list(range(self.num_envs)), options)
        self._sensors = self.sims.restore(list(now))
        return super().restore(snapshot)

    def close(self) -> None:
        """Closes the simulators too."""
        super().close()
        self.sims.close()


def _padded(image: np.ndarray, height: int) -> np.ndarray:
    return np.pad(image, ((0, height - image.shape[0]), (0, 0), (0, 0)))


def make_core(
    world_model: str | Checkpoint | None = None,
    *,
    simulator: Mapping[str, Any] | None = None,
    simulator_kwargs: Mapping[str, Any] | None = None,
    num_workers: int = 0,
    reward: str = "success",
    reward_model: str | None = None,
    autoreset_mode: Any = "same_step",
    starts: str = "bank",
    **kwargs: Any,
) -> TwinCore:
    """Real simulators behind the spaces of a world model, without any face.

    Args:
        world_model: a checkpoint's name or the checkpoint.
        simulator: {"id", "kwargs"}; its kwargs prevail over those that the checkpoint records. None: the checkpoint's.
        simulator_kwargs: prevail over both (cameras, image_size, ...).
        num_workers: see `TwinCore`.
        reward: see `DreamCore` (``reward_mode``).
        reward_model: which of the checkpoint's reward models.
        autoreset_mode: "same_step", "next_step", "disabled" or Gymnasium's.
        starts: "bank": from the checkpoint's start bank; "simulator": from the simulator's own resets.
        kwargs: task, num_envs, horizon, obs, ...: as for `DreamCore`.

    Raises:
        ValueError: no world model or simulator, or an option of neither.
    """
    if unknown := sorted(set(kwargs) - set(signature(DreamCore).parameters)):
        raise ValueError(
            f"{unknown} are no options of a twin; what its simulator takes goes into simulator_kwargs="
            f"{ {k: kwargs[k] for k in unknown} }"
        )
    if world_model is None:
        raise ValueError(
            "this face of a twin needs world_model=...: the checkpoint through which the simulator is seen"
        )
    if starts not in ("bank", "simulator"):
        raise ValueError(f"starts must be 'bank' or 'simulator', got {starts!r}")
    opened = open_checkpoint(world_model)
    if simulator is None and opened.simulator is None:
        raise ValueError("this checkpoint records no simulator; pass simulator={'id': ..., 'kwargs': {...}}")
    recorded = None if opened.simulator is None else resolve_simulator(opened.simulator)
    chosen = recorded if simulator is None else resolve_simulator(simulator)
    assert chosen is not None
    inherited = recorded["kwargs"] if recorded is not None and recorded["id"] == chosen["id"] else {}
    chosen = {"id": chosen["id"], "kwargs": {**inherited, **chosen["kwargs"], **(simulator_kwargs or {})}}
    return TwinCore(
        opened.model,
        choose_reward(opened, reward_model),
        start_bank(opened) if starts == "bank" else None,
        chosen,
        num_workers=num_workers,
        reward_mode=reward,
        autoreset=mode_name(autoreset_mode),
        **kwargs,
    )


def make_single(
    world_model: str | Checkpoint | None = None,
    *,
    simulator: Mapping[str, Any] | None = None,
    simulator_kwargs: Mapping[str, Any] | None = None,
    task: Any = None,
    horizon: int = 64,
    render_mode: str | None = None,
    render_scale: int = 1,
    **kwargs: Any,
) -> gym.Env:
    """One real simulator: behind the dream's spaces, or, without ``world_model``, with its own observations.

    Without ``world_model`` further ``kwargs`` go to the simulator (cameras, image_size, ...).
    """
    if world_model is None:
        return _simulator(simulator, {**(simulator_kwargs or {}), **kwargs}, task, horizon, render_mode)
    core = make_core(
        world_model,
        simulator=simulator,
        simulator_kwargs=simulator_kwargs,
        task="all" if task is None else task,
        horizon=horizon,
        autoreset_mode="disabled",
        **{"validate": True, **kwargs},
    )
    return DreamEnv(core, render_mode, render_scale)


def make_vector(
    num_envs: int = 1,
    world_model: str | Checkpoint | None = None,
    *,
    simulator: Mapping[str, Any] | None = None,
    simulator_kwargs: Mapping[str, Any] | None = None,
    task: Any = None,
    horizon: int = 64,
    array: str = "numpy",
    render_mode: str | None = None,
    render_scale: int = 1,
    autoreset_mode: Any = "same_step",
    num_workers: int = 0,
    **kwargs: Any,
) -> VectorEnv:
    """Several real simulators as one vector env; without ``world_model`` with the simulator's own observations, and,
    where ``num_workers`` is not 0, in a process each.
    """
    if world_model is None:
        if array != "numpy" or render_scale != 1:
            raise ValueError(
                f"array={array!r} and render_scale={render_scale} need world_model=...: without it these are plain "
                "simulators, which speak numpy and draw as they draw"
            )
        own = {**(simulator_kwargs or {}), **kwargs}
        make = [partial(_simulator, simulator, own, task, horizon, render_mode) for _ in range(num_envs)]
        mode = MODES[mode_name(autoreset_mode)]
        if num_workers > 0:
            return AsyncVectorEnv(make, autoreset_mode=mode, context="spawn")
        return SyncVectorEnv(make, autoreset_mode=mode)
    core = make_core(
        world_model,
        simulator=simulator,
        simulator_kwargs=simulator_kwargs,
        task="all" if task is None else task,
        num_envs=num_envs,
        horizon=horizon,
        autoreset_mode=autoreset_mode,
        num_workers=num_workers,
        **{"validate": array == "numpy", **kwargs},
    )
    return DreamVectorEnv(core, array, render_mode, render_scale)


def _simulator(
    simulator: Mapping[str, Any] | None,
    simulator_kwargs: Mapping[str, Any],
    task: str | None,
    horizon: int,
    render_mode: str | None,
) -> gym.Env:
    """The simulator itself, with its own dict of sensors."""
    if simulator is None:
        raise ValueError("no simulator given: pass simulator={'id': ..., 'kwargs': {...}}")
    if task is not None and not isinstance(task, str):
        raise ValueError(
            f"the plain simulator takes one task name or None, got {task!r}; with world_model=... it takes more"
        )
    kwargs = {**(simulator.get("kwargs") or {}), **simulator_kwargs}
    kwargs |= {"task": None if task == "all" else task, "horizon": horizon, "render_mode": render_mode}
    return make_simulator({"id": simulator["id"], "kwargs": kwargs})
