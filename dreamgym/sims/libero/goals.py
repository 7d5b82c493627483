"""LIBERO's oracle: whether the facts of a task's goal hold in a simulation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dreamgym.sims.libero.problem import Fact
from dreamgym.sims.libero.scene import Scene
from dreamgym.sims.libero.things import ARTICULATIONS, Articulation

ON_DISTANCE = 0.03  # m between the middles of a thing and of what it is on
ON_SITE_HEIGHT = 0.10  # m above a site in which a thing counts as on it
SLACK = 0.005  # m by which it may lie deeper
IN_SLACK = 0.01  # m by which a thing in a region may lie below it
UP_HEIGHT = 1.0  # m in the world


class Oracle:
    """Judges facts.

    Args:
        scene: the model and its names.
        data: the MjData that is judged.

    Raises:
        ValueError: the goal asks of a thing what it cannot do.
    """

    def __init__(self, scene: Scene, data: Any) -> None:
        self._scene, self._data = scene, data
        self._index = {name: index for index, name in enumerate((*scene.objects, *scene.fixtures))}
        self._rules: dict[str, Callable[..., bool]] = {
            "on": self._is_on,
            "in": self._is_in,
            "up": self._is_up,
            "open": lambda name: any(self._active(name)),
            "turnon": lambda name: any(self._active(name)),
            "close": lambda name: all(self._passive(name)),
            "turnoff": lambda name: all(self._passive(name)),
        }
        for fact in scene.problem.goal:
            self.holds(fact)

    def succeeded(self) -> bool:
        """Whether the whole goal holds."""
        return all(self.holds(fact) for fact in self._scene.problem.goal)

    def holds(self, fact: Fact) -> bool:
        """Whether one fact holds.

        Raises:
            ValueError: it speaks of what the scene lacks, or asks of a thing what it cannot do.
        """
        try:
            return self._rules[fact[0]](*fact[1:])
        except (KeyError, IndexError) as error:
            raise ValueError(f"({' '.join(fact)}) cannot be judged: {error} is not in the scene") from error

    def touching(self, a: str, b: str) -> bool:
        """Whether the collision shapes of two things are in contact."""
        contacts = self._data.contact
        if self._data.ncon == 0:
            return False
        owners = self._scene.owner[contacts.geom]  # [contacts, 2]
        i, j = self._index[a], self._index[b]
        return bool(((owners == (i, j)) | (owners == (j, i))).all(1).any())

    def _place(self, name: str) -> np.ndarray:
        return np.asarray(self._data.xpos[self._scene.body[name]])

    def _site(self, region: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Position (3,), rotation (3, 3) and half sizes (3,) of a region."""
        scene = self._scene
        if region in scene.sites:
            site = scene.sites[region]
            return self._data.site_xpos[site], self._data.site_xmat[site].reshape(3, 3), scene.model.site_size[site]
        middle, size = scene.zone(region)
        return middle, np.eye(3), size

    def _is_on(self, name: str, below: str) -> bool:
        if below in self._index:
            a, b = self._place(name), self._place(below)
            near = float(np.linalg.norm(a[:2] - b[:2])) < ON_DISTANCE
            return bool(b[2] <= a[2]) and near and self.touching(name, below)
        position, rotation, size = self._site(below)
        # As the benchmark computes it: the rotation is not transposed.
        delta = rotation @ (self._place(name) - position)
        if not size[2] - SLACK < delta[2] < size[2] + ON_SITE_HEIGHT or not (np.abs(delta[:2]) < size[:2]).all():
            return False
        parent = self._scene.parent(below)
        return parent is None or self.touching(name, parent)

    def _is_in(self, name: str, region: str) -> bool:
        position, rotation, size = self._site(region)
        reach = np.abs(rotation @ size)
        low, high = position - reach, position + reach
        low[2] -= IN_SLACK
        place = self._place(name)
        return bool((place > low).all() and (place < high).all())

    def _is_up(self, name: str) -> bool:
        return bool(self._place(name)[2] >= UP_HEIGHT)

    def _joints(self, name: str) -> tuple[Articulation, list[float]]:
        """How the joints of a thing or of one of its sites are judged, and where they stand."""
        scene = self._scene
        thing = name if name in scene.body else scene.parent(name)
        joints = scene.joints[name] if name in scene.body else scene.region_joints(name)
        kind = scene.kinds[str(thing)]
        if kind not in ARTICULATIONS or not joints:
            raise ValueError(f"{name!r} ({kind}) can neither be opened nor turned on")
        return ARTICULATIONS[kind], [float(self._data.qpos[scene.model.jnt_qposadr[joint]]) for joint in joints]

    def _active(self, name: str) -> list[bool]:
        rule, positions = self._joints(name)
        return [rule.is_active(position) for position in positions]

    def _passive(self, name: str) -> list[bool]:
        rule, positions = self._joints(name)
        return [rule.is_passive(position) for position in positions]
