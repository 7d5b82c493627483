"""Contact geometry of the scenes, for scripted skills."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class SceneLayout:
    """Contact geometry of a scene, in metres in the world frame, with every joint at 0.

    Attributes:
        drawer_gap: middle of the gap behind the drawer's handle bar, where a closed hand hooks in.
        drawer_front: a point in front of the bar, from where a push closes the drawer.
        drawer_axis: motion of the drawer for a metre of its joint.
        slider_handle: middle of the sliding door's handle, at the height where the hand pushes it.
        slider_half_width: half the width of that handle plus half the width of the closed hand.
        slider_axis: motion of the door for a metre of its joint.
        slider_range: largest value of the joint.
        button: top of the button.
        lever: tip of the switch's lever.
        lever_axis: motion of the lever for a metre of its joint.
        lever_range: largest value of the joint.
        table_height: height of the table top.
        table_low, table_high: corners (x, y) of the free area of the table.
        clear_height: height at which a closed hand passes over blocks and button.
        clear_y: largest y at which the hand may travel sideways without touching door or lever.
        drawer_range: largest value of the drawer's joint.
        base: where the robot stands (x, y).
    """

    drawer_gap: tuple[float, float, float]
    drawer_front: tuple[float, float, float]
    slider_handle: tuple[float, float, float]
    button: tuple[float, float, float]
    lever: tuple[float, float, float]
    drawer_axis: tuple[float, float, float] = (0.0, -1.0, 0.0)
    slider_axis: tuple[float, float, float] = (-1.0, 0.0, 0.0)
    lever_axis: tuple[float, float, float] = (0.0, 0.5, 0.866)
    slider_half_width: float = 0.042
    slider_range: float = 0.28
    drawer_range: float = 0.22
    lever_range: float = 0.088
    table_height: float = 0.46
    table_low: tuple[float, float] = (-0.02, -0.15)
    table_high: tuple[float, float] = (0.30, -0.04)
    clear_height: float = 0.56
    clear_y: float = -0.07
    base: tuple[float, float] = (-0.34, -0.46)

    def moved(self, point: str, axis: str, joint: float) -> np.ndarray:
        """(3,) where the named point is once its joint stands at `joint` metres."""
        return np.array(getattr(self, point)) + joint * np.array(getattr(self, axis))


CALVIN_D = SceneLayout(
    drawer_gap=(0.18, -0.22, 0.355),
    drawer_front=(0.18, -0.285, 0.36),
    slider_handle=(0.04, 0.010, 0.555),
    button=(-0.12, -0.12, 0.487),
    lever=(0.30, 0.0055, 0.527),
)

LAYOUTS: dict[str, SceneLayout] = {"D": CALVIN_D, "playtable": CALVIN_D}
