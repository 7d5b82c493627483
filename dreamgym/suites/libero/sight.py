"""What a scripted operator looks at: the simulator's poses, joints and shapes, by name."""

from __future__ import annotations

from typing import Any

import numpy as np

from dreamgym.suites.libero.grasps import Pose

NEAR_PALM = 0.12  # m to each side of its way that a hand sweeps

# Points on a hand with open fingers, m in its frame (x closes, z approaches): two fingers, the palm and the wrist.
_FINGER = np.stack(np.meshgrid([0.041, 0.053, 0.065], [-0.0105, 0.0, 0.0105], [-0.03, -0.01, 0.0092]), -1).reshape(
    -1, 3
)
_PALM = np.stack(np.meshgrid(np.linspace(-0.1, 0.1, 9), [-0.032, 0.0, 0.032], [-0.031, -0.075, -0.12]), -1).reshape(
    -1, 3
)
_WRIST = np.stack(np.meshgrid([-0.045, 0.045], [-0.045, 0.045], [-0.16, -0.22, -0.28]), -1).reshape(-1, 3)
HAND = np.concatenate([_FINGER, _FINGER * [-1.0, 1.0, 1.0], _PALM, _WRIST])
_MIDDLE = (HAND.min(0) + HAND.max(0)) / 2
_RADIUS = float(np.linalg.norm(HAND - _MIDDLE, axis=1).max())
ROOM = 0.01  # m that are left beside what a thing is lifted past
NEAR = 0.02  # m from which on it does not matter how far a thing is from the hand


