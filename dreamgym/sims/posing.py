"""Joint positions found from what an observation says: how a recorded or imagined state is drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import mujoco
import numpy as np

STEP = 1e-5  # of a finite difference, metres or radians
DAMPING = 1e-6
LONGEST = 0.5  # of one update, metres or radians


def solve_pose(
    model: Any,
    data: Any,
    dofs: Sequence[int],
    observe: Callable[[], np.ndarray],
    target: np.ndarray,
    iterations: int = 20,
    tolerance: float = 1e-4,
) -> float:
    """Moves some joints until the model looks as a target says: Levenberg-Marquardt on finite differences.

    Begins from the present pose, so that a film of neighbouring states takes one or two iterations a frame. Joint
    limits hold. Nothing is stepped, velocities stay.

    Args:
        model, data: MuJoCo's; ``data.qpos`` is changed, poses of bodies and sites with it.
        dofs: degrees of freedom that may move.
        observe: reads the observation [n] off ``data``.
        target: [n], what it should read; any finite numbers.
        iterations: at most.
        tolerance: stop where the norm of the remaining difference is below.

    Returns:
        The norm of what remains.
    """
    dofs = list(dofs)

    def read(qpos: np.ndarray) -> np.ndarray:
        data.qpos[:] = qpos
        mujoco.mj_kinematics(model, data)
        return np.array(observe(), np.float64)

    def moved(qpos: np.ndarray, change: np.ndarray) -> np.ndarray:
        out, velocity = qpos.copy(), np.zeros(model.nv)
        velocity[dofs] = change
        mujoco.mj_integratePos(model, out, velocity, 1.0)
        return out

    best, damping = data.qpos.copy(), DAMPING
    seen = read(best)
    left = float(np.linalg.norm(target - seen))
    jacobian = None
    for _ in range(iterations):
        if left <= tolerance or damping > 1:
            break
        if jacobian is None:
            jacobian = np.stack([(read(moved(best, STEP * row)) - seen) / STEP for row in np.eye(len(dofs))], 1)
        normal = jacobian.T @ jacobian + damping * np.eye(len(dofs))
        change = np.linalg.solve(normal, jacobian.T @ (target - seen))
        change = change * min(1.0, LONGEST / max(float(np.abs(change).max()), 1e-12))
        trial = _within_limits(model, moved(best, change))
        looks = read(trial)
        remains = float(np.linalg.norm(target - looks))
        if remains < left:
            best, seen, left, damping, jacobian = trial, looks, remains, max(damping / 10, DAMPING), None
        else:
            damping *= 30
    read(best)
    return left


def _within_limits(model: Any, qpos: np.ndarray) -> np.ndarray:
    limited = np.flatnonzero(model.jnt_limited)  # of hinges and slides, one entry each
    limited = limited[np.isin(model.jnt_type[limited], (mujoco.mjtJoint.mjJNT_HINGE, mujoco.mjtJoint.mjJNT_SLIDE))]
    at = model.jnt_qposadr[limited]
    qpos[at] = np.clip(qpos[at], model.jnt_range[limited, 0], model.jnt_range[limited, 1])
    return qpos


def rotation_of(columns: np.ndarray) -> np.ndarray:
    """The rotation matrix (3, 3) that is nearest, in order, to its first two columns (6,)."""
    first = columns[:3] / max(float(np.linalg.norm(columns[:3])), 1e-9)
    second = columns[3:] - (first @ columns[3:]) * first
    second = second / max(float(np.linalg.norm(second)), 1e-9)
    return np.stack([first, second, np.cross(first, second)], 1)
