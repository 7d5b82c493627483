"""An adversary: at random steps the simulator is disturbed (WARPD, section 4.1.1)."""

from __future__ import annotations

import zlib
from typing import Any, Protocol, cast

import gymnasium as gym
import numpy as np

PROBABILITY = 0.1  # WARPD, 4.1.1: "with 10% probability"


class Perturbable(Protocol):
    """A simulator that an adversary can disturb."""

    def perturb(self, rng: np.random.Generator, magnitude: float) -> None:
        """Disturbs the present state, or the next step."""
        ...


class Perturbed(gym.Wrapper):
    """Disturbs the simulator before an action, with a fixed probability a step.

    What happens at step t of an episode depends on ``seed``, on the seed given to `reset`, on where the episode began
    and on t alone: not on the actions, nor on other episodes. So policies that are compared meet the same adversary.

    Args:
        env: a simulator with a method ``perturb``.
        magnitude: how strong, in the simulator's own unit (see its ``perturb``); 0 disturbs nothing.
        probability: of a disturbance at each step.
        seed: another one is another adversary.

    Raises:
        ValueError: the simulator cannot be disturbed, or an argument is out of its range.
    """

    def __init__(self, env: gym.Env, magnitude: float, probability: float = PROBABILITY, seed: int = 0) -> None:
        super().__init__(env)
        if not hasattr(env, "perturb"):
            mend = (
                "it must be the simulator itself, so pass env.unwrapped, or make the env with perturbation=..."
                if hasattr(env.unwrapped, "perturb")
                else "leave it out"
            )
            raise ValueError(f"{type(env).__name__} cannot be disturbed: {mend}")
        if magnitude < 0 or not 0 <= probability <= 1 or seed < 0:
            raise ValueError(
                f"magnitude and seed must be at least 0 and probability in [0, 1], got {magnitude}, {seed} and "
                f"{probability}"
            )
        self.magnitude, self.probability, self.seed = float(magnitude), float(probability), seed
        self._origin, self._step = 0, 0

    @property
    def simulator(self) -> Any:
        """The env inside, with the calls that Gymnasium does not know."""
        return self.env

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """See the simulator's ``reset``; takes snapshots of the undisturbed simulator, too."""
        out = self.env.reset(seed=seed, options=self._inner(options))
        key = [self.seed, 0 if seed is None else seed + 1]
        self._origin = zlib.crc32(np.array(key, np.int64).tobytes(), zlib.crc32(self.simulator.snapshot().tobytes()))
        self._step = 0
        return out

    def step(self, action: np.ndarray) -> tuple[dict[str, np.ndarray], Any, bool, bool, dict[str, Any]]:
        """One step, disturbed or not; ``info["perturbed"]`` says which."""
        rng = np.random.default_rng([self._origin, self._step])
        perturbed = bool(rng.random() < self.probability and self.magnitude > 0)
        if perturbed:
            cast(Perturbable, self.env).perturb(rng, self.magnitude)
        self._step += 1
        obs, reward, terminated, truncated, info = self.env.step(action)
        return obs, reward, terminated, truncated, {**info, "perturbed": perturbed}

    def observe(self, cameras: bool = True) -> dict[str, np.ndarray]:
        """See the simulator's ``observe``."""
        obs: dict[str, np.ndarray] = self.simulator.observe(cameras)
        return obs

    def snapshot(self) -> np.ndarray:
        """The simulator's snapshot, then what decides about the disturbances to come: float64 [S + 2]."""
        return np.concatenate([self.simulator.snapshot(), [self._origin, self._step]])

    def restore(self, snapshot: np.ndarray) -> None:
        """Sets the state from `snapshot`, or from the undisturbed simulator's."""
        vector = np.asarray(snapshot, np.float64)
        if len(vector) == self.simulator.snapshot_size + 2:
            self._origin, self._step = int(vector[-2]), int(vector[-1])
            vector = vector[:-2]
        self.simulator.restore(vector)

    def _inner(self, options: dict[str, Any] | None) -> dict[str, Any] | None:
        if options is None or options.get("snapshot") is None:
            return options
        vector = np.asarray(options["snapshot"], np.float64)
        own = len(vector) == self.simulator.snapshot_size + 2
        return {**options, "snapshot": vector[:-2] if own else vector}


def perturbed(env: gym.Env, magnitude: float | None, probability: float, seed: int) -> gym.Env:
    """``env`` itself where ``magnitude`` is None or 0, else with its adversary.

    Raises:
        ValueError: a probability where there is nothing to disturb with; and as for `Perturbed`.
    """
    if magnitude is None and probability != PROBABILITY:
        raise ValueError(f"perturbation_probability={probability} without a magnitude: give perturbation=... too")
    return Perturbed(env, magnitude, probability, seed) if magnitude else env
