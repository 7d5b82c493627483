"""The static and the gripper camera, rendered on the CPU by bullet's TinyRenderer."""

from __future__ import annotations

import numpy as np

from dreamgym.sims.calvin.scenes import Camera
from dreamgym.sims.calvin.simulation import Simulation

CAMERAS = ("static", "gripper")
GRIPPER_FOV, GRIPPER_NEAR, GRIPPER_FAR = 75.0, 0.01, 2.0


class Cameras:
    """Renders the two cameras of a simulation.

    Args:
        simulation: what to look at.
        static: the fixed camera.
        height, width: of the images, pixels.
    """

    def __init__(self, simulation: Simulation, static: Camera, height: int, width: int) -> None:
        self._simulation = simulation
        self._bullet, self._client = simulation.bullet, simulation.client
        self._height, self._width = height, width
        self._range = {"static": (static.near, static.far), "gripper": (GRIPPER_NEAR, GRIPPER_FAR)}
        aspect = width / height
        self._projection = {
            "static": self._bullet.computeProjectionMatrixFOV(static.fov, aspect, static.near, static.far),
            "gripper": self._bullet.computeProjectionMatrixFOV(GRIPPER_FOV, aspect, GRIPPER_NEAR, GRIPPER_FAR),
        }
        self._static_view = self._bullet.computeViewMatrix(static.eye, static.target, static.up)

    def _gripper_view(self) -> tuple[float, ...]:
        """View matrix of the camera on the hand: it looks along its link's y axis, its -z axis up."""
        robot = self._simulation.robot
        link = self._bullet.getLinkState(robot.body, robot.camera_link, physicsClientId=self._client)
        position, quaternion = link[:2]
        rotation = np.array(self._bullet.getMatrixFromQuaternion(quaternion)).reshape(3, 3)
        target = np.array(position) + rotation[:, 1]
        view: tuple[float, ...] = self._bullet.computeViewMatrix(position, target.tolist(), (-rotation[:, 2]).tolist())
        return view

    def render(self, camera: str) -> tuple[np.ndarray, np.ndarray]:
        """Return the image (H, W, 3) uint8 and the depth (H, W) float32, metres along the optical axis."""
        view = self._static_view if camera == "static" else self._gripper_view()
        _, _, pixels, depth, _ = self._bullet.getCameraImage(
            self._width,
            self._height,
            view,
            self._projection[camera],
            renderer=self._bullet.ER_TINY_RENDERER,
            flags=self._bullet.ER_NO_SEGMENTATION_MASK,
            physicsClientId=self._client,
        )
        image = np.array(pixels, dtype=np.uint8).reshape(self._height, self._width, 4)[..., :3]
        near, far = self._range[camera]
        buffer = np.asarray(depth, dtype=np.float64).reshape(self._height, self._width)
        return np.ascontiguousarray(image), (far * near / (far - (far - near) * buffer)).astype(np.float32)