class Sight:
    """Looks at the episode that an environment has just begun.

    Args:
        env: a `LiberoEnv` after its reset.

    Attributes:
        scene: names and indices of the things.
        goal: the facts that are to hold.
        home: (3, 3), the hand's rotation at the start.
    """

    def __init__(self, env: Any) -> None:
        self._simulation = env.simulation
        self.scene = self._simulation.scene
        self.goal = self.scene.problem.goal
        self.home = self.hand[1]
        model = self.scene.model
        solid = (self.scene.owner >= 0) | ((model.geom_group == 0) & (model.geom_bodyid == 0))
        solid |= self._is_static() & (model.geom_group == 0)
        self._solid = np.flatnonzero(solid & (model.geom_type != 0))

    def _is_static(self) -> np.ndarray:
        """[geoms] bool: on a body that neither moves nor is part of the arm."""
        model = self.scene.model
        static = (model.body_weldid == 0) & [not model.body(i).name.startswith("robot") for i in range(model.nbody)]
        found: np.ndarray = static[model.geom_bodyid]
        names = [model.body(int(body)).name for body in model.geom_bodyid]
        found &= ~np.array([name.startswith(("robot", "base", "mount", "gripper", "fixed_mount")) for name in names])
        return found

    @property
    def hand(self) -> Pose:
        """The pose of the point between the finger tips."""
        return self._simulation.controller.position, self._simulation.controller.rotation

    @property
    def opening(self) -> float:
        """Between the finger tips, m: 0 to 0.08."""
        return float(np.abs(self._simulation.data.qpos[self.scene.finger_qpos]).sum())

    def pose(self, name: str) -> Pose:
        """Of a thing, or of a region that is a site."""
        data = self._simulation.data
        if name in self.scene.body:
            body = self.scene.body[name]
            return data.xpos[body].copy(), data.xmat[body].reshape(3, 3).copy()
        if name in self.scene.sites:
            site = self.scene.sites[name]
            return data.site_xpos[site].copy(), data.site_xmat[site].reshape(3, 3).copy()
        return self.scene.zone(name)[0], np.eye(3)

    def joints(self, name: str) -> tuple[int, ...]:
        """Ids of the joints of a fixture, or of one of its regions."""
        return self.scene.joints[name] if name in self.scene.body else self.scene.region_joints(name)

    def joint_name(self, joint: int) -> tuple[str, str]:
        """(kind of the fixture, the joint's name in its kind)."""
        name = self.scene.model.joint(joint).name
        owner = next(fixture for fixture in self.scene.fixtures if joint in self.scene.joints[fixture])
        return self.scene.kinds[owner], name.removeprefix(f"{owner}_")

    def joint_frame(self, joint: int) -> tuple[Pose, np.ndarray, np.ndarray, float]:
        """(pose of the body that a joint moves, its axis, a point on the axis, its position in m or rad)."""
        model, data = self.scene.model, self._simulation.data
        body = model.jnt_bodyid[joint]
        pose = data.xpos[body].copy(), data.xmat[body].reshape(3, 3).copy()
        return pose, data.xaxis[joint].copy(), data.xanchor[joint].copy(), float(data.qpos[model.jnt_qposadr[joint]])

    def rests(self) -> bool:
        """Whether no thing moves by more than 2 cm/s."""
        model, data = self.scene.model, self._simulation.data
        joints = [model.joint(f"{name}_joint0").dofadr[0] for name in self.scene.objects]
        return all(bool(np.linalg.norm(data.qvel[at : at + 3]) < 0.02) for at in joints)

    def holds(self, fact: tuple[str, ...]) -> bool:
        """Whether a fact holds now."""
        return bool(self._simulation.oracle.holds(fact))

    def kind(self, name: str) -> str:
        """The kind of a thing."""
        return str(self.scene.kinds[name])

    def parent(self, region: str) -> str | None:
        """The thing that a region is on; None for the work surface."""
        return self.scene.parent(region)

    def boxes(self, without: tuple[str, ...] = ()) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Middles [N, 3], rotations [N, 3, 3] and half sizes [N, 3] of all solid shapes but those of some things."""
        model, data, shapes = self.scene.model, self._simulation.data, self._solid
        names = (*self.scene.objects, *self.scene.fixtures)
        skipped = [names.index(name) for name in without]
        shapes = shapes[~np.isin(self.scene.owner[shapes], skipped)]
        rotations = data.geom_xmat[shapes].reshape(-1, 3, 3)
        middles = data.geom_xpos[shapes] + np.einsum("nij,nj->ni", rotations, model.geom_aabb[shapes, :3])
        return middles, rotations, model.geom_aabb[shapes, 3:]

    def extent(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest corner (3,) of a thing, in the world."""
        index = [*self.scene.objects, *self.scene.fixtures].index(name)
        model, data = self.scene.model, self._simulation.data
        shapes = np.flatnonzero(self.scene.owner == index)
        rotations = data.geom_xmat[shapes].reshape(-1, 3, 3)
        middles = data.geom_xpos[shapes] + np.einsum("nij,nj->ni", rotations, model.geom_aabb[shapes, :3])
        reach = np.einsum("nij,nj->ni", np.abs(rotations), model.geom_aabb[shapes, 3:])
        return (middles - reach).min(0), (middles + reach).max(0)

    def clearance(self, hand: Pose, without: tuple[str, ...] = ()) -> float:
        """The least distance in m of a hand with open fingers from anything solid, at most `NEAR`; below 0 inside."""
        middles, rotations, halves = self.boxes(without)
        far = np.linalg.norm(middles - (hand[0] + hand[1] @ _MIDDLE), axis=1) - np.linalg.norm(halves, axis=1)
        near = far < _RADIUS + NEAR
        middles, rotations, halves = middles[near], rotations[near], halves[near]
        points = hand[0] + HAND @ hand[1].T
        beyond = np.abs((points[:, None] - middles).transpose(1, 0, 2) @ rotations) - halves[:, None]
        distance = np.sqrt((np.maximum(beyond, 0) ** 2).sum(-1)) + np.minimum(beyond.max(-1), 0)
        return float(distance.min(initial=NEAR))

    def highest(self, start: np.ndarray, end: np.ndarray, without: tuple[str, ...] = ()) -> float:
        """The highest point, m, of what stands within a palm's width of the way between two places."""
        middles, rotations, halves = self.boxes(without)
        reach = np.einsum("nij,nj->ni", np.abs(rotations), halves)
        way = (end - start)[:2]
        share = np.clip((middles - start)[:, :2] @ way / max(float(way @ way), 1e-9), 0, 1)
        aside = np.abs(middles[:, :2] - start[:2] - share[:, None] * way) - reach[:, :2]
        near = (aside < NEAR_PALM).all(1)
        return float((middles + reach)[near, 2].max(initial=0.0))

    def overhang(self, name: str) -> np.ndarray:
        """The shortest way (2,), m along x or y, out from under what is above a thing; 0 where nothing is."""
        low, high = self.extent(name)
        middles, rotations, halves = self.boxes((name,))
        reach = np.einsum("nij,nj->ni", np.abs(rotations), halves)
        least, most = middles - reach, middles + reach
        above = ((most[:, :2] > low[:2]) & (least[:, :2] < high[:2])).all(1) & (least[:, 2] > high[2])
        if not above.any():
            return np.zeros(2)
        ways = np.concatenate([least[above].min(0)[:2] - high[:2], most[above].max(0)[:2] - low[:2]])
        shortest = int(np.abs(ways).argmin())
        found = np.zeros(2)
        found[shortest % 2] = ways[shortest] + np.copysign(ROOM, ways[shortest])
        return found

    def touches_world(self, name: str) -> bool:
        """Whether a thing touches anything but the hand."""
        data, model = self._simulation.data, self.scene.model
        index = [*self.scene.objects, *self.scene.fixtures].index(name)
        for contact in data.contact.geom[: data.ncon]:
            owners = self.scene.owner[contact]
            if (owners == index).sum() == 1:
                other = contact[int(owners[0] == index)]
                if not model.body(int(model.geom_bodyid[other])).name.startswith(("gripper", "robot")):
                    return True
        return False

    def is_gripped(self, name: str) -> bool:
        """Whether a finger touches a thing."""
        data, model = self._simulation.data, self.scene.model
        index = [*self.scene.objects, *self.scene.fixtures].index(name)
        for contact in data.contact.geom[: data.ncon]:
            owners = self.scene.owner[contact]
            if (owners == index).sum() == 1:
                other = contact[int(owners[0] == index)]
                if model.body(int(model.geom_bodyid[other])).name.startswith("gripper"):
                    return True
        return False
