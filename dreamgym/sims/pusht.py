"""PushT on plain Gymnasium (gym-pusht): a disc pushes a T onto its outline; with snapshots and an adversary."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np

from dreamgym.sims.perturbed import PROBABILITY, perturbed
from dreamgym.sims.state_env import STATE, StateEnv

try:
    from gym_pusht.envs.pusht import PushTEnv as _Suite
except ImportError as error:
    raise ImportError('gym-pusht is missing: pip install "dreamgym[pusht]"') from error

TASKS = ("push_t",)
SIZE = 512.0  # side of the table in pixels, the suite's unit of length
REACH = 60.0  # a displaced block stays so far from the table's edge


class PushTEnv(StateEnv):
    """A disc pushes a T-shaped block onto its outline.

    ``state`` (6,): the disc's position 2 and the block's position 2 (pixels, 0 to 512), cosine and sine of the block's
    angle (the suite gives the angle, which jumps by a turn). Actions (2,): where the disc is to go, pixels in [0, 512],
    at 10 Hz. Success: the block covers its outline by ``success_coverage``; ``info["coverage"]`` is how far it does.

    Args:
        task: "push_t", the only one, or None.
        horizon: steps of an episode; the suite's own is 300.
        render_mode, cameras, image_size: see `StateEnv`.
        success_coverage: share of the outline that counts as done. The suite's own is 0.95.

    Attributes:
        world: the suite's own env.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}
    tasks = TASKS
    snapshot_size = 11

    def __init__(
        self,
        task: str | None = None,
        horizon: int | None = 300,
        render_mode: str | None = None,
        cameras: Sequence[str] = (),
        image_size: int = 96,
        success_coverage: float = 0.9,
    ) -> None:
        super().__init__(task, horizon, render_mode, cameras, image_size)
        if not 0 < success_coverage <= 1:
            raise ValueError(f"success_coverage must lie in (0, 1], got {success_coverage}")
        self.success_coverage = success_coverage
        self.world = _Suite(
            obs_type="state",
            render_mode="rgb_array",
            visualization_width=image_size,
            visualization_height=image_size,
        )
        low = np.array([-SIZE, -SIZE, -SIZE, -SIZE, -1.0, -1.0])
        high = np.array([2 * SIZE, 2 * SIZE, 2 * SIZE, 2 * SIZE, 1.0, 1.0])
        self._set_spaces(low, high, np.zeros(2), np.full(2, SIZE))

    @property
    def block(self) -> Any:
        """The block's body."""
        return self.world.block

    @property
    def coverage(self) -> float:
        """Share of the outline that the block covers, 0 to 1."""
        return float(self.world._get_coverage())

    def perturb(self, rng: np.random.Generator, magnitude: float) -> None:
        """Displaces the block by up to ``magnitude`` pixels: direction and length uniform.

        Where that leads within 60 pixels of an edge of the table, the middle of its bar comes to lie on those 60.
        """
        self._check_begun("perturb")
        angle, length = rng.uniform(0, 2 * math.pi), rng.uniform(0, magnitude)
        x, y = self.block.position
        moved = np.array([x + length * math.cos(angle), y + length * math.sin(angle)])
        self.block.position = tuple(np.clip(moved, REACH, SIZE - REACH).tolist())
        self.world.space.reindex_shapes_for_body(self.block)

    def _begin(self, seed: int) -> None:
        self.world.reset(seed=seed)

    def _advance(self, action: np.ndarray) -> None:
        """The suite's own physics, bit for bit, on plain numbers and without its reward: a step in half the time."""
        suite, agent = self.world, self.world.agent
        (x, y), dt, k_p, k_v = action.tolist(), suite.dt, suite.k_p, suite.k_v
        for _ in range(int(1 / (dt * suite.control_hz))):
            (at_x, at_y), (v_x, v_y) = agent.position, agent.velocity
            pull_x, pull_y = k_p * (x - at_x) + k_v * (0 - v_x), k_p * (y - at_y) + k_v * (0 - v_y)
            agent.velocity = (v_x + pull_x * dt, v_y + pull_y * dt)
            suite.space.step(dt)

    def _state(self) -> np.ndarray:
        agent, block = self.world.agent.position, self.block.position
        angle = self.block.angle
        return np.array([*agent, *block, math.cos(angle), math.sin(angle)])

    def _judge(self) -> dict[str, Any]:
        coverage = self.coverage
        return {"is_success": coverage >= self.success_coverage, "coverage": coverage}

    def _dump(self) -> np.ndarray:
        agent, block = self.world.agent, self.block
        return np.array(
            [*agent.position, *agent.velocity, *block.position, *block.velocity, block.angle, block.angular_velocity]
        )

    def _load(self, vector: np.ndarray) -> None:
        # A new space: an old one remembers contacts.
        self.world._setup()
        agent, block = self.world.agent, self.block
        values = vector.tolist()
        agent.position, agent.velocity = tuple(values[0:2]), tuple(values[2:4])
        block.angle, block.angular_velocity = values[8], values[9]  # first: it turns about the centre of gravity
        block.position, block.velocity = tuple(values[4:6]), tuple(values[6:8])
        for body in (agent, block):
            self.world.space.reindex_shapes_for_body(body)

    def _pose(self, sensors: Mapping[str, np.ndarray]) -> None:
        state = sensors[STATE]
        turn = math.atan2(state[5], state[4])
        self._load(np.array([*state[:2], 0.0, 0.0, *state[2:4], 0.0, 0.0, turn, 0.0]))

    def _draw(self, size: int) -> np.ndarray:
        # As in the suite's own observations: `render` also marks the last action.
        image: np.ndarray = self.world._get_img(self.world._draw(), size, size, render_action=False)
        return np.ascontiguousarray(image)

    def _free(self) -> None:
        self.world.close()


def make_env(
    perturbation: float | None = None,
    perturbation_probability: float = PROBABILITY,
    perturbation_seed: int = 0,
    **kwargs: Any,
) -> gym.Env:
    """A `PushTEnv`, with an adversary of magnitude ``perturbation`` (pixels; the paper's 0 to 100) where one is given.

    Args:
        perturbation, perturbation_probability, perturbation_seed: see `Perturbed`.
        kwargs: see `PushTEnv`.
    """
    return perturbed(PushTEnv(**kwargs), perturbation, perturbation_probability, perturbation_seed)
