"""One bullet world with a Panda, a play table and three blocks; reads and writes its whole state."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any

import numpy as np

from dreamgym.sims.calvin.assets import import_pybullet
from dreamgym.sims.calvin.furniture import Furniture
from dreamgym.sims.calvin.panda import Panda
from dreamgym.sims.calvin.scenes import BLOCKS, Scene, SceneFiles, as_vector
from dreamgym.sims.calvin.tasks import TaskState

SUBSTEPS = 8
TIME_STEP = 1 / 240
SNAPSHOT_VERSION = 1.0
SNAPSHOT_SIZE = 2 + 18 + 8 + 3 * 13 + 2 + 2 + 6 + 1
_DYNAMIC_GROUP, _STATIC_GROUP, _EVERYTHING = 1, 2, -1


def _disconnect(bullet: Any, client: int) -> None:
    if bullet.isConnected(client):
        bullet.disconnect(client)


class Simulation:
    """The physics behind :class:`~dreamgym.sims.calvin.env.CalvinEnv`, without rendering or episodes.

    Bodies are loaded in CALVIN's order: robot, base cylinder, blocks, table, plane.

    Args:
        scene: what to load.
        files: descriptions of the scene's bodies.
    """

    def __init__(self, scene: Scene, files: SceneFiles) -> None:
        self.bullet = bullet = import_pybullet()
        self.scene = scene
        self.client = client = bullet.connect(bullet.DIRECT)
        if client < 0:
            raise RuntimeError("bullet gave no physics client: close environments that are no longer used")
        # Bullet has room for a thousand clients: an environment dropped without close() gives its own back.
        self._disconnect = weakref.finalize(self, _disconnect, bullet, client)
        bullet.setGravity(0, 0, -9.8, physicsClientId=client)
        bullet.setTimeStep(TIME_STEP, physicsClientId=client)
        # Contacts are then solved in the order of the bodies, not in that of their meeting: replays repeat bitwise.
        bullet.setPhysicsEngineParameter(deterministicOverlappingPairs=1, physicsClientId=client)
        self.robot = Panda(bullet, client, files.robot, scene.robot_position, scene.home_joints)
        self._add_pedestal()
        self.blocks = {
            color: bullet.loadURDF(
                str(path), [0.2 * place, -0.1, 0.6], globalScaling=scene.table_scaling, physicsClientId=client
            )
            for place, (color, path) in enumerate(files.blocks.items())
        }
        self.table = Furniture(bullet, client, files.table, scene.table_scaling)
        self.plane = bullet.loadURDF(str(files.plane), physicsClientId=client)
        self._names = {self.robot.body: "robot", self.table.body: "table", self.plane: "plane"}
        self._names |= {body: color for color, body in self.blocks.items()}
        self._link_names = {index: name for name, index in self.table.links.items()}
        self._colliders = self._find_colliders()
        self.robot.reset()

    def close(self) -> None:
        """End the physics client; the simulation cannot be used afterwards."""
        self._disconnect()
        self.client = -1

    def _add_pedestal(self) -> None:
        x, y, z = self.scene.robot_position
        shape = self.bullet.createVisualShape(
            self.bullet.GEOM_CYLINDER,
            rgbaColor=[1, 1, 1, 1],
            radius=0.13,
            length=z,
            visualFramePosition=[x - 0.05, y, z / 2],
            physicsClientId=self.client,
        )
        self.bullet.createMultiBody(baseVisualShapeIndex=shape, physicsClientId=self.client)

    def _find_colliders(self) -> list[tuple[int, int, int, int]]:
        """Return (body, link, group, mask) of everything that collides, as bullet's loader sets it."""
        found = []
        for body in (self.robot.body, *self.blocks.values(), self.table.body, self.plane):
            for link in range(-1, self.bullet.getNumJoints(body, physicsClientId=self.client)):
                if not self.bullet.getCollisionShapeData(body, link, physicsClientId=self.client):
                    continue
                fixed = link == -1 and body not in self.blocks.values()
                group, mask = (_STATIC_GROUP, _EVERYTHING ^ _STATIC_GROUP) if fixed else (_DYNAMIC_GROUP, _EVERYTHING)
                found.append((body, link, group, mask))
        return found

    def _forget_contacts(self) -> None:
        """Drop bullet's contact caches, which warm-start the solver and are no part of a snapshot.

        Setting a collider's filter, even to what it was, takes its pairs out of the broad phase and puts it in anew.
        """
        for body, link, group, mask in self._colliders:
            self.bullet.setCollisionFilterGroupMask(body, link, group, mask, physicsClientId=self.client)
        self.bullet.performCollisionDetection(physicsClientId=self.client)

    def step(self, action: np.ndarray) -> None:
        """Apply an action (7,) for one control step: eight physics steps, then buttons and lights."""
        self.robot.apply(action)
        for _ in range(SUBSTEPS):
            self.bullet.stepSimulation(physicsClientId=self.client)
        self.table.update_lights()

    def tick(self, count: int = 1) -> None:
        """Run physics steps without a new action."""
        for _ in range(count):
            self.bullet.stepSimulation(physicsClientId=self.client)

    def robot_obs(self) -> np.ndarray:
        """Return the robot's observation, (15,) float64."""
        return self.robot.observe()

    def scene_obs(self) -> np.ndarray:
        """Return the scene's observation, (24,) float64."""
        poses = [self.block_pose(color) for color in BLOCKS]
        eulers = [self.bullet.getEulerFromQuaternion(quaternion) for _, quaternion in poses]
        blocks = [value for (position, _), euler in zip(poses, eulers, strict=True) for value in (*position, *euler)]
        return np.array([*self.table.positions(), *self.table.lights, *blocks])

    def block_pose(self, color: str) -> tuple:
        """Return a block's position and quaternion."""
        return self.bullet.getBasePositionAndOrientation(self.blocks[color], physicsClientId=self.client)

    def set_block(self, color: str, position: Iterable[float], quaternion: Iterable[float]) -> None:
        """Put a block somewhere, at rest."""
        body = self.blocks[color]
        self.bullet.resetBasePositionAndOrientation(body, list(position), list(quaternion), physicsClientId=self.client)
        self.bullet.resetBaseVelocity(body, [0, 0, 0], [0, 0, 0], physicsClientId=self.client)

    def reset_scene(self, scene_obs: np.ndarray) -> None:
        """Put furniture, lights and blocks where ``scene_obs`` (24,) says, at rest."""
        self.table.reset(scene_obs[:4], scene_obs[4:6] > 0.5)
        for color, pose in zip(BLOCKS, scene_obs[6:].reshape(3, 6), strict=True):
            self.set_block(color, pose[:3], self.bullet.getQuaternionFromEuler(pose[3:].tolist()))

    def settle(self) -> None:
        """Bring bullet's caches to what :meth:`restore` would leave, so that history does not matter."""
        self._forget_contacts()

    def blocks_touch(self) -> bool:
        """Return whether two blocks touch at their present poses."""
        bodies = list(self.blocks.values())
        return any(
            self.bullet.getClosestPoints(one, other, 0.002, physicsClientId=self.client)
            for place, one in enumerate(bodies)
            for other in bodies[place + 1 :]
        )

    def task_state(self) -> TaskState:
        """Return what the oracle needs of this moment."""
        bodies = [self.blocks[color] for color in BLOCKS]
        velocities = [np.concatenate(self.bullet.getBaseVelocity(body, physicsClientId=self.client)) for body in bodies]
        return TaskState(
            scene_obs=self.scene_obs(),
            quaternions=np.array([self.block_pose(color)[1] for color in BLOCKS]),
            velocities=np.array(velocities),
            contacts={color: frozenset(self._contacts(self.blocks[color])) for color in BLOCKS},
            robot_contacts=frozenset(body for body, _ in self._contacts(self.robot.body)),
        )

    def _contacts(self, body: int) -> list[tuple[str, str]]:
        points = self.bullet.getContactPoints(bodyA=body, physicsClientId=self.client)
        # Fields 2 and 4 of a contact are the other body and its link.
        return [
            (self._names[point[2]], self._link_names[point[4]] if point[2] == self.table.body else "")
            for point in points
        ]

    def snapshot(self) -> np.ndarray:
        """Return the whole state, (78,) float64, and bring the world to exactly what restoring it gives.

        Layout: version, scene, robot joints and velocities 18, furniture joints and velocities 8, blocks 3 x (position,
        quaternion, linear and angular velocity), bulb and LED, button pressed and switch on, target pose 6, gripper
        action. Bullet's contact caches (points, impulses for warm starting) are not in it: both here and in
        :meth:`restore` they are dropped, so that the original and every replay go on from the same state.
        """
        blocks = []
        for color in BLOCKS:
            blocks += [*self.block_pose(color)]
            blocks += [*self.bullet.getBaseVelocity(self.blocks[color], physicsClientId=self.client)]
        state = np.concatenate(
            [
                [SNAPSHOT_VERSION, self.scene.code],
                self.robot.read_joints(),
                self.table.read_joints(),
                *blocks,
                self.table.lights,
                [self.table.button_pressed, self.table.switch_on],
                self.robot.target,
                [self.robot.gripper_action],
            ]
        ).astype(np.float64)
        self.restore(state)
        return state

    def restore(self, state: np.ndarray) -> None:
        """Set the whole state from :meth:`snapshot`.

        Raises:
            ValueError: the array has another shape, is not finite, or was taken in another scene or version.
        """
        state = as_vector(state, SNAPSHOT_SIZE, "snapshot")
        if state[0] != SNAPSHOT_VERSION or state[1] != self.scene.code:
            raise ValueError(
                f"snapshot: expected version {SNAPSHOT_VERSION} of scene {self.scene.name!r}, got another; restore it "
                "in an env of the scene it was taken in"
            )
        robot, table, blocks, lights, logic, target, gripper = np.split(state[2:], [18, 26, 65, 67, 69, 75])
        self.robot.write_joints(robot)
        self.robot.target = target.copy()
        self.robot.gripper_action = float(gripper[0])
        self.robot.drive_gripper()
        self.table.reset(table[:4], lights > 0.5)
        self.table.write_joints(table)
        self.table.button_pressed, self.table.switch_on = bool(logic[0]), bool(logic[1])
        for color, values in zip(BLOCKS, blocks.reshape(3, 13), strict=True):
            self.set_block(color, values[:3], values[3:7])
            self.bullet.resetBaseVelocity(
                self.blocks[color], values[7:10].tolist(), values[10:].tolist(), physicsClientId=self.client
            )
        self._forget_contacts()
