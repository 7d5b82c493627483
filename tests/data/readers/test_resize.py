"""Pictures made smaller by area averaging."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dreamgym.data.readers import resize_area


def test_halving_averages_four_pixels() -> None:
    image = np.random.default_rng(0).integers(0, 256, (3, 8, 6, 3), dtype=np.uint8)
    expected = image.reshape(3, 4, 2, 3, 2, 3).astype(float).mean(axis=(2, 4))
    assert np.abs(resize_area(image, 4, 3) - expected).max() <= 0.5


def test_fractions_of_pixels_count() -> None:
    image = np.array([0, 90, 240], np.uint8)[None, :, None].repeat(3, axis=-1)
    # 3 pixels to 2: the middle one lies half in each.
    assert resize_area(image, 1, 2)[0, :, 0].tolist() == [30, 190]


@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 20), st.integers(1, 20), st.integers(0, 255))
def test_a_flat_image_stays_flat(height: int, width: int, new_height: int, new_width: int, value: int) -> None:
    resized = resize_area(np.full((height, width, 3), value, np.uint8), new_height, new_width)
    assert resized.shape == (new_height, new_width, 3)
    assert (resized == value).all()


def test_the_same_size_is_untouched() -> None:
    image = np.zeros((2, 64, 64, 3), np.uint8)
    assert resize_area(image, 64, 64) is image
