"""What the model files do not say of things: how they are put down, and when a joint counts as open or on."""

from __future__ import annotations

from dataclasses import dataclass
from math import pi

Turns = tuple[tuple[str, float, float], ...]
"""Rotations that are drawn when a thing is put down, one after the other: axis, lowest and highest angle (rad)."""

_UPRIGHT: Turns = (("x", pi / 2, pi / 2),)
_UPRIGHT_TURNED: Turns = (("x", pi / 2, pi / 2), ("z", pi / 2, pi / 2))
_FLAT: Turns = (("x", 0.0, 0.0),)
_MUG: Turns = (("x", -pi / 2, -pi / 2),)
_BOOK: Turns = (("x", -pi / 2, -pi / 4),)

TURNS: dict[str, Turns] = {
    "alphabet_soup": (("z", pi / 2, pi / 2),),
    "tomato_sauce": (("z", pi / 2, pi / 2),),
    **dict.fromkeys(("bbq_sauce", "cookies"), _UPRIGHT),
    **dict.fromkeys(("butter", "chocolate_pudding", "cream_cheese", "popcorn"), _FLAT),
    **dict.fromkeys(
        ("ketchup", "macaroni_and_cheese", "milk", "orange_juice", "salad_dressing", "new_salad_dressing"),
        _UPRIGHT_TURNED,
    ),
    **dict.fromkeys(
        ("akita_black_bowl", "white_bowl", "plate", "basket", "chefmate_8_frypan", "glazed_rim_porcelain_ramekin"),
        _UPRIGHT,
    ),
    **dict.fromkeys(("red_coffee_mug", "porcelain_mug", "white_yellow_mug"), _MUG),
    **dict.fromkeys(("black_book", "yellow_book"), _BOOK),
}
"""By kind; others are put down as their models lie."""


@dataclass(frozen=True)
class Articulation:
    """Ranges of a kind's joints, from which initial states are drawn, and whose inner ends are the thresholds.

    Attributes:
        active: open, or on.
        passive: closed, or off.
        inclusive: whether the threshold of ``active`` itself counts.
    """

    active: tuple[float, float]
    passive: tuple[float, float]
    inclusive: bool = False

    def is_active(self, position: float) -> bool:
        """Whether a joint stands open (on)."""
        if self.active[0] >= self.passive[1]:
            limit = min(self.active)
            return position > limit or (self.inclusive and position == limit)
        return position < max(self.active)

    def is_passive(self, position: float) -> bool:
        """Whether a joint stands closed (off)."""
        if self.active[0] >= self.passive[1]:
            return position < max(self.passive)
        return position > min(self.passive)


_DRAWERS = Articulation(active=(-0.16, -0.14), passive=(0.0, 0.005))
ARTICULATIONS = {
    "microwave": Articulation(active=(-2.094, -1.3), passive=(-0.005, 0.0)),
    "wooden_cabinet": _DRAWERS,
    "white_cabinet": _DRAWERS,
    "short_cabinet": Articulation(active=(0.10, 0.16), passive=(-0.005, 0.0)),
    "short_fridge": Articulation(active=(2.0, 2.7), passive=(-0.005, 0.0)),
    "flat_stove": Articulation(active=(0.5, 2.1), passive=(-0.005, 0.0), inclusive=True),
}
"""By kind, of what can be opened or turned on."""
