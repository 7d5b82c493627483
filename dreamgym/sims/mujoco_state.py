"""The physics state of a MuJoCo model as a vector."""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

import numpy as np

if sys.platform.startswith("linux"):
    # At its import it tells of an optional part.
    logging.getLogger("OpenGL.acceleratesupport").setLevel(logging.WARNING)
    if not os.environ.get("DISPLAY"):
        os.environ.setdefault("MUJOCO_GL", "egl")  # read at the first import of mujoco; needs no GPU

import mujoco

# What decides how the physics goes on. Not the whole mjSTATE_INTEGRATION: the rest are forces that nobody applies.
PHYSICS = (
    mujoco.mjtState.mjSTATE_FULLPHYSICS
    | mujoco.mjtState.mjSTATE_WARMSTART
    | mujoco.mjtState.mjSTATE_CTRL
    | mujoco.mjtState.mjSTATE_EQ_ACTIVE
    | mujoco.mjtState.mjSTATE_MOCAP_POS
    | mujoco.mjtState.mjSTATE_MOCAP_QUAT
)


def physics_size(model: Any) -> int:
    """Entries of `dump_physics`."""
    return int(mujoco.mj_stateSize(model, int(PHYSICS)))


def dump_physics(model: Any, data: Any) -> np.ndarray:
    """The physics state, float64 [physics_size]."""
    out = np.empty(physics_size(model))
    mujoco.mj_getState(model, data, out, int(PHYSICS))
    return out


def load_physics(model: Any, data: Any, state: np.ndarray) -> None:
    """Sets the physics state and everything that follows from it."""
    mujoco.mj_setState(model, data, state, int(PHYSICS))
    mujoco.mj_forward(model, data)
    # The solver's warm start was overwritten just now; with it back, stepping goes on to the last bit.
    mujoco.mj_setState(model, data, state, int(PHYSICS))


def refresh_poses(model: Any, data: Any) -> None:
    """Brings the poses of bodies and sites up to the joints, which a step leaves one substep ahead of them."""
    mujoco.mj_kinematics(model, data)
