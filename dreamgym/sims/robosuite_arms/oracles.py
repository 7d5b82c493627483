"""Contact, lift and success (LAC-WM, section 6.2): of an object that is to be lifted and put down elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dreamgym.sims.robosuite_arms.scene import Shelf

ASIDE = 0.1  # m that the object has to be moved (LAC-WM, A.3)
CLEAR = 0.02  # m that its frame has to rise while nothing of it touches the table


@dataclass(frozen=True)
class Touches:
    """What the object in use touches at a moment."""

    hand: bool
    table: bool


class Contacts:
    """Finds what the object in use touches.

    Args:
        shelf: the scene.
    """

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        model = shelf.model
        names = [model.body(body).name for body in model.geom_bodyid]
        self._hand = np.array([name.startswith("gripper") for name in names])
        self._table = np.array([name == "table" for name in names])

    def __call__(self) -> Touches:
        data = self.shelf.world.sim.data._data
        pairs = data.contact.geom[: data.ncon]
        mine = np.isin(pairs, self.shelf.geoms[self.shelf.used])
        others = pairs[:, ::-1][mine]
        return Touches(bool(self._hand[others].any()), bool(self._table[others].any()))


@dataclass
class Progress:
    """How far an episode has come; part of a snapshot.

    Attributes:
        start: (3,) where the object lay, m.
        contact: whether the hand has touched it.
        lifted: whether it has been clear of the table.
    """

    start: np.ndarray
    contact: bool = False
    lifted: bool = False

    def update(self, place: np.ndarray, touches: Touches) -> None:
        """Notes a moment: the object's place (3,) in m, and what it touches."""
        self.contact = self.contact or touches.hand
        self.lifted = self.lifted or (not touches.table and touches.hand and place[2] - self.start[2] > CLEAR)

    def succeeded(self, place: np.ndarray, touches: Touches) -> bool:
        """Whether it has been lifted and now lies on the table, let go of, at least `ASIDE` from where it lay."""
        aside = float(np.linalg.norm((place - self.start)[:2]))
        return self.lifted and touches.table and not touches.hand and aside >= ASIDE

    def to_vector(self) -> np.ndarray:
        """(5,), for a snapshot."""
        return np.array([*self.start, self.contact, self.lifted], np.float64)

    @classmethod
    def from_vector(cls, vector: np.ndarray) -> Progress:
        """What `to_vector` gave."""
        return cls(vector[:3].copy(), bool(vector[3]), bool(vector[4]))
