"""Episodes from which recipes make their examples."""

from __future__ import annotations

import numpy as np


def moving_dot(rng: np.random.Generator, steps: int = 20) -> dict[str, np.ndarray]:
    """An episode of a dot that actions move, as a store holds it.

    Args:
        rng: draws the actions.
        steps: rows T.

    Returns:
        "rgb" uint8 [T, 16, 16, 3], "place" float32 [T, 2] in [-1, 1], "action" float32 [T, 2] in [-1, 1].
    """
    action = rng.uniform(-1, 1, (steps, 2)).astype(np.float32)
    place = np.clip(np.cumsum(np.concatenate([np.zeros((1, 2)), 0.2 * action[:-1]]), 0), -1, 1).astype(np.float32)
    image = np.zeros((steps, 16, 16, 3), np.uint8)
    row, column = ((place + 1) / 2 * 15).astype(int).T
    image[np.arange(steps), row, column] = 255
    return {"rgb": image, "place": place, "action": action}
