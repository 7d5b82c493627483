"""Initial states as the benchmark draws them: things in their regions, on sites and on each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dreamgym.sims.libero.scene import Scene
from dreamgym.sims.libero.things import ARTICULATIONS, TURNS, Turns
from dreamgym.sims.mujoco_state import mujoco

TRIES = 5000  # of one thing before the draw begins anew
RESTARTS = 20
CLEARANCE = 0.01  # m above the surface at which a movable thing is put down


@dataclass(frozen=True)
class Pose:
    """Where a thing is put: position (3,) and quaternion (4,), w first, in the world."""

    position: np.ndarray
    quaternion: np.ndarray


def fixture_poses(scene: Scene, rng: np.random.Generator | None) -> dict[str, Pose]:
    """Poses of the fixtures, drawn in their regions; the regions' middles where ``rng`` is None.

    The benchmark's initial states do not hold them: they are drawn at each reset, by a centimetre or so.
    """
    found = {}
    for _, name, region in _facts(scene, "on"):
        if name not in scene.fixtures:
            continue
        place = scene.problem.regions[region]
        low, high = np.array(place.ranges[0][:2]), np.array(place.ranges[0][2:])
        middle, yaw = (low + high) / 2, sum(place.yaw) / 2
        if rng is not None:
            middle, yaw = rng.uniform(low, high), rng.uniform(min(place.yaw), max(place.yaw))
        position = np.array(scene.workspace.origin)
        position[:2] += middle
        position[2] += scene.workspace.fixture_drop - scene.extents[name].bottom
        found[name] = Pose(position, np.array([np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2)]))
    return found


def draw_state(scene: Scene, data: Any, rng: np.random.Generator) -> None:
    """Sets joints and poses of all things to a draw of the task's initial states; the arm is not touched.

    Raises:
        ValueError: the things do not fit into their regions.
    """
    for _ in range(RESTARTS):
        place_fixtures(scene, fixture_poses(scene, rng))
        _set_joints(scene, data, rng)
        mujoco.mj_kinematics(scene.model, data)
        try:
            poses = _object_poses(scene, data, rng)
        except _Crowded:
            continue
        for name, pose in poses.items():
            at = scene.free[name]
            data.qpos[at : at + 7] = np.concatenate([pose.position, pose.quaternion])
        return
    raise ValueError(f"the things of {scene.problem.language!r} do not fit into their regions")


def place_fixtures(scene: Scene, poses: dict[str, Pose]) -> None:
    """Puts fixtures at their poses; they are part of the model."""
    for name, pose in poses.items():
        scene.model.body_pos[scene.body[name]] = pose.position
        scene.model.body_quat[scene.body[name]] = pose.quaternion


class _Crowded(Exception):
    """A thing finds no room."""


def _facts(scene: Scene, predicate: str) -> list[tuple[str, ...]]:
    return [fact for fact in scene.problem.init if fact[0] == predicate]


def _set_joints(scene: Scene, data: Any, rng: np.random.Generator) -> None:
    """Draws the joints that the task file says are open, closed, on or off."""
    for predicate, name in (fact for fact in scene.problem.init if len(fact) == 2):
        thing = name if name in scene.body else scene.parent(name)
        joints = scene.joints[name] if name in scene.body else scene.region_joints(name)
        rule = ARTICULATIONS[scene.kinds[str(thing)]]
        position = rng.uniform(*(rule.active if predicate in ("open", "turnon") else rule.passive))
        for joint in joints:
            data.qpos[scene.model.jnt_qposadr[joint]] = position


def _object_poses(scene: Scene, data: Any, rng: np.random.Generator) -> dict[str, Pose]:
    """Poses of the movable things: first those on the work surface, then those on sites, then those on others."""
    problem, placed = scene.problem, dict[str, Pose]()
    on_surface, on_site, on_thing = [], [], []
    for fact in problem.init:
        if len(fact) != 3 or fact[1] not in scene.objects:
            continue
        if fact[2] in scene.body:
            on_thing.append(fact)
        elif fact[0] == "on" and problem.regions[fact[2]].ranges:
            on_surface.append(fact)
        else:
            on_site.append(fact)
    fixed = {name: Pose(data.xpos[scene.body[name]].copy(), np.zeros(4)) for name in scene.fixtures}
    for _, name, region in on_surface:
        placed[name] = _on_surface(scene, name, region, placed, rng)
    for predicate, name, region in on_site:
        others = {**placed, **fixed} if predicate == "in" else placed
        placed[name] = _on_site(scene, data, predicate, name, region, others, rng)
    for _, name, below in on_thing:
        position = placed[below].position.copy()
        position[2] += scene.extents[below].top - scene.extents[name].bottom
        placed[name] = Pose(position, _turned(TURNS.get(scene.kinds[name], ()), rng))
    return placed


def _on_surface(scene: Scene, name: str, region: str, placed: dict[str, Pose], rng: np.random.Generator) -> Pose:
    extent, workspace = scene.extents[name], scene.workspace
    ranges = scene.problem.regions[region].ranges
    margin = extent.radius if workspace.margin else 0.0
    for _ in range(TRIES):
        x0, y0, x1, y1 = ranges[int(rng.integers(len(ranges)))]
        # As the benchmark draws: a region narrower than the thing turns its bounds around.
        ends = np.sort([[x0 + margin, y0 + margin], [x1 - margin, y1 - margin]], axis=0)
        position = np.array(workspace.origin) + [*rng.uniform(ends[0], ends[1]), CLEARANCE - extent.bottom]
        if _is_free(scene, name, position, placed):
            return Pose(position, _turned(TURNS.get(scene.kinds[name], ()), rng))
    raise _Crowded


def _on_site(
    scene: Scene,
    data: Any,
    predicate: str,
    name: str,
    region: str,
    placed: dict[str, Pose],
    rng: np.random.Generator,
) -> Pose:
    """On a site within half its size, or in its middle where the thing is in it."""
    site, extent = scene.sites[region], scene.extents[name]
    half = scene.model.site_size[site][:2] / 2 if predicate == "on" else np.zeros(2)
    margin = np.minimum(extent.radius, half)
    position = data.site_xpos[site].copy()
    position[:2] += rng.uniform(margin - half, half - margin)
    position[2] -= extent.bottom
    return Pose(position, _turned(TURNS.get(scene.kinds[name], ()), rng))


def _is_free(scene: Scene, name: str, position: np.ndarray, placed: dict[str, Pose]) -> bool:
    own = scene.extents[name]
    for other, pose in placed.items():
        extent = scene.extents[other]
        apart = float(np.linalg.norm(position[:2] - pose.position[:2]))
        if apart <= extent.radius + own.radius and position[2] - pose.position[2] <= extent.top - own.bottom:
            return False
    return True


def _turned(turns: Turns, rng: np.random.Generator) -> np.ndarray:
    """The quaternion (w first) that the benchmark gives a thing for drawn rotations, each after the ones before it.

    The benchmark computes it with w last and hands it to a simulator that takes w first; its models are made for that.
    """
    found = np.array([1.0, 0.0, 0.0, 0.0])
    for axis, low, high in turns:
        angle, turn = rng.uniform(low, high), np.zeros(4)
        turn[0], turn[1 + "xyz".index(axis)] = np.cos(angle / 2), np.sin(angle / 2)
        product = np.empty(4)
        mujoco.mju_mulQuat(product, turn, found)
        found = product
    return np.roll(found, -1)
