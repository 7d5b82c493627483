"""One MuJoCo model of a task: the workspace, the arm, and the things that the task file names."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError

import numpy as np

from dreamgym.sims.libero.assets import model_file
from dreamgym.sims.libero.problem import Problem
from dreamgym.sims.libero.workspaces import Workspace, find_workspace

try:
    from dreamgym.sims.mujoco_state import mujoco

    # It warns of optional parts at every import, which sets its level anew: a filter stays.
    logging.getLogger("robosuite_logs").addFilter(lambda record: record.levelno >= logging.ERROR)
    importlib.import_module("robosuite")
    from robosuite.models.base import MujocoXML
    from robosuite.models.bases import robot_base_factory
    from robosuite.models.grippers import gripper_factory
    from robosuite.models.objects import MujocoXMLObject
    from robosuite.models.robots import create_robot
    from robosuite.models.tasks import ManipulationTask
    from robosuite.utils.mjcf_utils import array_to_string
except ImportError as error:
    raise ImportError('LIBERO needs robosuite: pip install "dreamgym[libero]"') from error

ROBOTS = ("Panda", "Sawyer", "IIWA", "Jaco", "Kinova3", "UR5e", "XArm7")
HOME = (0.0, -0.161037389, 0.0, -2.44459747, 0.0, 2.22675220, np.pi / 4)
"""Joints of the Panda at the start of an episode; other arms start as robosuite has them."""
ZONE_HEIGHT = 0.007  # half the height of a region on the work surface, m
_MOUNT = "RethinkMount"


@dataclass(frozen=True)
class Extent:
    """How much room a thing takes when it is put down, m.

    Attributes:
        radius: horizontal.
        top, bottom: of its highest and lowest point above its origin.
    """

    radius: float
    top: float
    bottom: float


class Scene:
    """The compiled model of a task and where everything stands in it.

    Args:
        problem: the task file.
        assets: LIBERO's folder of models.
        robot: one of `ROBOTS`.

    Attributes:
        model: the MjModel.
        objects, fixtures: names in the order of the task file; the work surface is in neither.
        body: body id by name of a thing.
        joints: ids of the hinges and slides of each thing.
        free: the address in qpos of each object's pose (7 entries).
        extents: by name of a thing.
        sites: site id by name of a region that is a site.
        owner: for each geom the index of the thing (objects, then fixtures) whose collision shape it is, else -1.

    Raises:
        ValueError: the problem's workspace or robot is unknown, or a region that the task uses is nowhere.
        FileNotFoundError: an asset is missing.
    """

    def __init__(self, problem: Problem, assets: Path, robot: str = "Panda") -> None:
        if robot not in ROBOTS:
            raise ValueError(f"robot: expected one of {ROBOTS}, got {robot!r}")
        self.problem, self.robot = problem, robot
        self.workspace = find_workspace(problem.name)
        arm, self.gripper = _arm(robot, self.workspace)
        self.objects = tuple(problem.objects)
        self.fixtures = tuple(n for n, kind in problem.fixtures.items() if kind != self.workspace.surface)
        self.kinds = {**problem.objects, **problem.fixtures}
        things = [_thing(name, problem.objects[name], assets, True) for name in self.objects]
        things += [_thing(name, problem.fixtures[name], assets, False) for name in self.fixtures]
        task = ManipulationTask(_arena(self.workspace, assets), [arm], things)
        _check_files(task.root)
        self.model = mujoco.MjModel.from_xml_string(task.get_xml())
        self.extents = {
            thing.name: Extent(
                float(thing.horizontal_radius), float(thing.top_offset[-1]), float(thing.bottom_offset[-1])
            )
            for thing in things
        }
        self.home = np.array(HOME if robot == "Panda" else arm.init_qpos)
        self._index(arm)

    def _index(self, arm: Any) -> None:
        model = self.model
        names = (*self.objects, *self.fixtures)
        self.body = {name: model.body(f"{name}_main").id for name in names}
        self.free = {name: int(model.joint(f"{name}_joint0").qposadr[0]) for name in self.objects}
        self.joints = {name: tuple(self._hinges(body)) for name, body in self.body.items()}
        self.sites = {}
        for name in self.problem.regions:
            site = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_SITE, name)
            if site >= 0:
                self.sites[name] = site
        roots = {body: index for index, body in enumerate(self.body.values())}
        self.owner = np.array([self._root(int(body), roots) for body in model.geom_bodyid])
        self.owner[model.geom_group != 0] = -1
        joints = [model.joint(name) for name in arm.joints]
        self.arm_qpos = np.array([int(joint.qposadr[0]) for joint in joints])
        self.arm_dofs = np.array([int(joint.dofadr[0]) for joint in joints])
        self.arm_actuators = np.array([model.actuator(name).id for name in arm.actuators])
        self.finger_qpos = np.array([int(model.joint(name).qposadr[0]) for name in self.gripper.joints])
        self.finger_actuators = np.array([model.actuator(name).id for name in self.gripper.actuators])
        self.grip_site = model.site(self.gripper.important_sites["grip_site"]).id
        model.site_rgba[:, 3] = 0.0
        self.burners = {
            name: site
            for name in names
            if (site := mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_SITE, f"{name}_burner")) >= 0
        }

    def _hinges(self, root: int) -> Iterator[int]:
        model = self.model
        for joint in range(model.njnt):
            body = int(model.jnt_bodyid[joint])
            if model.jnt_type[joint] != mujoco.mjtJoint.mjJNT_FREE and self._root(body, {root: 0}) == 0:
                yield joint

    def _root(self, body: int, roots: dict[int, int]) -> int:
        """The index of the thing that a body is part of, or -1."""
        while body > 0:
            if body in roots:
                return roots[body]
            body = int(self.model.body_parentid[body])
        return -1

    def parent(self, region: str) -> str | None:
        """The thing that a region is on; None for the work surface."""
        target = self.problem.regions[region].target
        return target if target in self.body else None

    def region_joints(self, region: str) -> tuple[int, ...]:
        """Ids of the joints that move a site: those of its own body."""
        model = self.model
        body = int(model.site_bodyid[self.sites[region]])
        first, count = int(model.body_jntadr[body]), int(model.body_jntnum[body])
        return tuple(range(first, first + count))

    def zone(self, region: str) -> tuple[np.ndarray, np.ndarray]:
        """Middle and half sizes (3,) of a region on the work surface."""
        x0, y0, x1, y1 = self.problem.regions[region].ranges[0]
        middle = np.array([(x0 + x1) / 2, (y0 + y1) / 2, 0.0]) + self.workspace.zone
        return middle, np.array([(x1 - x0) / 2, (y1 - y0) / 2, ZONE_HEIGHT])


def _arm(robot: str, workspace: Workspace) -> tuple[Any, Any]:
    """The models of an arm and of the gripper on it."""
    arm = create_robot(robot, idn=0)
    for link in arm.worldbody.findall(".//body"):
        for geom in link.findall("./geom[@name='robot0_link7_collision']"):
            link.remove(geom)  # robosuite 1.4, on which LIBERO was recorded, had no collision shape on this link
    if workspace.mounted:
        arm.add_base(robot_base_factory(_MOUNT, idn=0))
    gripper = gripper_factory(arm.default_gripper["right"], idn="0_right")
    arm.add_gripper(gripper)
    arm.set_base_xpos(np.array(workspace.base))
    return arm, gripper


def _thing(name: str, kind: str, assets: Path, movable: bool) -> Any:
    joints = [{"type": "free", "damping": "0.0005"}] if movable else None
    path = str(model_file(assets, kind))
    try:
        return MujocoXMLObject(path, name=name, joints=joints, obj_type="all", duplicate_collision_geoms=False)
    except ParseError as error:
        raise ValueError(f"damaged LIBERO asset {path}: {error}; copy it anew") from error


def _arena(workspace: Workspace, assets: Path) -> Any:
    """The workspace's scene with its floor, wall, table and camera."""
    path = assets / "scenes" / workspace.scene
    if not path.is_file():
        raise FileNotFoundError(f"a LIBERO asset is missing: {path}")
    arena = MujocoXML(str(path))
    for texture, file in (("texplane", workspace.floor), ("tex-wall", workspace.wall)):
        arena.asset.find(f"./texture[@name='{texture}']").set("file", str(assets / "textures" / file))
    if workspace.table is not None:
        _size_table(arena.worldbody.find("./body[@name='table']"), workspace)
    camera = arena.worldbody.find("./camera[@name='agentview']")
    camera.set("pos", array_to_string(np.array(workspace.camera)))
    camera.set("quat", array_to_string(np.array(workspace.camera_quat)))
    return arena


