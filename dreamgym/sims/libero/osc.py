"""Operational-space control of an arm (Khatib 1987), as LIBERO's data were recorded: robosuite 1.4's OSC_POSE.

Each action sets a goal pose relative to the hand's present one; within the action the torques are computed anew at
every step of the physics. Position and rotation are decoupled, and the arm's redundancy pulls it to its first posture.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dreamgym.sims.libero.scene import Scene
from dreamgym.sims.mujoco_state import mujoco

POSITION_SCALE, ROTATION_SCALE = 0.05, 0.5  # m and rad of an action of 1
STIFFNESS = 150.0
POSTURE_STIFFNESS = 10.0
DAMPING, POSTURE_DAMPING = 2 * np.sqrt(STIFFNESS), 2 * np.sqrt(POSTURE_STIFFNESS)  # critical
FINGER_SPEED = 0.01  # of the fingers' half range, a step of the physics
_NEXT, _LAST = np.array([1, 2, 0]), np.array([2, 0, 1])  # of three axes
SMALL = 1e-9  # an action whose rotation is smaller keeps the goal's rotation


class PoseController:
    """Torques that take the grip site to its goal.

    Args:
        scene: the model and the arm's indices in it.
        data: the MjData that it reads and whose controls it sets.

    Attributes:
        goal_position (3,), goal_rotation (3, 3): in the world.
        posture: the joints that the redundancy prefers.
        fingers: where the fingers are driven to, in their half range.
    """

    def __init__(self, scene: Scene, data: Any) -> None:
        model = scene.model
        self._scene, self._model, self._data = scene, model, data
        self._jacobian = np.zeros((6, model.nv))
        self._mass = np.zeros((model.nv, model.nv))
        self._rows, self._columns = np.ix_(scene.arm_dofs, scene.arm_dofs)
        limits = model.actuator_ctrlrange[scene.arm_actuators]
        self._low, self._high = limits[:, 0], limits[:, 1]
        reach = model.actuator_ctrlrange[scene.finger_actuators]
        self._finger_middle, self._finger_half = reach.mean(1), (reach[:, 1] - reach[:, 0]) / 2
        # Closing takes the first finger to its lowest and the second to its highest position.
        self._closing = np.where(np.arange(len(reach)) % 2 == 0, -1.0, 1.0)
        self.reset(scene.home)

    @property
    def position(self) -> np.ndarray:
        """(3,): the grip site in the world."""
        return np.array(self._data.site_xpos[self._scene.grip_site])

    @property
    def rotation(self) -> np.ndarray:
        """(3, 3): the grip site's in the world."""
        return np.array(self._data.site_xmat[self._scene.grip_site]).reshape(3, 3)

    def reset(self, posture: np.ndarray) -> None:
        """Begins where the arm stands, with the fingers' drive in the middle.

        Args:
            posture: see the attribute.
        """
        self.posture = np.array(posture)
        self.fingers = np.zeros(len(self._closing))
        self._finger_drive = np.zeros(len(self._closing))
        self.goal_position, self.goal_rotation = self.position, self.rotation

    def set_goal(self, action: np.ndarray) -> None:
        """The goal of an action (7,) in [-1, 1]: displacement, rotation vector, fingers."""
        self.goal_position = self.position + POSITION_SCALE * action[:3]
        turn = ROTATION_SCALE * action[3:6]
        if np.abs(turn).max() > SMALL:
            self.goal_rotation = _rotation(turn) @ self.rotation
        self._finger_drive = FINGER_SPEED * np.sign(action[6]) * self._closing

    def drive(self) -> None:
        """Sets the controls of one step of the physics; positions and velocities must be up to date.

        It runs 25 times a control step and costs as much as the physics: hence no `np.clip` and no `np.cross`.
        """
        scene, model, data = self._scene, self._model, self._data
        mujoco.mj_jacSite(model, data, self._jacobian[:3], self._jacobian[3:], scene.grip_site)
        mujoco.mj_fullM(model, self._mass, data.qM)
        jacobian = self._jacobian[:, scene.arm_dofs]
        mass = self._mass[self._rows, self._columns]
        velocity = data.qvel[scene.arm_dofs]
        wanted = self._acceleration(jacobian @ velocity)
        carried = np.linalg.inv(mass) @ jacobian.T  # M^-1 J^T, [n, 6]
        mobility = jacobian @ carried
        force = np.empty(6)
        force[:3] = np.linalg.solve(mobility[:3, :3], wanted[:3])
        force[3:] = np.linalg.solve(mobility[3:, 3:], wanted[3:])
        pull = POSTURE_STIFFNESS * (self.posture - data.qpos[scene.arm_qpos]) - POSTURE_DAMPING * velocity
        posture = mass @ pull
        # The posture's torques, less what of them would move the hand: N^T t, N = I - M^-1 J^T L J.
        posture -= jacobian.T @ np.linalg.solve(mobility, carried.T @ posture)
        torques = jacobian.T @ force + data.qfrc_bias[scene.arm_dofs] + posture
        self.fingers = np.minimum(np.maximum(self.fingers + self._finger_drive, -1.0), 1.0)
        controls = data.ctrl
        controls[scene.arm_actuators] = np.minimum(np.maximum(torques, self._low), self._high)
        controls[scene.finger_actuators] = self._finger_middle + self._finger_half * self.fingers

    def _acceleration(self, velocity: np.ndarray) -> np.ndarray:
        """(6,): a critically damped spring to the goal."""
        site, data = self._scene.grip_site, self._data
        now, goal = data.site_xmat[site].reshape(3, 3), self.goal_rotation
        error = np.empty(6)
        error[:3] = self.goal_position - data.site_xpos[site]
        # Half the sum of the cross products of the axes (the columns) as they are and as they shall be.
        error[3:] = 0.5 * (now[_NEXT] * goal[_LAST] - now[_LAST] * goal[_NEXT]).sum(1)
        wanted: np.ndarray = STIFFNESS * error - DAMPING * velocity
        return wanted

    def dump(self) -> np.ndarray:
        """What the controller remembers from one action to the next, float64 [`memory_size`]."""
        return np.concatenate([self.goal_rotation.ravel(), self.posture, self.fingers])

    def load(self, memory: np.ndarray) -> None:
        """Sets what `dump` gave."""
        self.goal_rotation = memory[:9].reshape(3, 3).copy()
        joints = len(self.posture)
        self.posture = memory[9 : 9 + joints].copy()
        self.fingers = memory[9 + joints : 9 + joints + len(self.fingers)].copy()

    @property
    def memory_size(self) -> int:
        """Entries of `dump`."""
        return 9 + len(self.posture) + len(self.fingers)


def _rotation(vector: np.ndarray) -> np.ndarray:
    """The rotation matrix of a rotation vector (3,)."""
    quaternion, matrix = np.empty(4), np.empty(9)
    angle = float(np.linalg.norm(vector))
    mujoco.mju_axisAngle2Quat(quaternion, vector / angle, angle)
    mujoco.mju_quat2Mat(matrix, quaternion)
    return matrix.reshape(3, 3)
