"""Image metrics: what is equal, what is worse, and how far two sets of features lie apart."""

import sys

import pytest
import torch

pytest.importorskip("torchmetrics")

from dreamgym.evaluation.making.likeness import frechet, psnr, ssim


def test_a_tenth_everywhere_is_twenty_decibels_and_equal_images_are_sixty():
    black = torch.zeros(2, 3, 16, 16)
    torch.testing.assert_close(psnr(black, black + 0.1), torch.full((2,), 20.0))
    assert psnr(black, black).tolist() == [60.0, 60.0]


def test_a_shifted_image_is_less_alike():
    image = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    assert ssim(image, image).min() > 0.999 > ssim(image, image.roll(4, -1)).max()


def test_distances_tell_sets_of_features_apart():
    real = torch.randn(400, 6, generator=torch.Generator().manual_seed(0))
    assert abs(frechet(real, real)) < 1e-3
    assert frechet(real + 1, real) == pytest.approx(6.0, rel=1e-3)  # means 1 apart in each of six entries


def test_without_torchmetrics_the_pip_line_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchmetrics", None)
    with pytest.raises(ImportError, match=r'pip install "dreamgym\[bench\]"'):
        psnr(torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 8, 8))
