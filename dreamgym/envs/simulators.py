"""Several real simulators side by side: one after the other in this process, or spread over worker processes.

A simulator is any ``gymnasium.Env`` with a dict of sensors for observations (numpy layout), ``reset`` options "task"
and "snapshot", ``info["is_success"]``, and ``snapshot() -> [S] float64``, ``restore(snapshot)``, ``observe()``. It may
have ``advance(action) -> info``, a step without an observation, for the actions between the frames of a model.
"""

from __future__ import annotations

import contextlib
import multiprocessing as mp
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np

from dreamgym.actors import ERRORS
from dreamgym.suites import Suite, suite, suites
from dreamgym.suites.facts import suite_of as suite_of_store

if TYPE_CHECKING:
    from dreamgym.data.store import EpisodeView
    from dreamgym.training.checkpoint import Checkpoint

NO_GUARD = (
    'a script that makes simulators with num_workers does so under `if __name__ == "__main__":`, since each worker '
    "imports the script"
)
"""Why a process may end before its own work begins."""

Sensors = dict[str, np.ndarray]

OWN_SUITE = (
    "if it is a suite of your own (gym_suite, register_suite), run the file that registers it first: --import FILE.py "
    "on the command line, an import in Python"
)
"""The mend where a suite that a script registers is not known yet."""


def resolve_simulator(simulator: str | Mapping[str, Any]) -> dict[str, Any]:
    """{"id", "kwargs"} with a twin's env id ("Real-PlayTable-v0") replaced by the suite that it stands for.

    Raises:
        ValueError: neither an id nor a mapping with one.
    """
    simulator = {"id": simulator} if isinstance(simulator, str) else simulator
    if not isinstance(simulator, Mapping) or not isinstance(simulator.get("id"), str):
        raise ValueError(f"simulator: expected an id or {{'id': ..., 'kwargs': {{...}}}}, got {simulator!r}")
    spec = gym.registry.get(simulator["id"])
    kwargs = dict(simulator.get("kwargs") or {})
    if spec is None or "simulator" not in spec.kwargs:
        return {"id": simulator["id"], "kwargs": kwargs}
    base = spec.kwargs["simulator"]
    return {"id": base["id"], "kwargs": {**base["kwargs"], **kwargs}}


def suite_of(simulator: str | Mapping[str, Any] | None) -> Suite | None:
    """The suite that a simulator is of; None: it is of none that is known here."""
    name = None if simulator is None else resolve_simulator(simulator)["id"]
    return suite(name) if name in suites() else None


def check_recorded_in(checkpoint: Checkpoint, *views: EpisodeView) -> None:
    """Refuses episodes of another suite: sensors of the same name and size may mean something else there.

    What a store or a checkpoint does not say is not checked.

    Raises:
        ValueError: a store and the world model are of different suites.
    """
    learned = suite_of(checkpoint.simulator)
    for view in views:
        recorded = suite_of_store(view)
        if learned is not None and recorded is not None and recorded.name != learned.name:
            raise ValueError(
                f"{view.path} was recorded in {recorded.name!r}, and the world model {checkpoint.path.name!r} was "
                f"learned from {learned.name!r}: give a store of that suite"
            )


def make_simulator(simulator: str | Mapping[str, Any]) -> gym.Env:
    """A simulator from {"id": ..., "kwargs": {...}}: a suite's, a Gymnasium id's, or a "module:Class".

    Raises:
        ValueError: nothing of that id, or an option that it does not take.
        ImportError: its extra is missing; the message is the pip line.
    """
    simulator = resolve_simulator(simulator)
    name, kwargs = simulator["id"], simulator["kwargs"]
    if name in suites():
        return suite(name).make(**kwargs)
    if name not in gym.registry and name.count(":") != 1:
        raise ValueError(
            f"unknown simulator {name!r}: expected one of the suites {list(suites())}, a Gymnasium id or "
            f"'module:Class'; {OWN_SUITE}"
        )
    try:
        if name in gym.registry:
            return gym.make(name, **kwargs).unwrapped
        module, _, attribute = name.partition(":")
        env: gym.Env = getattr(import_module(module), attribute)(**kwargs)
    except TypeError as wrong:
        if "unexpected keyword argument" not in str(wrong):
            raise
        mend = "the simulator {!r} takes its own options; those of a dream's env need world_model=..."
        if any(f"{word!r}" in str(wrong) for word in ("task", "horizon")):
            mend = (
                "a simulator without a world model is made with task=, horizon= and render_mode=, and {!r} takes other "
                "options: wrap it in a class that does, or make a suite of it (dreamgym.suites.gym_suite)"
            )
        raise ValueError(f"{wrong}: {mend.format(name)}") from wrong
    return env


