"""Pictures made smaller by area averaging."""

from __future__ import annotations

import numpy as np


def resize_area(images: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize by area averaging (DiWA S.4): each new pixel is the mean of the area that it covers, fractions included.

    Args:
        images: uint8 [..., H, W, C].
        height: New height.
        width: New width; where its ratio is another one, the picture is squeezed.

    Returns:
        uint8 [..., height, width, C].
    """
    if images.shape[-3:-1] == (height, width):
        return images
    rows, columns = _area_weights(images.shape[-3], height), _area_weights(images.shape[-2], width)
    out = np.empty((*images.shape[:-3], height, width, images.shape[-1]), np.uint8)
    for index in np.ndindex(images.shape[:-3]):  # image by image: floats of a whole episode would be gigabytes
        squeezed = np.tensordot(rows, images[index].astype(np.float32), axes=(1, 0))
        out[index] = np.rint(np.tensordot(columns, squeezed, axes=(1, 1)).swapaxes(0, 1))
    return out


def _area_weights(old: int, new: int) -> np.ndarray:
    """float32 [new, old]: how much of each old pixel lies in each new one; rows sum to 1."""
    edges = np.arange(new + 1) * (old / new)
    pixels = np.arange(old)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return (overlap.clip(min=0) * (new / old)).astype(np.float32)
