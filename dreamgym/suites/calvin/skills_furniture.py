"""Skills for the drawer, the sliding door, the switch and the button: DiWA's eight tasks, a few waypoints each."""

from __future__ import annotations

import numpy as np

from dreamgym.suites.calvin.skills_engine import CLOSE, OPEN, Plan, Style, View, Waypoint


def approach(view: View, goal: np.ndarray, gripper: float = CLOSE, exact: bool = True) -> Plan:
    """Travel to `goal` without touching anything: out and up, across at a clear height and distance, then in."""
    layout, tcp = view.layout, view.tcp
    height = max(layout.clear_height, goal[2])
    across = np.array([goal[0], min(goal[1], layout.clear_y), height])
    if np.linalg.norm((across - tcp)[:2]) > 0.05:
        out = np.array([tcp[0], min(tcp[1], layout.clear_y), height])
        if np.linalg.norm(out - tcp) > 0.04:
            yield Waypoint(out, gripper, tolerance=0.05, patience=3)
        yield Waypoint(across, gripper, tolerance=0.04, patience=6)
    yield Waypoint(goal, gripper, tolerance=0.014 if exact else 0.03, patience=10)


def open_drawer(view: View, rng: np.random.Generator, style: Style) -> Plan:
    """Hook the closed hand behind the bar and pull."""
    layout, miss = view.layout, np.array(style.miss)
    side = np.array([rng.uniform(-0.06, 0.05), 0.0, 0.0])
    gap = layout.moved("drawer_gap", "drawer_axis", view.drawer) + side + miss
    yield from approach(view, gap + [0, 0, 0.06], exact=False)
    yield Waypoint(gap, patience=10)
    wanted = min(view.drawer + rng.uniform(0.15, 0.19), layout.drawer_range)
    pull = gap + (wanted - view.drawer + 0.03) * np.array(layout.drawer_axis)
    yield Waypoint(pull, patience=10, until=lambda v: v.drawer >= wanted - 0.004)


def close_drawer(view: View, rng: np.random.Generator, style: Style) -> Plan:
    """Push from in front of the bar, or, hooked behind it, against the drawer's face."""
    layout, miss = view.layout, np.array(style.miss)
    point = "drawer_gap" if rng.random() < 0.5 else "drawer_front"
    side = np.array([rng.uniform(-0.06, 0.05), 0.0, 0.0])
    contact = layout.moved(point, "drawer_axis", view.drawer) + side + miss
    yield from approach(view, contact + [0, 0, 0.06], exact=False)
    yield Waypoint(contact, tolerance=0.02, patience=6)
    push = contact - (view.drawer + 0.04) * np.array(layout.drawer_axis)
    yield Waypoint(push, patience=10, until=lambda v: v.drawer < 0.01)


def _move_slider(view: View, rng: np.random.Generator, style: Style, left: bool) -> Plan:
    layout, miss = view.layout, np.array(style.miss)
    axis = np.array(layout.slider_axis)
    handle = layout.moved("slider_handle", "slider_axis", view.slider) + [0, 0, rng.uniform(-0.015, 0.02)] + miss
    straddle = rng.random() < 0.4
    sign = 1.0 if left else -1.0
    wanted = float(np.clip(view.slider + sign * rng.uniform(0.18, 0.28), 0.0, layout.slider_range))
    if straddle:
        start, gripper = handle, OPEN
        before = handle + [0, -0.075, 0]
        yield from approach(view, before, OPEN)
        # The fingers pass the bar with 1.5 cm to spare on either side: line up first.
        yield Waypoint(before, OPEN, tolerance=0.007, patience=6)
        yield Waypoint(handle, OPEN, tolerance=0.02)
    else:
        start, gripper = handle - sign * axis * (layout.slider_half_width + 0.02), CLOSE
        yield from approach(view, start, CLOSE, exact=False)
    push = start + (wanted - view.slider + sign * 0.05) * axis
    yield Waypoint(push, gripper, patience=10, until=lambda v: sign * (v.slider - wanted) > -0.008)


def move_slider_left(view: View, rng: np.random.Generator, style: Style) -> Plan:
    """Push the door's handle from its right, or straddle it with open fingers, and go left."""
    return _move_slider(view, rng, style, True)


def move_slider_right(view: View, rng: np.random.Generator, style: Style) -> Plan:
    """Push the door's handle from its left, or straddle it with open fingers, and go right."""
    return _move_slider(view, rng, style, False)


def turn_on_lightbulb(view: View, rng: np.random.Generator, style: Style) -> Plan:
    """Push the lever up its slope from below its tip."""
    layout, miss = view.layout, np.array(style.miss)
    side = np.array([rng.uniform(-0.02, 0.01), 0.0, 0.0])
    axis = np.array(layout.lever_axis)
    tip = layout.moved("lever", "lever_axis", view.switch) + side + miss
    below = tip + [0, -0.03, -0.035]
    yield from approach(view, below, exact=False)
    rest = layout.lever_range - view.switch
    yield Waypoint(below + [0, 0.03, 0.0], patience=3, tolerance=0.02, until=lambda v: v.bulb)
    yield Waypoint(below + [0, 0.03, 0.0] + (rest + 0.02) * axis, patience=14, until=lambda v: v.switch > 0.07)
    yield Waypoint(view.tcp + [0, -0.06, 0.0], tolerance=0.03, patience=2)


def turn_off_lightbulb(view: View, rng: np.random.Generator, style: Style) -> Plan:
    """Push the lever down its slope from above."""
    layout, miss = view.layout, np.array(style.miss)
    # Behind the tip: a hand that comes down in front of it passes the lever by.
    onto = np.array([rng.uniform(-0.015, 0.01), rng.uniform(0.012, 0.024), 0.0])
    axis = np.array(layout.lever_axis)
    spot = layout.moved("lever", "lever_axis", view.switch) + onto + miss
    yield from approach(view, spot + [0, 0, 0.05])
    down = spot + [0, 0, 0.03] - (view.switch + 0.03) * axis
    yield Waypoint(down, patience=14, until=lambda v: v.switch < 0.015)
    yield Waypoint(view.tcp + [0, -0.04, 0.04], tolerance=0.03, patience=2)


def press_button(view: View, rng: np.random.Generator, style: Style) -> Plan:
    """Press the button once, which toggles the LED, and come up again."""
    layout, miss = view.layout, np.array(style.miss)
    side = np.array([*rng.uniform(-0.012, 0.012, 2), 0.0])
    top = np.array(layout.button) + side + miss
    before = view.led
    yield from approach(view, top + [0, 0, 0.06], exact=False)
    yield Waypoint(top + [0, 0, -0.02], patience=10, until=lambda v: v.led != before)
    yield Waypoint(top + [0, 0, 0.07], patience=2, tolerance=0.03)
