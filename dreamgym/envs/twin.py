"""The twin: real simulators behind a dream's spaces, so that one policy and one line of code score both.

What its transitions are stands in `simulated.py`; everything after them (rules, autoreset, faces) is the dream's own
code. Reward and ``is_success`` come from the simulator's oracle, ``success_probability`` from the dream's own reward
model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Unpack

import gymnasium as gym
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv, VectorEnv

from dreamgym.envs.core.core import DreamCore
from dreamgym.envs.core.options import CoreOptions
from dreamgym.envs.core.starts import StartBank
from dreamgym.envs.faces.single import DreamEnv
from dreamgym.envs.faces.vector import MODES, DreamVectorEnv, mode_name
from dreamgym.envs.make import choose_reward, core_options, drawing_of, open_checkpoint, start_bank
from dreamgym.envs.ray_simulators import RaySimulators
from dreamgym.envs.simulated import SimulatorWorld
from dreamgym.envs.simulators import (
    NO_GUARD,
    Sensors,
    Simulators,
    WorkerSimulators,
    check_trusted,
    make_simulator,
    resolve_simulator,
    suite_of,
)
from dreamgym.envs.twin_options import TwinKwargs, TwinOptions
from dreamgym.rewards.base import RewardModel
from dreamgym.rewards.function import Function
from dreamgym.suites import suites
from dreamgym.suites.drawing import Drawing
from dreamgym.types import InstructionSpec, Policy
from dreamgym.world_models.base import WorldModel

if TYPE_CHECKING:
    from dreamgym.training.checkpoint import Checkpoint


class TwinCore(DreamCore):
    """A `DreamCore` whose world is made of simulators. All its faces are those of the dream.

    Args:
        model, reward, starts: the dream's own. Without ``starts`` (or with starts that lack snapshots) episodes begin
            where the simulator's reset puts them, and the first frame is filtered with hold steps before it.
        sims: the simulators, as many as ``options.num_envs`` (see `open_simulators`); closed with the core.
        executor: carries instructions out, for models that are driven by them (see `Policy.follow`).
        options, device, drawing, changes: as for `DreamCore`.

    Raises:
        ValueError: the simulator lacks a sensor that the model reads, or has it in another shape; a model driven by
            instructions without an executor, or an executor of another model.
    """

    world: SimulatorWorld

    def __init__(
        self,
        model: WorldModel,
        reward: RewardModel,
        starts: StartBank | None,
        sims: Simulators | WorkerSimulators | RaySimulators,
        options: CoreOptions | None = None,
        *,
        executor: Policy | None = None,
        device: Any = None,
        drawing: Drawing | None = None,
        **changes: Any,
    ) -> None:
        if isinstance(model.spec.action, InstructionSpec) and executor is None:
            raise ValueError(
                "this model is driven by instructions: its twin needs executor=..., a policy that carries a clip out"
            )
        if executor is not None and not isinstance(model.spec.action, InstructionSpec):
            raise ValueError("executor carries instructions out, and this model takes control actions: leave it out")
        if starts is not None and starts.snapshot is None:
            starts = None
        options = replace(options or CoreOptions(), **changes)
        if options.reward_mode == "log_probability":
            raise ValueError(
                "reward='log_probability' is of dreams alone: a twin's oracle pays 0 or 1; use 'probability'"
            )
        if options.gradients:
            raise ValueError("gradients=True is of dreams alone: no gradient passes through a simulator; leave it out")
        world = SimulatorWorld(sims, options.num_envs, executor)
        super().__init__(model, reward, starts, options, world=world, device=device, drawing=drawing)

    @property
    def sims(self) -> Simulators | WorkerSimulators | RaySimulators:
        """The simulators."""
        return self.world.sims

    @property
    def sensors(self) -> list[Sensors]:
        """What each simulator's sensors showed last, in numpy layout; to look at, not to write to."""
        return self.world.sensors


def make_core(
    world_model: str | Checkpoint | None = None,
    *,
    reward: str | Function | None = "success",
    reward_model: str | None = None,
    autoreset_mode: Any = "same_step",
    device: Any = None,
    **options: Unpack[TwinKwargs],
) -> TwinCore:
    """Real simulators behind the spaces of a world model, without any face.

    Args:
        world_model: a checkpoint's name or the checkpoint.
        reward: "success" or "probability": the simulator's oracle pays, once or at every step; "shaped" or a function,
            of what the model decodes of the filtered states, or None: paid as in the dream.
        reward_model: which of the checkpoint's reward models.
        autoreset_mode: "same_step", "next_step", "disabled" or Gymnasium's.
        device: of the world model.
        options: fields of `TwinOptions` (simulator_kwargs, num_workers, executor, ...) and of `CoreOptions`.

    Raises:
        ValueError: no world model or simulator, one that does not fit the model, or an option of neither.
    """
    twin, changes = TwinOptions.split(options)
    if world_model is None:
        raise ValueError(
            "this face of a twin needs world_model=...: the checkpoint through which the simulator is seen"
        )
    opened = open_checkpoint(world_model)
    simulator = choose_simulator(opened, twin.simulator, twin.trust_simulator)
    robot = {} if changes.get("embodiment") is None else {"robot": changes["embodiment"]}
    simulator["kwargs"] |= {**robot, **(twin.simulator_kwargs or {})}
    made = core_options(opened, reward, autoreset_mode, changes)
    scores = choose_reward(opened, reward_model, reward)
    bank = start_bank(opened) if twin.starts == "bank" else None
    sims = open_simulators(simulator, made.num_envs, twin.num_workers, twin.engine, twin.address)
    try:
        return TwinCore(
            opened.model, scores, bank, sims, made, executor=twin.executor, device=device,
            drawing=drawing_of(simulator),
        )  # fmt: skip
    except BaseException:
        sims.close()
        raise


