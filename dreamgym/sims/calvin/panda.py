"""The Panda arm: loading, relative pose actions through inverse kinematics, and its 15-d observation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

MAX_RELATIVE_POSITION = 0.02  # metres a unit of action
MAX_RELATIVE_ANGLE = 0.05  # radians a unit of action
FINGER_OPEN = 0.04  # metres, each finger
ARM_FORCE = 200.0
FINGER_FORCE = 200.0
ARM_VELOCITY = 2.0
FINGER_VELOCITY = 1.0
LOWER_LIMITS = np.array([-2.8973, -1.7628, -2.8973, -3.0718, -2.8973, -0.0175, -2.8973])
UPPER_LIMITS = np.array([2.8973, 1.7628, 2.8973, -0.0698, 2.8973, 3.7525, 2.8973])
ARM_JOINTS = tuple(f"panda_joint{index}" for index in range(1, 8))
FINGER_JOINTS = ("panda_finger_joint1", "panda_finger_joint2")


class Panda:
    """A Panda with a two-finger gripper, driven by a target pose that relative actions accumulate on.

    Args:
        bullet: the pybullet module.
        client: the physics client.
        urdf: description with the links ``tcp`` and ``gripper_cam``.
        position: of the base, metres.
        home_joints: angles after :meth:`reset` and rest pose of the null space, radians.
    """

    def __init__(
        self, bullet: Any, client: int, urdf: Path, position: Sequence[float], home_joints: Sequence[float]
    ) -> None:
        self._bullet, self._client = bullet, client
        self.home_joints = np.asarray(home_joints, dtype=np.float64)
        self.body = bullet.loadURDF(str(urdf), position, [0, 0, 0, 1], useFixedBase=True, physicsClientId=client)
        info = [
            bullet.getJointInfo(self.body, index, physicsClientId=client)
            for index in range(bullet.getNumJoints(self.body, physicsClientId=client))
        ]
        joints = {row[1].decode(): row[0] for row in info}
        links = {row[12].decode(): row[0] for row in info}
        self.arm = [joints[name] for name in ARM_JOINTS]
        self.fingers = [joints[name] for name in FINGER_JOINTS]
        self.tcp, self.camera_link = links["tcp"], links["gripper_cam"]
        self.joints = self.arm + self.fingers
        self.target = np.zeros(6)
        self.gripper_action = 1.0
        self._center_fingers()

    def _center_fingers(self) -> None:
        """Tie the fingers with a gear, so that they stay symmetric."""
        gear = self._bullet.createConstraint(
            self.body,
            self.fingers[0],
            self.body,
            self.fingers[1],
            jointType=self._bullet.JOINT_GEAR,
            jointAxis=[1, 0, 0],
            parentFramePosition=[0, 0, 0],
            childFramePosition=[0, 0, 0],
            physicsClientId=self._client,
        )
        self._bullet.changeConstraint(gear, gearRatio=-1, erp=0.1, maxForce=50, physicsClientId=self._client)

    def reset(self, joints: ArrayLike | None = None, finger: float = FINGER_OPEN, gripper_action: float = 1.0) -> None:
        """Put the arm at rest at ``joints`` (7,), fingers ``finger`` metres from the centre, and hold it there."""
        joints = self.home_joints if joints is None else np.asarray(joints, dtype=np.float64)
        for index, angle in zip(self.arm, joints, strict=True):
            self._bullet.resetJointState(self.body, index, angle, physicsClientId=self._client)
        for index in self.fingers:
            self._bullet.resetJointState(self.body, index, finger, physicsClientId=self._client)
        self._hold(self.arm, joints, ARM_FORCE, ARM_VELOCITY)
        self._hold(self.fingers, [finger, finger], FINGER_FORCE, FINGER_VELOCITY)
        self.target = np.concatenate(self.tcp_pose())
        self.gripper_action = gripper_action

    def _hold(self, joints: Sequence[int], targets: Iterable[float], force: float, velocity: float) -> None:
        for index, target in zip(joints, targets, strict=True):
            self._bullet.setJointMotorControl2(
                self.body,
                index,
                self._bullet.POSITION_CONTROL,
                targetPosition=target,
                force=force,
                maxVelocity=velocity,
                physicsClientId=self._client,
            )

    def apply(self, action: np.ndarray) -> None:
        """Move the target pose by ``action`` (7,) in [-1, 1] and set the motors that follow it.

        The target accumulates whatever the arm reaches, as in CALVIN: an arm that lags does not lose commands.
        """
        self.target[:3] += MAX_RELATIVE_POSITION * action[:3]
        self.target[3:] += MAX_RELATIVE_ANGLE * action[3:6]
        self.gripper_action = 1.0 if action[6] >= 0 else -1.0
        self._hold(self.arm, self._inverse_kinematics(), ARM_FORCE, ARM_VELOCITY)
        self.drive_gripper()

    def drive_gripper(self) -> None:
        """Open gently or close firmly, after the gripper action."""
        opening = self.gripper_action > 0
        finger, force = (FINGER_OPEN, FINGER_FORCE / 100) if opening else (0.0, FINGER_FORCE)
        self._hold(self.fingers, [finger, finger], force, FINGER_VELOCITY)

    def _inverse_kinematics(self) -> np.ndarray:
        """Return arm angles (7,) for the target pose, null space towards home, clipped to the joints' limits."""
        count = len(self.joints)
        angles = self._bullet.calculateInverseKinematics(
            self.body,
            self.tcp,
            self.target[:3].tolist(),
            self._bullet.getQuaternionFromEuler(self.target[3:].tolist()),
            [-7.0] * count,
            [7.0] * count,
            [7.0] * count,
            [*self.home_joints, FINGER_OPEN, FINGER_OPEN],
            physicsClientId=self._client,
        )
        return np.clip(angles[:7], LOWER_LIMITS, UPPER_LIMITS)

    def tcp_pose(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the tool centre point's position (3,) in metres and Euler angles (3,) in radians."""
        position, quaternion = self._bullet.getLinkState(self.body, self.tcp, physicsClientId=self._client)[:2]
        return np.array(position), np.array(self._bullet.getEulerFromQuaternion(quaternion))

    def read_joints(self) -> np.ndarray:
        """Return angles then velocities of arm and fingers, (18,)."""
        states = self._bullet.getJointStates(self.body, self.joints, physicsClientId=self._client)
        return np.array([state[0] for state in states] + [state[1] for state in states])

    def write_joints(self, values: np.ndarray) -> None:
        """Set what :meth:`read_joints` returned."""
        count = len(self.joints)
        for index, angle, velocity in zip(self.joints, values[:count], values[count:], strict=True):
            self._bullet.resetJointState(self.body, index, angle, velocity, physicsClientId=self._client)

    def observe(self) -> np.ndarray:
        """Return ``robot_obs`` (15,): tcp pose 6, gripper width, seven joint angles, gripper action."""
        position, euler = self.tcp_pose()
        joints = self.read_joints()[: len(self.joints)]
        return np.concatenate([position, euler, [joints[7] + joints[8]], joints[:7], [self.gripper_action]])