def portable(simulator: Mapping[str, Any]) -> dict[str, Any]:
    """The same simulator in words that a fresh process understands: suites that a script registered are unknown there.

    Raises:
        ValueError: a suite whose simulator cannot be named.
    """
    simulator = resolve_simulator(simulator)
    known = suite_of(simulator)
    if known is None:
        return simulator
    if not isinstance(known.simulator, str):
        raise ValueError(
            f"the simulator of {known.name!r} is an object of this process and cannot run in worker processes: use "
            "num_workers=0, or name it as 'module:factory' in its Suite"
        )
    return {"id": known.simulator, "kwargs": simulator["kwargs"]}


def check_trusted(simulator: Mapping[str, Any], file: Path) -> dict[str, Any]:
    """The simulator that a checkpoint names, as `resolve_simulator` gives it, if it can do no harm.

    A checkpoint is a stranger's data: "module:Class" in it would be imported and called, and an option of a known
    simulator may be the path of a file that it reads.

    Args:
        simulator: what the checkpoint records.
        file: where it does, for the message.

    Raises:
        CheckpointError: it is no suite of this library or of an installed package, or an option is none that a
            checkpoint may set (`Suite.settings`).
    """
    from dreamgym.training.checkpoint import CheckpointError

    chosen = resolve_simulator(simulator)
    name = chosen["id"]
    if name not in suites():
        raise CheckpointError(
            f"{file} names the simulator {name!r}, which is none of the suites {list(suites())}, and running what a "
            f"checkpoint names would let it run any code: {OWN_SUITE}; else pass "
            "simulator={'id': ..., 'kwargs': {...}} yourself, or trust_simulator=True if you know where the checkpoint "
            "comes from"
        )
    try:
        suite(name).check_settings(simulator.get("kwargs") or {})
    except ValueError as error:
        raise CheckpointError(
            f"{file}: 'simulator' does not fit: {error}; pass it yourself as simulator_kwargs={{...}}, or "
            "trust_simulator=True if you know where the checkpoint comes from"
        ) from error
    return chosen


class Simulators:
    """N simulators in this process.

    Args:
        simulator: what `make_simulator` takes.
        num_envs: N.
    """

    def __init__(self, simulator: Mapping[str, Any], num_envs: int) -> None:
        self.envs = [make_simulator(simulator) for _ in range(num_envs)]
        sensors = self.envs[0].observation_space
        if not isinstance(sensors, gym.spaces.Dict):
            raise ValueError(f"a simulator must observe a dict of sensors, {simulator['id']!r} observes {sensors}")
        self.cameras = tuple(k for k, v in sensors.items() if v.dtype == np.uint8 and len(v.shape or ()) == 3)

    def reset(self, envs: Sequence[int], options: Sequence[dict[str, Any]]) -> list[tuple[Sensors, np.ndarray]]:
        """Resets ``envs``; an option "seed" seeds. Observation and snapshot at the start of each."""
        out = []
        for i, option in zip(envs, options, strict=True):
            seed = option.pop("seed", None)
            obs, _ = self.envs[i].reset(seed=seed, options=option)
            out.append((obs, self._snapshot(i)))
        return out

    def _snapshot(self, env: int) -> np.ndarray:
        return np.asarray(self.envs[env].snapshot(), np.float64)  # type: ignore[attr-defined]

    def step(self, envs: Sequence[int], actions: np.ndarray) -> list[tuple[Sensors, bool]]:
        """One action [A] each; observation and the oracle's verdict."""
        out = []
        for i, action in zip(envs, actions, strict=True):
            obs, _, _, _, info = self.envs[i].step(action)
            out.append((obs, bool(info["is_success"])))
        return out

    def advance(self, envs: Sequence[int], actions: np.ndarray) -> list[bool]:
        """One action [A] each, whose observation nobody reads; the oracle's verdict."""
        out = []
        for i, action in zip(envs, actions, strict=True):
            quick = getattr(self.envs[i], "advance", None)
            out.append(bool((self.envs[i].step(action)[4] if quick is None else quick(action))["is_success"]))
        return out

    def snapshot(self) -> list[np.ndarray]:
        """The state of every simulator."""
        return [self._snapshot(i) for i in range(len(self.envs))]

    def restore(self, snapshots: Sequence[np.ndarray]) -> list[Sensors]:
        """Sets the state of every simulator; what each observes then."""
        for env, snapshot in zip(self.envs, snapshots, strict=True):
            env.restore(snapshot)  # type: ignore[attr-defined]
        return [env.observe() for env in self.envs]  # type: ignore[attr-defined]

    def close(self) -> None:
        """Closes every simulator."""
        for env in self.envs:
            env.close()


