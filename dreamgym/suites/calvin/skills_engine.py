"""The waypoint engine: turns places to be into CALVIN's 7-d relative actions, with feedback on the measured hand.

The environment accumulates actions on a target pose, and the arm follows that target with a lag, a load and, near the
edge of its reach, an error of several centimetres. So the engine keeps its own copy of the target, moves a reference
point along straight lines at a bounded speed, and adds an integral of the measured error.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass

import numpy as np

from dreamgym.sims.calvin.scenes import BLOCKS
from dreamgym.suites.calvin.skills_layout import SceneLayout

POSITION_SCALE = 0.02  # metres a unit of action moves the target
ROTATION_SCALE = 0.05  # radians a unit of action turns the target
OPEN, CLOSE = 1.0, -1.0
HAND_DOWN = (np.pi, 0.0, np.pi / 2)  # Euler angles of a hand that points down, fingers opening along x


class View:
    """What a skill sees: the newest robot_obs (15,) and scene_obs (24,), and the layout of the scene, by name.

    Attributes:
        layout: where the furniture is.
        robot_obs: (15,) newest measurement.
        scene_obs: (24,) newest measurement.
    """

    def __init__(self, layout: SceneLayout) -> None:
        self.layout = layout
        self.robot_obs = np.zeros(15)
        self.scene_obs = np.zeros(24)

    def update(self, obs: dict[str, np.ndarray]) -> None:
        """Take over an observation dict with the keys robot_obs and scene_obs."""
        self.robot_obs = np.asarray(obs["robot_obs"], dtype=np.float64)
        self.scene_obs = np.asarray(obs["scene_obs"], dtype=np.float64)

    @property
    def tcp(self) -> np.ndarray:
        """(3,) measured tcp position in metres."""
        return self.robot_obs[:3]

    @property
    def slider(self) -> float:
        """Slider joint in metres, 0 (right) upwards (left)."""
        return float(self.scene_obs[0])

    @property
    def drawer(self) -> float:
        """Drawer joint in metres, 0 (closed) upwards."""
        return float(self.scene_obs[1])

    @property
    def switch(self) -> float:
        """Switch joint in metres, 0 (down, bulb off) upwards."""
        return float(self.scene_obs[3])

    @property
    def bulb(self) -> bool:
        """Whether the light bulb is on."""
        return bool(self.scene_obs[4] > 0.5)

    @property
    def led(self) -> bool:
        """Whether the LED is on."""
        return bool(self.scene_obs[5] > 0.5)

    def block(self, name: str) -> np.ndarray:
        """(3,) position of the block `name` (red, blue, pink) in metres."""
        start = 6 + 6 * BLOCKS.index(name)
        return self.scene_obs[start : start + 3]

    def block_yaw(self, name: str) -> float:
        """Rotation of the block `name` about the vertical, in radians."""
        return float(self.scene_obs[11 + 6 * BLOCKS.index(name)])


@dataclass(frozen=True)
class Waypoint:
    """A place for the hand.

    Attributes:
        position: (3,) tcp position in metres.
        gripper: OPEN or CLOSE, held on the way.
        euler: (3,) orientation, or None for a hand that points down and leans outwards where the arm gets short.
        speed: factor on the style's speed.
        tolerance: metres within which the waypoint counts as reached.
        patience: steps to go on trying after the reference has arrived.
        until: ends the waypoint early where it returns True.
    """

    position: np.ndarray
    gripper: float = CLOSE
    euler: tuple[float, float, float] | None = None
    speed: float = 1.0
    tolerance: float = 0.012
    patience: int = 8
    until: Callable[[View], bool] | None = None


@dataclass(frozen=True)
class Style:
    """How a skill is carried out: varied from run to run, so that play shows more than one way.

    Attributes:
        speed: metres a step that the reference point moves at most.
        jitter: standard deviation in metres of an offset of waypoints in free air; a tenth of it for contact points.
        noise: standard deviation in metres of coloured noise on the reference point.
        miss: (3,) offset in metres of the contact points: a deliberate miss where it is not zero.
    """

    speed: float = 0.018
    jitter: float = 0.0
    noise: float = 0.0
    miss: tuple[float, float, float] = (0.0, 0.0, 0.0)


Plan = Generator[Waypoint, None, None]


def wrap(angle: np.ndarray) -> np.ndarray:
    """Angles taken into [-pi, pi)."""
    return (np.asarray(angle) + np.pi) % (2 * np.pi) - np.pi


def lean(position: np.ndarray, base: tuple[float, float], yaw: float = HAND_DOWN[2]) -> np.ndarray:
    """Euler angles (3,) of a hand at `position` that points down, but leans outwards near the edge of the arm's reach.

    With a hand that points straight down the wrist cannot get over the lever: the arm settles centimetres short of it.
    """
    outwards = np.asarray(position)[:2] - np.array(base)
    reach = float(np.linalg.norm(outwards))
    angle = np.clip((reach - 0.66) * 4.0, 0.0, 0.7)
    x, y = outwards / max(reach, 1e-6) * np.sin(angle)
    ahead, side = np.cos(yaw) * x + np.sin(yaw) * y, np.cos(yaw) * y - np.sin(yaw) * x
    roll = np.arcsin(-side)
    return np.array([np.pi - roll, -np.arcsin(ahead / np.cos(roll)), yaw])


class Hand:
    """Drives the tcp to waypoints by relative actions.

    Keeps its own copy of the environment's target pose: call `sync` when an episode begins, and execute every action
    that `act` returns. A wrong copy costs time only: the integral makes up for it.
    """

    gain = 0.25  # share of the measured error added to the bias each step
    max_bias = 0.10  # metres
    lag = 2  # steps that the arm is behind its target in free motion

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.target = np.zeros(3)
        self.target_euler = np.array(HAND_DOWN)
        self.reference = np.zeros(3)
        self.trail = [np.zeros(3)] * self.lag
        self.bias = np.zeros(3)
        self.drift = np.zeros(3)

    def sync(self, view: View) -> None:
        """Assume that the environment's target is the measured pose, as it is right after a reset."""
        self.target = view.tcp.copy()
        self.target_euler = view.robot_obs[3:6].copy()
        self.reference = view.tcp.copy()
        self.trail = [self.reference] * self.lag
        self.bias = np.zeros(3)

    def arrived(self, waypoint: Waypoint) -> bool:
        """Whether the reference point (not the hand) stands on the waypoint."""
        return bool(np.linalg.norm(self.reference - waypoint.position) < 1e-6)

    def act(self, view: View, waypoint: Waypoint, style: Style) -> np.ndarray:
        """One action (7,) in [-1, 1] towards the waypoint."""
        away = waypoint.position - self.reference
        step = style.speed * waypoint.speed
        distance = float(np.linalg.norm(away))
        behind = view.tcp - self.reference
        # A blocked hand must not be left behind by its reference: wait where they are 5 cm apart.
        if np.linalg.norm(behind) < 0.05 or float(behind @ away) > 0:
            self.reference = waypoint.position.copy() if distance <= step else self.reference + away / distance * step
        # Compared with where the reference was: in free motion that error is zero, so the integral does not wind up.
        error = self.trail[0] - view.tcp
        self.trail = [*self.trail[1:], self.reference]
        self.bias = np.clip(self.bias + self.gain * error, -self.max_bias, self.max_bias)
        if style.noise:
            self.drift = 0.9 * self.drift + self.rng.normal(0.0, style.noise, 3)
        else:
            self.drift = np.zeros(3)
        wanted = self.reference + self.bias + self.drift
        action = np.empty(7)
        action[:3] = np.clip((wanted - self.target) / POSITION_SCALE, -1, 1)
        euler = lean(self.reference, view.layout.base) if waypoint.euler is None else np.array(waypoint.euler)
        action[3:6] = np.clip(wrap(euler - self.target_euler) / ROTATION_SCALE, -1, 1)
        action[6] = waypoint.gripper
        self.target += action[:3] * POSITION_SCALE
        self.target_euler += action[3:6] * ROTATION_SCALE
        return action
