"""The MuJoCo model: one arm at a table, and every object of the catalogue, of which one at a time is in use."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from dreamgym.sims.robosuite_arms.embodiments import SWING, Embodiment
from dreamgym.sims.robosuite_arms.objects import THINGS

try:
    from dreamgym.sims.mujoco_state import mujoco
    from dreamgym.sims.robosuite import HEADLESS

    logging.getLogger("robosuite_logs").setLevel(logging.ERROR)  # it warns of optional parts at every import
    from robosuite.controllers import load_composite_controller_config, load_part_controller_config
    from robosuite.environments.manipulation.manipulation_env import ManipulationEnv
    from robosuite.models.arenas import TableArena
    from robosuite.models.tasks import ManipulationTask

    logging.getLogger("robosuite_logs").setLevel(logging.ERROR)  # which its import sets anew
except ImportError as error:
    raise ImportError('robosuite is missing: pip install "dreamgym[robosuite]"') from error

TABLE = (0.8, 0.8, 0.05)
TABLE_TOP = 0.8  # m
FRICTION = (1.0, 5e-3, 1e-4)
STIFFNESS = 200.0  # of joint controllers: at the suite's 50 the arm stays half a radian behind
PARKED = np.array([4.0, 0.0, 3.0])  # where objects that are not in use float, a metre apart
TABLE_COLOUR = (0.55, 0.5, 0.45)
HIDDEN = 5  # a geom group that is not drawn


class Table(ManipulationEnv):
    """Robosuite's env of an arm at a table; no task of its own.

    Args:
        embodiment: the arm, its hand and controller.
        seed: of the noise of its initial joints.
    """

    def __init__(self, embodiment: Embodiment, seed: int) -> None:
        super().__init__(
            robots=embodiment.arm,
            controller_configs=_controller(embodiment),
            gripper_types=embodiment.hand,
            seed=seed,
            **HEADLESS,
        )

    def _load_model(self) -> None:
        super()._load_model()
        robot = self.robots[0].robot_model
        robot.set_base_xpos(robot.base_xpos_offset["table"](TABLE[0]))
        arena = TableArena(table_full_size=TABLE, table_friction=FRICTION, table_offset=(0, 0, TABLE_TOP))
        arena.set_origin([0, 0, 0])
        self.things = [thing.build(f"thing{i}") for i, thing in enumerate(THINGS)]
        for thing in self.things:
            # Floats where it is parked; MuJoCo leaves gravity's compensation out of models that begin without any.
            thing.get_obj().set("gravcomp", "1")
        self.model = ManipulationTask(mujoco_arena=arena, mujoco_robots=[robot], mujoco_objects=self.things)

    def reward(self, action: Any = None) -> float:
        """Nothing: `oracles` judges."""
        return 0.0

    def _check_success(self) -> bool:
        return False


def _controller(embodiment: Embodiment) -> dict[str, Any]:
    """Robosuite's configuration: the arm's own, with this controller and the hand's entry kept."""
    whole: dict[str, Any] = load_composite_controller_config(controller=None, robot=embodiment.arm)
    kind = {"joints": "JOINT_POSITION", "pose": "OSC_POSE", "position": "OSC_POSITION"}[embodiment.controller]
    part = load_part_controller_config(default_controller=kind)
    if embodiment.controller == "joints":
        part.update(output_max=SWING, output_min=-SWING, kp=STIFFNESS)
    before = whole["body_parts"]["right"]
    whole["body_parts"] = {"right": {**part, "gripper": before["gripper"]}}
    return whole


class Shelf:
    """Which object is in use: the others float out of reach and are not drawn.

    Args:
        world: whose model and data.
        colour: of the arm's shapes.
    """

    def __init__(self, world: Table, colour: tuple[float, float, float]) -> None:
        self.world, self.model = world, world.sim.model._model
        names = [thing.root_body for thing in world.things]
        self.bodies = np.array([self.model.body(name).id for name in names])
        self.joints = np.array([self.model.body(name).jntadr[0] for name in names])
        self.geoms = [np.flatnonzero(self.model.geom_bodyid == body) for body in self.bodies]
        self.used = 0
        self._groups = self.model.geom_group.copy()
        self._colour(colour)

    def use(self, index: int) -> None:
        """Takes object ``index``; its place is the caller's to set."""
        self.used = index
        self.model.body_gravcomp[self.bodies] = 1.0
        self.model.body_gravcomp[self.bodies[index]] = 0.0
        for i, geoms in enumerate(self.geoms):
            self.model.geom_group[geoms] = self._groups[geoms] if i == index else HIDDEN

    def lay_out(self, place: np.ndarray, angle: float) -> None:
        """Parks the others and puts the one in use at ``place`` (3,), turned by ``angle`` rad about the vertical."""
        data = self.world.sim.data._data
        for i, joint in enumerate(self.joints):
            at, by = self.model.jnt_qposadr[joint], self.model.jnt_dofadr[joint]
            data.qpos[at : at + 3] = place if i == self.used else PARKED + [float(i), 0.0, 0.0]
            half = angle / 2 if i == self.used else 0.0
            data.qpos[at + 3 : at + 7] = np.cos(half), 0.0, 0.0, np.sin(half)
            data.qvel[by : by + 6] = 0.0
        mujoco.mj_forward(self.model, data)

    def bottom(self, index: int) -> float:
        """How far the object's lowest point lies below its frame, m."""
        return -float(self.world.things[index].bottom_offset[2])

    def _colour(self, colour: tuple[float, float, float]) -> None:
        """Colours what pictures show, the shapes that collide: the suite's own are all green.

        Links without such shapes show their visual ones.
        """
        model, groups = self.model, self._groups
        names = np.array([model.body(body).name for body in model.geom_bodyid])
        solid = set(model.geom_bodyid[groups == 0].tolist())
        links = np.array([name.startswith("robot") for name in names])
        bare = links & ~np.isin(model.geom_bodyid, list(solid))
        groups[bare & (groups == 1)] = 0
        model.geom_group[:] = groups
        hands = np.array([name.startswith("gripper") for name in names])
        shown = groups == 0
        for part, share in ((links, 1.0), (hands, 0.5)):
            model.geom_rgba[part & shown] = *(share * c for c in colour), 1.0
        model.geom_rgba[shown & (names == "table")] = *TABLE_COLOUR, 1.0
        model.geom_rgba[shown & np.char.startswith(names, "fixed_mount")] = 0.3, 0.3, 0.3, 1.0
        model.geom_matid[shown] = -1
        for thing, geoms in zip(THINGS, self.geoms, strict=True):
            model.geom_rgba[geoms] = *thing.colour, 1.0
