"""The static and the gripper camera, rendered on the CPU by bullet's TinyRenderer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from dreamgym.sims.calvin.scenes import Camera
from dreamgym.sims.calvin.simulation import Simulation

CAMERAS = ("static", "gripper")
DEPTHS = ("depth_static", "depth_gripper")
"""The cameras, and the depth that each sees."""
GRIPPER_FOV, GRIPPER_NEAR, GRIPPER_FAR = 75.0, 0.01, 2.0
CULLING_MARGIN = 0.02  # metres around a link's collision hull that its visual shape stays within


class Cameras:
    """Renders the two cameras of a simulation.

    Args:
        simulation: what to look at.
        static: the fixed camera.
        height, width: of the images, pixels.
        hide: leave out links of the arm that the gripper's camera does not see, which changes no image.
    """

    def __init__(self, simulation: Simulation, static: Camera, height: int, width: int, hide: bool = True) -> None:
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
        self._arm, self._hide = _Arm(simulation), hide

    @property
    def num_hidden(self) -> int:
        """Links of the arm that the image before left out."""
        return self._arm.num_hidden

    def _gripper_view(self) -> Sequence[float]:
        """View matrix of the camera on the hand: it looks along its link's y axis, its -z axis up."""
        robot = self._simulation.robot
        link = self._bullet.getLinkState(robot.body, robot.camera_link, physicsClientId=self._client)
        position, quaternion = link[:2]
        rotation = np.array(self._bullet.getMatrixFromQuaternion(quaternion)).reshape(3, 3)
        target = np.array(position) + rotation[:, 1]
        return self._bullet.computeViewMatrix(position, target.tolist(), (-rotation[:, 2]).tolist())

    def render(self, camera: str) -> tuple[np.ndarray, np.ndarray]:
        """Return the image (H, W, 3) uint8 and the depth (H, W) float32, metres along the optical axis."""
        view = self._static_view if camera == "static" else self._gripper_view()
        if camera == "static" or not self._hide:
            self._arm.show_all()
        else:
            self._arm.show_only_what_is_in_view(view, self._projection[camera])
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


class _Arm:
    """Hides arm links that lie wholly outside a view, which leaves images as they are and saves their triangles.

    The wrist camera looks away from the arm, whose links hold most of all triangles.
    """

    def __init__(self, simulation: Simulation) -> None:
        self._bullet, self._client = simulation.bullet, simulation.client
        self._body = simulation.robot.body
        shapes = self._bullet.getVisualShapeData(self._body, physicsClientId=self._client)
        counts = Counter(shape[1] for shape in shapes)
        self._colors = {
            shape[1]: shape[7] for shape in shapes if shape[1] in simulation.robot.arm and counts[shape[1]] == 1
        }
        self._links = list(self._colors)
        self._shown = [True] * len(self._links)
        self._hulls = self._read_hulls()

    def _read_hulls(self) -> np.ndarray:
        """Return points (L, P, 3) around each link in its inertial frame: its collision hull, a little enlarged."""
        hulls = []
        for link in self._links:
            _, points = self._bullet.getMeshData(self._body, link, physicsClientId=self._client)
            outward = np.array(points) - np.mean(points, axis=0)
            hulls.append(points + CULLING_MARGIN * outward / np.linalg.norm(outward, axis=-1, keepdims=True))
        size = max(len(points) for points in hulls)
        return np.stack([np.concatenate([points, points[:1].repeat(size - len(points), 0)]) for points in hulls])

    @property
    def num_hidden(self) -> int:
        return self._shown.count(False)

    def show_only_what_is_in_view(self, view: Sequence[float], projection: Sequence[float]) -> None:
        """Make links out of view transparent, which TinyRenderer skips, and the others opaque."""
        self._show(self._are_in_view(view, projection))

    def show_all(self) -> None:
        """Make all links opaque: the static camera sees the links that count, looking for the others saves nothing."""
        self._show([True] * len(self._links))

    def _show(self, wanted: list[bool]) -> None:
        for place, shown in enumerate(wanted):
            if shown != self._shown[place]:
                link = self._links[place]
                color = self._colors[link] if shown else (*self._colors[link][:3], 0.0)
                self._bullet.changeVisualShape(self._body, link, rgbaColor=color, physicsClientId=self._client)
                self._shown[place] = shown

    def _are_in_view(self, view: Sequence[float], projection: Sequence[float]) -> list[bool]:
        """Return for each link whether its hull is not wholly beyond one side of the view, or behind it."""
        states = self._bullet.getLinkStates(self._body, self._links, physicsClientId=self._client)
        positions = np.array([state[0] for state in states])
        rotations = np.array([self._bullet.getMatrixFromQuaternion(state[1]) for state in states]).reshape(-1, 3, 3)
        points = self._hulls @ rotations.transpose(0, 2, 1) + positions[:, None]
        to_clip = np.array(projection).reshape(4, 4).T @ np.array(view).reshape(4, 4).T
        clip = points @ to_clip[:, :3].T + to_clip[:, 3]
        xyz, w = clip[..., :3], clip[..., 3:]
        beyond = np.concatenate([xyz < -w, xyz[..., :2] > w], axis=-1)
        return (~beyond.all(axis=1).any(axis=1)).tolist()
