"""Several real simulators on a Ray cluster, an actor each; one that dies is made again and led to where it was."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dreamgym.actors import ERRORS, Actors, Died
from dreamgym.envs.simulators import Sensors, Simulators, portable

_log = logging.getLogger(__name__)

LIVES = 3
"""How often a simulator is made again at one call before the call itself is held to be what kills it."""

Call = tuple[str, tuple[Any, ...]]


class RaySimulators:
    """N simulators in actors; the calls of `Simulators`, with the same results.

    A simulator repeats its episode from its reset under the same actions. So what an actor was told since its last
    reset is kept, and told again to the one that takes the place of a dead one.

    Attributes:
        actors: Ray's handle of each simulator's actor.

    Args:
        simulator: what `make_simulator` takes.
        num_envs: N.
        num_workers: CPUs that they share; 0: one each.
        address: see `Actors`.

    Raises:
        ImportError, ValueError, FileNotFoundError: the simulators cannot be made, as in this process; no Ray, no
            cluster, or too few CPUs in it.
        RuntimeError: on any call, when a simulator failed, or died three times at one call.
    """

    def __init__(
        self, simulator: Mapping[str, Any], num_envs: int, num_workers: int = 0, address: str | None = None
    ) -> None:
        workers = min(num_workers or num_envs, num_envs)
        self._cluster, self._cpus = Actors(workers, address), workers / num_envs
        self._simulator = portable(simulator)
        self._told: list[list[Call]] = [[] for _ in range(num_envs)]
        self.actors = [self._make() for _ in range(num_envs)]
        try:
            (self.cameras,) = self._ask({0: ("shown", ())})
        except Exception:
            self.close()
            raise

    def _make(self) -> Any:
        return self._cluster.make(OneSimulator, self._simulator, cpus=self._cpus)

    def reset(self, envs: Sequence[int], options: Sequence[dict[str, Any]]) -> list[tuple[Sensors, np.ndarray]]:
        """See `Simulators.reset`."""
        calls: dict[int, Call] = {i: ("reset", (dict(o),)) for i, o in zip(envs, options, strict=True)}
        found = self._ask(calls)
        for env, call in calls.items():
            self._told[env] = [call]
        return found

    def step(self, envs: Sequence[int], actions: np.ndarray) -> list[tuple[Sensors, bool]]:
        """See `Simulators.step`."""
        return self._move("step", envs, actions)

    def advance(self, envs: Sequence[int], actions: np.ndarray) -> list[bool]:
        """See `Simulators.advance`."""
        return self._move("advance", envs, actions)

    def _move(self, method: str, envs: Sequence[int], actions: np.ndarray) -> list[Any]:
        calls: dict[int, Call] = {i: (method, (np.array(a),)) for i, a in zip(envs, actions, strict=True)}
        found = self._ask(calls)
        for env, call in calls.items():
            self._told[env].append(call)
        return found

    def snapshot(self) -> list[np.ndarray]:
        """See `Simulators.snapshot`."""
        return self._ask(dict.fromkeys(range(len(self.actors)), ("snapshot", ())))

    def restore(self, snapshots: Sequence[np.ndarray]) -> list[Sensors]:
        """See `Simulators.restore`."""
        calls: dict[int, Call] = {env: ("restore", (snapshot,)) for env, snapshot in enumerate(snapshots)}
        found = self._ask(calls)
        for env, call in calls.items():
            self._told[env] = [*self._told[env][:1], call]
        return found

    def _ask(self, calls: Mapping[int, Call]) -> list[Any]:
        """Calls each env's actor, all at once; all answers are in before an error is raised."""
        asked = {env: self._cluster.call(self.actors[env], call[0], *call[1]) for env, call in calls.items()}
        answers = [self._answer(env, asked[env], calls[env]) for env in calls]
        for kind, value in answers:
            if kind in ERRORS:
                raise ERRORS[kind](value)
        return [value for _, value in answers]

    def _answer(self, env: int, asked: Any, call: Call) -> tuple[str, Any]:
        for _ in range(LIVES):
            try:
                return self._cluster.get(asked)
            except Died as died:
                _log.warning("the worker of simulator %d died (%s): another one takes its place", env, died)
            self.actors[env] = self._make()
            for told in self._told[env]:
                self._cluster.call(self.actors[env], told[0], *told[1])  # an actor answers in the order of its calls
            asked = self._cluster.call(self.actors[env], call[0], *call[1])
        return "error", f"the worker of simulator {env} died {LIVES} times in {call[0]}: the simulator itself ends it"

    def close(self) -> None:
        """Ends the actors."""
        self._cluster.end(self.actors)
        self.actors = []


class OneSimulator:
    """What an actor holds: one simulator."""

    def __init__(self, simulator: Mapping[str, Any]) -> None:
        self.sims = Simulators(simulator, 1)

    def shown(self) -> tuple[str, ...]:
        """Its cameras."""
        return self.sims.cameras

    def reset(self, option: dict[str, Any]) -> tuple[Sensors, np.ndarray]:
        """See `Simulators.reset`."""
        return self.sims.reset([0], [option])[0]

    def step(self, action: np.ndarray) -> tuple[Sensors, bool]:
        """See `Simulators.step`."""
        return self.sims.step([0], action[None])[0]

    def advance(self, action: np.ndarray) -> bool:
        """See `Simulators.advance`."""
        return self.sims.advance([0], action[None])[0]

    def snapshot(self) -> np.ndarray:
        """See `Simulators.snapshot`."""
        return self.sims.snapshot()[0]

    def restore(self, snapshot: np.ndarray) -> Sensors:
        """See `Simulators.restore`."""
        return self.sims.restore([snapshot])[0]
