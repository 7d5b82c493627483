"""The robots by name. Nothing here needs robosuite: a suite states these facts without its simulator."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dreamgym.types import ActionSpec

STEP = 0.05  # metres that a Cartesian action of 1 moves the hand
TURN = 0.5  # radians that a Cartesian action of 1 turns it
SWING = 0.25  # radians that an action of 1 turns a joint
DAMPING = 0.05  # of the least-squares inverse that turns a hand's displacement into joint displacements

CONTROLLERS = ("joints", "pose", "position")


@dataclass(frozen=True)
class Embodiment:
    """A robot: what it is made of, how it is controlled, and from where it is seen.

    Attributes:
        arm: robosuite's name of it.
        hand: robosuite's name of the gripper; "default" is the arm's own.
        controller: "joints" (displacements of the arm's joints, x `SWING` rad), "pose" (of the hand's position and
            rotation, x `STEP` m and x `TURN` rad) or "position" (of its position alone).
        num_joints: of the arm.
        num_fingers: entries of the hand's action; at or above 0 a finger closes, below it opens.
        closing: which way each of the hand's actuators closes.
        moving_camera: whether the camera sways during an episode, as one worn on a head does.
        colour: of the arm's shapes in pictures, RGB in [0, 1].
    """

    arm: str
    hand: str
    controller: str
    num_joints: int
    num_fingers: int
    closing: tuple[float, ...]
    moving_camera: bool
    colour: tuple[float, float, float]

    def __post_init__(self) -> None:
        if self.controller not in CONTROLLERS:
            raise ValueError(f"controller: expected one of {CONTROLLERS}, got {self.controller!r}")

    @property
    def num_arm_entries(self) -> int:
        """Entries of the action that move the arm."""
        return {"joints": self.num_joints, "pose": 6, "position": 3}[self.controller]

    @property
    def action(self) -> ActionSpec:
        """Bounds of the action: the arm's entries, then the fingers'."""
        arm, hand = self.num_arm_entries, self.num_fingers
        fingers = tuple(range(arm, arm + hand))
        return ActionSpec((-1.0,) * (arm + hand), (1.0,) * (arm + hand), fingers, (0.0,) * arm + (-1.0,) * hand)

    def encode(
        self, move: np.ndarray, turn: np.ndarray, fingers: float, base: np.ndarray, jacobian: np.ndarray
    ) -> np.ndarray:
        """This robot's action for a command that is the same for all of them.

        Args:
            move: (3,) the hand's displacement in the world, m.
            turn: (3,) its rotation, axis times angle, in the world, rad.
            fingers: -1 opens, 1 closes.
            base: (3, 3) the frame that Cartesian actions are in.
            jacobian: (6, num_joints) of the hand's velocity and angular velocity by the joints' velocities.

        Returns:
            (A,) float32, clipped to [-1, 1].
        """
        if self.controller == "joints":
            damped = jacobian @ jacobian.T + DAMPING**2 * np.eye(6)
            arm = jacobian.T @ np.linalg.solve(damped, np.concatenate([move, turn])) / SWING
            arm = arm / max(1.0, float(np.abs(arm).max()))  # all joints slower together: the hand keeps its direction
        else:
            arm = np.concatenate([base.T @ move / STEP, base.T @ turn / TURN])[: self.num_arm_entries]
        action: np.ndarray = np.clip([*arm, *[fingers] * self.num_fingers], -1.0, 1.0).astype(np.float32)
        return action


EMBODIMENTS = {
    "panda_joints": Embodiment("Panda", "default", "joints", 7, 1, (-1.0, 1.0), False, (0.85, 0.85, 0.9)),
    "ur5e_pose": Embodiment("UR5e", "default", "pose", 6, 1, (1.0, 1.0), True, (0.35, 0.55, 0.8)),
    "kinova3_position": Embodiment("Kinova3", "default", "position", 7, 1, (1.0, 1.0), False, (0.45, 0.45, 0.45)),
    "xarm7_three_finger": Embodiment(
        "XArm7", "RobotiqThreeFingerDexterousGripper", "pose", 7, 4, (1.0,) * 4, False, (0.95, 0.75, 0.35)
    ),
}
"""Three to pretrain on, with disjoint action spaces, and one (the last) held out, to adapt to."""

HELD_OUT = "xarm7_three_finger"