def open_simulators(
    simulator: Mapping[str, Any], num_envs: int, num_workers: int = 0, engine: str = "local", address: str | None = None
) -> Simulators | WorkerSimulators | RaySimulators:
    """As many simulators of one kind, where `TwinOptions` says: here, in worker processes, or on a cluster."""
    if engine == "ray":
        return RaySimulators(simulator, num_envs, num_workers, address)
    return WorkerSimulators(simulator, num_envs, num_workers) if num_workers > 0 else Simulators(simulator, num_envs)


def choose_simulator(
    checkpoint: Checkpoint, simulator: str | Mapping[str, Any] | None = None, trusted: bool = False
) -> dict[str, Any]:
    """{"id", "kwargs"} of a twin: what the caller names, with what the checkpoint records of the same suite.

    Raises:
        ValueError: there is none, or it is of another suite than the checkpoint's.
        CheckpointError: the checkpoint names one, or options of it, that are not to be trusted (`check_trusted`).
    """
    recorded, file = checkpoint.simulator, checkpoint.path / "config.json"
    if simulator is None:
        if recorded is None:
            raise ValueError("this checkpoint records no simulator; pass simulator={'id': ..., 'kwargs': {...}}")
        return resolve_simulator(recorded) if trusted else check_trusted(recorded, file)
    chosen = resolve_simulator(simulator)
    if recorded is None:
        return chosen
    named, known = resolve_simulator(recorded)["id"], suites()
    if named != chosen["id"]:
        if {named, chosen["id"]} <= set(known):
            raise ValueError(
                f"this twin simulates {chosen['id']!r}, but the world model {checkpoint.path.name!r} was learned from "
                f"{named!r}: give a world model of {chosen['id']!r}, or use that suite's own Real- id"
            )
        return chosen
    if named not in known and not trusted:
        return chosen  # the options that a checkpoint records for code that is not known here are not to be trusted
    told = resolve_simulator(recorded) if trusted else check_trusted(recorded, file)
    return {"id": named, "kwargs": {**told["kwargs"], **chosen["kwargs"]}}


def make_single(
    world_model: str | Checkpoint | None = None,
    *,
    task: Any = None,
    render_mode: str | None = None,
    render_scale: int = 1,
    **kwargs: Any,
) -> gym.Env:
    """One real simulator: behind the dream's spaces, or, without ``world_model``, with its own observations.

    Args:
        world_model, task, render_mode, render_scale: as for a dream's env.
        kwargs: those of `make_core`, or, without ``world_model``, "simulator", "simulator_kwargs", "horizon" and the
            simulator's own (cameras, image_size, ...).
    """
    if world_model is None:
        return _simulator(task=task, render_mode=render_mode, **kwargs)
    kwargs = {"validate": True, **kwargs, "task": "all" if task is None else task}
    return DreamEnv(make_core(world_model, autoreset_mode="disabled", **kwargs), render_mode, render_scale)


def make_vector(
    num_envs: int = 1,
    world_model: str | Checkpoint | None = None,
    *,
    task: Any = None,
    array: str = "numpy",
    render_mode: str | None = None,
    render_scale: int = 1,
    **kwargs: Any,
) -> VectorEnv:
    """Several real simulators as one vector env, as `make_single` makes one.

    Without ``world_model`` each is in a process of its own where ``num_workers`` is not 0.
    """
    if world_model is None:
        if array != "numpy" or render_scale != 1:
            raise ValueError(
                f"array={array!r} and render_scale={render_scale} need world_model=...: without it these are plain "
                "simulators, which speak numpy and draw as they draw"
            )
        return _simulators(num_envs, task=task, render_mode=render_mode, **kwargs)
    kwargs = {"validate": array == "numpy", **kwargs, "task": "all" if task is None else task}
    return DreamVectorEnv(make_core(world_model, num_envs=num_envs, **kwargs), array, render_mode, render_scale)


def _simulators(num_envs: int, *, autoreset_mode: Any = "same_step", num_workers: int = 0, **kwargs: Any) -> VectorEnv:
    """Simulators themselves, side by side."""
    make = [partial(_simulator, **kwargs) for _ in range(num_envs)]
    mode = MODES[mode_name(autoreset_mode)]
    if num_workers > 0:
        try:
            return AsyncVectorEnv(make, autoreset_mode=mode, context="spawn")
        except (EOFError, ConnectionError) as ended:  # of a pipe whose process is gone
            raise RuntimeError(f"a simulator worker could not start: {NO_GUARD}") from ended
    return SyncVectorEnv(make, autoreset_mode=mode)


def _simulator(
    *,
    simulator: str | Mapping[str, Any] | None = None,
    simulator_kwargs: Mapping[str, Any] | None = None,
    task: str | None = None,
    horizon: int | None = None,
    render_mode: str | None = None,
    **own: Any,
) -> gym.Env:
    """The simulator itself, with its own dict of sensors."""
    if simulator is None:
        raise ValueError("no simulator given: pass simulator=ID or {'id': ..., 'kwargs': {...}}")
    simulator = resolve_simulator(simulator)
    if task is not None and not isinstance(task, str):
        raise ValueError(
            f"the plain simulator takes one task name or None, got {task!r}; with world_model=... it takes more"
        )
    if horizon is None:
        suite = suite_of(simulator)
        horizon = CoreOptions.horizon if suite is None else suite.horizon
    kwargs = {**(simulator.get("kwargs") or {}), **(simulator_kwargs or {}), **own}
    kwargs |= {"task": None if task == "all" else task, "horizon": horizon, "render_mode": render_mode}
    return make_simulator({"id": simulator["id"], "kwargs": kwargs})
