"""Where things start: random block places, and furniture set so that a task can be done."""

from __future__ import annotations

import numpy as np

from dreamgym.sims.calvin.scenes import BLOCKS, Surface
from dreamgym.sims.calvin.simulation import Simulation
from dreamgym.sims.calvin.tasks import LIFT_TASKS

MAX_PLACEMENTS = 1000
SLIDER, DRAWER, BUTTON, SWITCH = range(4)


def sample_scene_obs(simulation: Simulation, task: str | None, rng: np.random.Generator) -> None:
    """Set furniture for ``task`` and drop the blocks at random places that do not touch.

    Raises:
        RuntimeError: no free places were found, which means the scene's surfaces are too small.
    """
    joints, lights = _furniture_for(task, simulation)
    simulation.table.reset(joints, lights)
    for _ in range(MAX_PLACEMENTS):
        for color in BLOCKS:
            surface = _surface_for(task, color, simulation, rng)
            yaw = rng.uniform(-np.pi, np.pi)
            simulation.set_block(
                color, rng.uniform(surface.low, surface.high), simulation.bullet.getQuaternionFromEuler([0, 0, yaw])
            )
        if not simulation.blocks_touch():
            if task == "unstack_block":
                _stack(simulation)
            return
    raise RuntimeError(f"could not place {len(BLOCKS)} blocks apart in {MAX_PLACEMENTS} tries: enlarge the surfaces")


def _furniture_for(task: str | None, simulation: Simulation) -> tuple[np.ndarray, tuple[bool, bool]]:
    """Return the four joints and both lights from which ``task`` can be done; closed and dark by default."""
    joints, upper = np.zeros(4), simulation.table.upper
    opens_drawer = task in ("close_drawer", "place_in_drawer", "push_into_drawer")
    if opens_drawer or (task in LIFT_TASKS and task.endswith("_drawer")):
        joints[DRAWER] = 0.95 * upper[DRAWER]
    if task == "move_slider_right":
        joints[SLIDER] = 0.95 * upper[SLIDER]
    if task == "turn_off_lightbulb":
        joints[SWITCH] = upper[SWITCH]
    return joints, (task == "turn_off_lightbulb", task == "turn_off_led")


def _surface_for(task: str | None, color: str, simulation: Simulation, rng: np.random.Generator) -> Surface:
    """Return the surface a block starts on: the one its lift task names, else any of the scene's."""
    surfaces = simulation.scene.surfaces
    if task in LIFT_TASKS and LIFT_TASKS[task][0] == color:
        link = LIFT_TASKS[task][2]
        if link == "base_link":
            return surfaces["table"]
        if link == "plank_link":
            return surfaces[("slider_left", "slider_right")[rng.integers(2)]]
        return _open_drawer(simulation)
    if task == "push_into_drawer" or (task is not None and task.startswith(("push_", "rotate_"))):
        return surfaces["table"]
    return surfaces[list(surfaces)[rng.integers(len(surfaces))]]


def _stack(simulation: Simulation) -> None:
    """Put the blue block, the smallest, on the pink one, the longest."""
    position, quaternion = simulation.block_pose("pink")
    simulation.set_block("blue", (position[0], position[1], position[2] + 0.042), quaternion)


def _open_drawer(simulation: Simulation) -> Surface:
    """Return the part of the open drawer that sticks out from under the table, with room for a block."""
    table = simulation.table
    low, high = simulation.bullet.getAABB(table.body, table.links["drawer_link"], physicsClientId=simulation.client)
    return Surface((low[0] + 0.1, low[1] + 0.15, high[2] - 0.03), (high[0] - 0.1, low[1] + 0.2, high[2] - 0.03))