def _size_table(table: Any, workspace: Workspace) -> None:
    """A table whose top lies at the workspace's origin, with a leg at each corner."""
    assert workspace.table is not None
    half = np.array(workspace.table) / 2
    height = workspace.origin[2]
    table.set("pos", array_to_string(np.array(workspace.origin) - [0.0, 0.0, half[2]]))
    for name in ("table_collision", "table_visual"):
        table.find(f"./geom[@name='{name}']").set("size", array_to_string(half))
    table.find("./geom[@name='table_collision']").set("friction", array_to_string(np.array(workspace.friction)))
    table.find("./site[@name='table_top']").set("pos", array_to_string(np.array([0.0, 0.0, half[2]])))
    leg = (height - half[2]) / 2
    inset = half[:2] - 0.1
    for index, (x, y) in enumerate(((1, 1), (-1, 1), (-1, -1), (1, -1)), start=1):
        geom = table.find(f"./geom[@name='table_leg{index}_visual']")
        geom.set("pos", array_to_string(np.array([x * inset[0], y * inset[1], -leg])))
        geom.set("size", array_to_string(np.array([0.025, leg])))


def _check_files(root: Any) -> None:
    """FileNotFoundError for the first mesh or texture that is not there."""
    for node in root.findall(".//*[@file]"):
        if not Path(node.get("file")).is_file():
            raise FileNotFoundError(
                f"a LIBERO asset is missing: the {node.tag} {node.get('file')} of {node.get('name')!r}"
            )
