"""The physics of one task: steps, states, snapshots and pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dreamgym.sims.libero.goals import Oracle
from dreamgym.sims.libero.osc import PoseController
from dreamgym.sims.libero.placement import draw_state, fixture_poses, place_fixtures
from dreamgym.sims.libero.problem import Problem
from dreamgym.sims.libero.rendering import Renderer
from dreamgym.sims.libero.scene import Scene
from dreamgym.sims.mujoco_state import dump_physics, load_physics, mujoco, physics_size
from dreamgym.sims.posing import rotation_of

SUBSTEPS = 25  # of 2 ms: 20 Hz
FINGERS = (0.020833, -0.020833)  # m, at the start of a drawn episode
SETTLING = 5  # control steps without motion after a draw, in which dropped things come to rest


class Simulation:
    """One task's scene in motion.

    Args:
        problem: the task file.
        assets: LIBERO's folder of models.
        robot: one of `scene.ROBOTS`.

    Raises:
        ValueError, FileNotFoundError: see `Scene`.
    """

    def __init__(self, problem: Problem, assets: Path, robot: str = "Panda") -> None:
        self.scene = Scene(problem, assets, robot)
        self.data = mujoco.MjData(self.scene.model)
        place_fixtures(self.scene, fixture_poses(self.scene, None))
        self._stand_at_home(None, 0.0)
        mujoco.mj_forward(self.scene.model, self.data)
        self.controller = PoseController(self.scene, self.data)
        self._oracle = Oracle(self.scene, self.data)
        self._fixture_joints = [joint for name in self.scene.fixtures for joint in self.scene.joints[name]]
        self._renderers: dict[tuple[int, bool], Renderer] = {}

    @property
    def joint_names(self) -> tuple[str, ...]:
        """The fixtures' joints, in the order of `scene_state`."""
        return tuple(self.scene.model.joint(joint).name for joint in self._fixture_joints)

    def step(self, action: np.ndarray) -> None:
        """One control step with an action (7,) in [-1, 1]."""
        model, data, controller = self.scene.model, self.data, self.controller
        for substep in range(SUBSTEPS):
            mujoco.mj_step1(model, data)
            if substep == 0:
                controller.set_goal(action)
            controller.drive()
            mujoco.mj_step2(model, data)
        self._refresh()

    def _refresh(self) -> None:
        """Brings poses and contacts up to the positions, and the burners' light to their knobs."""
        scene = self.scene
        mujoco.mj_fwdPosition(scene.model, self.data)
        for name, site in scene.burners.items():
            scene.model.site_rgba[site, 3] = float(self._oracle.holds(("turnon", name)))

    def succeeded(self) -> bool:
        """Whether the task's goal holds."""
        return self._oracle.succeeded()

    @property
    def oracle(self) -> Oracle:
        """Judges single facts."""
        return self._oracle

    def draw(self, rng: np.random.Generator, noise: float) -> None:
        """Begins at a draw of the task's initial states.

        Args:
            rng: of all draws.
            noise: standard deviation of the arm's joints, rad.
        """
        mujoco.mj_resetData(self.scene.model, self.data)
        self._stand_at_home(rng, noise)
        draw_state(self.scene, self.data, rng)
        self._begin(self.data.qpos[self.scene.arm_qpos])
        for _ in range(SETTLING):
            self.step(np.array([0.0] * 6 + [-1.0]))

    def _stand_at_home(self, rng: np.random.Generator | None, noise: float) -> None:
        scene = self.scene
        drawn = np.zeros(len(scene.home)) if rng is None else noise * rng.standard_normal(len(scene.home))
        self.data.qpos[scene.arm_qpos] = scene.home + drawn
        self.data.qpos[scene.finger_qpos] = scene.gripper.init_qpos

    def set_state(self, state: np.ndarray) -> None:
        """Begins at a state (time, qpos, qvel) with the fixtures in the middle of their regions.

        Raises:
            ValueError: the state is of another scene, or not finite.
        """
        model = self.scene.model
        size = 1 + model.nq + model.nv
        if state.shape != (size,) or not np.isfinite(state).all():
            raise ValueError(f"expected ({size},) finite numbers, got shape {state.shape}")
        poses = [state[1 + at + 3 : 1 + at + 7] for at in self.scene.free.values()]
        if any(abs(float(np.linalg.norm(quaternion)) - 1) > 0.01 for quaternion in poses):
            raise ValueError("its numbers are no poses of this task's objects")
        mujoco.mj_resetData(model, self.data)
        place_fixtures(self.scene, fixture_poses(self.scene, None))
        self.data.time = state[0]
        self.data.qpos[:] = state[1 : 1 + model.nq]
        self.data.qvel[:] = state[1 + model.nq :]
        self._begin(self.scene.home)

    def _begin(self, posture: np.ndarray) -> None:
        mujoco.mj_forward(self.scene.model, self.data)
        self.controller.reset(posture)
        self._refresh()

    def robot_state(self) -> np.ndarray:
        """Hand position 3 and rotation 6, fingers 2, joints 7 (6 for some arms)."""
        data, scene, controller = self.data, self.scene, self.controller
        fingers = data.qpos[scene.finger_qpos][:2]
        rotation = controller.rotation[:, :2].T.ravel()
        return np.concatenate([controller.position, rotation, fingers, data.qpos[scene.arm_qpos]])

    def scene_state(self) -> tuple[np.ndarray, np.ndarray]:
        """Position 3 and rotation 6 of each object [N, 9], and the fixtures' joints [J]."""
        data, scene = self.data, self.scene
        bodies = [scene.body[name] for name in scene.objects]
        columns = data.xmat[bodies].reshape(-1, 3, 3)[:, :, :2].transpose(0, 2, 1).reshape(-1, 6)
        joints = data.qpos[scene.model.jnt_qposadr[self._fixture_joints]] if self._fixture_joints else np.zeros(0)
        return np.concatenate([data.xpos[bodies], columns], axis=1), np.asarray(joints)

    def pose(self, robot: np.ndarray, things: np.ndarray, joints: np.ndarray) -> None:
        """Stands everything as `robot_state` and `scene_state` said; fixtures in the middle of their regions.

        Args:
            robot: [18]: the fingers and the arm's joints are read.
            things: [N, 9], joints: [J]; more than the task has are left out.
        """
        scene, model, data = self.scene, self.scene.model, self.data
        mujoco.mj_resetData(model, data)
        place_fixtures(scene, fixture_poses(scene, None))
        data.qpos[scene.finger_qpos[:2]] = robot[9:11]
        data.qpos[scene.arm_qpos] = robot[11 : 11 + len(scene.arm_qpos)]
        for at, thing in zip(scene.free.values(), things, strict=False):
            data.qpos[at : at + 3] = thing[:3]
            mujoco.mju_mat2Quat(data.qpos[at + 3 : at + 7], rotation_of(thing[3:]).ravel())
        count = min(len(self._fixture_joints), len(joints))
        data.qpos[model.jnt_qposadr[self._fixture_joints[:count]]] = joints[:count]
        mujoco.mj_forward(model, data)
        self._refresh()

    def dump(self) -> tuple[np.ndarray, np.ndarray]:
        """The physics state, and what the controller and the fixtures add to it."""
        scene = self.scene
        bodies = [scene.body[name] for name in scene.fixtures]
        fixtures = np.concatenate([scene.model.body_pos[bodies], scene.model.body_quat[bodies]], axis=1).ravel()
        return dump_physics(scene.model, self.data), np.concatenate([self.controller.dump(), fixtures])

    def load(self, physics: np.ndarray, memory: np.ndarray) -> None:
        """Sets what `dump` gave; both may be longer."""
        scene = self.scene
        size = self.controller.memory_size
        bodies = [scene.body[name] for name in scene.fixtures]
        fixtures = memory[size : size + 7 * len(bodies)].reshape(-1, 7)
        scene.model.body_pos[bodies], scene.model.body_quat[bodies] = fixtures[:, :3], fixtures[:, 3:]
        load_physics(scene.model, self.data, physics[: physics_size(scene.model)])
        self.controller.load(memory[:size])
        self._refresh()

    def draw_camera(self, camera: str, size: int, stock: bool) -> np.ndarray:
        """An image (size, size, 3) uint8 of one of the model's cameras."""
        key = (size, stock)
        if key not in self._renderers:
            self._renderers[key] = Renderer(self.scene.model, size, stock)
        return self._renderers[key].draw(self.data, camera)

    def close(self) -> None:
        """Frees the renderers."""
        for renderer in self._renderers.values():
            renderer.close()
