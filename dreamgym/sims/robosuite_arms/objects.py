"""What lies on the table: instances of several categories. Some instances and two whole categories are held out.

Nothing here needs robosuite until `build` is called.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

RED, GREEN, BLUE = (0.8, 0.15, 0.15), (0.15, 0.65, 0.25), (0.2, 0.3, 0.85)
YELLOW, PURPLE, ORANGE = (0.9, 0.8, 0.2), (0.55, 0.25, 0.65), (0.95, 0.5, 0.15)


@dataclass(frozen=True)
class Thing:
    """One object.

    Attributes:
        category: what it is; also part of its task's name.
        shape: "Box", "Cylinder" or a mesh of robosuite's ("Can", "Milk", ...).
        colour: RGB in [0, 1] in pictures.
        size: half sizes of a box, radius and half length of a cylinder, m; () for meshes.
        held_out: an instance that nothing is trained on.
    """

    category: str
    shape: str
    colour: tuple[float, float, float]
    size: tuple[float, ...] = ()
    held_out: bool = False

    def build(self, name: str) -> Any:
        """Robosuite's object of that name."""
        from robosuite.models import objects

        make = getattr(objects, f"{self.shape}Object")
        if not self.size:
            return make(name=name)
        return make(name=name, size=list(self.size), rgba=[*self.colour, 1.0], density=300, rng=None)


THINGS = (
    Thing("cube", "Box", RED, (0.021, 0.021, 0.021)),
    Thing("cube", "Box", BLUE, (0.024, 0.024, 0.024)),
    Thing("cube", "Box", GREEN, (0.019, 0.019, 0.026)),
    Thing("cube", "Box", PURPLE, (0.022, 0.022, 0.024), held_out=True),
    Thing("cylinder", "Cylinder", YELLOW, (0.020, 0.030)),
    Thing("cylinder", "Cylinder", GREEN, (0.023, 0.025)),
    Thing("cylinder", "Cylinder", ORANGE, (0.021, 0.035), held_out=True),
    Thing("can", "Can", (0.75, 0.1, 0.1)),
    Thing("milk", "Milk", (0.9, 0.9, 0.95)),
    Thing("bread", "Bread", (0.8, 0.6, 0.35)),
    Thing("lemon", "Lemon", (0.95, 0.9, 0.2)),
    Thing("bottle", "Bottle", (0.2, 0.7, 0.7)),
)
CATEGORIES = tuple(dict.fromkeys(thing.category for thing in THINGS))
INSTANCES = ("train", "held_out", "all")
"""Which objects of a category may lie on the table."""
HELD_OUT_CATEGORIES = ("lemon", "bottle")