class WorkerSimulators:
    """N simulators in worker processes, each of which holds its share of them; the calls of `Simulators`.

    Args:
        simulator: what `make_simulator` takes.
        num_envs: N.
        num_workers: processes.

    Raises:
        ImportError, ValueError, FileNotFoundError: the simulators cannot be made, as in this process.
        RuntimeError: on any call, when a worker failed; the message carries its error.
    """

    def __init__(self, simulator: Mapping[str, Any], num_envs: int, num_workers: int) -> None:
        # Spawned, not forked: a fork of a process with torch's threads can hang.
        context = mp.get_context("spawn")
        self._shares = [list(range(num_envs))[w::num_workers] for w in range(min(num_workers, num_envs))]
        self._pipes, self._processes = [], []
        named = portable(simulator)
        for share in self._shares:
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(theirs, named, len(share)), daemon=True)
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)
        self._num_envs = num_envs
        try:
            self.cameras: tuple[str, ...] = self._gather(range(len(self._shares)))[0]
        except Exception:
            self.close()
            raise

    def reset(self, envs: Sequence[int], options: Sequence[dict[str, Any]]) -> list[tuple[Sensors, np.ndarray]]:
        """See `Simulators.reset`."""
        return self._spread("reset", envs, options)

    def step(self, envs: Sequence[int], actions: np.ndarray) -> list[tuple[Sensors, bool]]:
        """See `Simulators.step`."""
        return self._spread("step", envs, list(actions))

    def advance(self, envs: Sequence[int], actions: np.ndarray) -> list[bool]:
        """See `Simulators.advance`."""
        return self._spread("advance", envs, list(actions))

    def snapshot(self) -> list[np.ndarray]:
        """See `Simulators.snapshot`."""
        for worker in range(len(self._shares)):
            self._send(worker, "snapshot")
        return self._in_order()

    def restore(self, snapshots: Sequence[np.ndarray]) -> list[Sensors]:
        """See `Simulators.restore`."""
        for worker, share in enumerate(self._shares):
            self._send(worker, "restore", [snapshots[i] for i in share])
        return self._in_order()

    def _send(self, worker: int, method: str, *args: Any) -> None:
        # A worker that has died does not answer: `_gather` raises once the others' answers are read.
        with contextlib.suppress(OSError):
            self._pipes[worker].send((method, args))

    def _in_order(self) -> list[Any]:
        """Every worker's answers, one an env."""
        out: list[Any] = [None] * self._num_envs
        for share, result in zip(self._shares, self._gather(range(len(self._shares))), strict=True):
            for env, value in zip(share, result, strict=True):
                out[env] = value
        return out

    def _spread(self, method: str, envs: Sequence[int], values: Sequence[Any]) -> list[Any]:
        """Sends each env's value to its worker, all at once; results in the order of ``envs``."""
        busy, places = [], []
        for worker, share in enumerate(self._shares):
            own = [k for k, env in enumerate(envs) if env in share]
            if own:
                self._send(worker, method, [share.index(envs[k]) for k in own], [values[k] for k in own])
                busy.append(worker)
                places.append(own)
        out: list[Any] = [None] * len(envs)
        for own, result in zip(places, self._gather(busy), strict=True):
            for k, value in zip(own, result, strict=True):
                out[k] = value
        return out

    def _gather(self, workers: Sequence[int]) -> list[Any]:
        """One answer from each of ``workers``; all are read before an error is raised, so that none is left behind."""
        answers = []
        for worker in workers:
            try:
                answers.append(self._pipes[worker].recv())
            except (EOFError, OSError):
                answers.append(("error", self._ended(worker)))
        for kind, value in answers:
            if kind in ERRORS:
                raise ERRORS[kind](value)
        return [value for _, value in answers]

    def _ended(self, worker: int) -> str:
        """Why a worker may have ended that did not say so itself."""
        process = self._processes[worker]
        process.join(timeout=5)
        if process.exitcode == 1:  # as Python ends where it fails before the worker's own work begins
            return f"simulator worker {worker} could not start: {NO_GUARD}"
        return (
            f"simulator worker {worker} ended without a word (killed, or out of memory; exit code {process.exitcode})"
        )

    def close(self) -> None:
        """Ends the workers."""
        for pipe, process in zip(self._pipes, self._processes, strict=True):
            if process.is_alive():
                with contextlib.suppress(OSError):  # it may be gone already
                    pipe.send(("close", ()))
            process.join(timeout=5)
            if process.is_alive():
                process.terminate()
            pipe.close()
        self._pipes, self._processes, self._shares = [], [], []


def _work(pipe: Any, simulator: dict[str, Any], num_envs: int) -> None:
    """A worker: makes its simulators and answers calls until told to close."""
    try:
        sims = Simulators(simulator, num_envs)
        pipe.send(("ready", sims.cameras))
    except Exception as error:  # whatever it is, the parent must hear of it
        kinds = [name for name, kind in ERRORS.items() if isinstance(error, kind)]
        told = str(error) if kinds else f"a simulator worker could not begin: {type(error).__name__}: {error}"
        pipe.send((kinds[0] if kinds else "error", told))
        return
    while True:
        try:
            method, args = pipe.recv()
        except EOFError:
            break
        if method == "close":
            break
        try:
            pipe.send(("result", getattr(sims, method)(*args)))
        except Exception as error:
            pipe.send(("error", f"a simulator worker failed in {method}: {type(error).__name__}: {error}"))
    sims.close()
