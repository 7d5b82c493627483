"""How alike made and real images are, by torchmetrics (the extra "bench")."""

from __future__ import annotations

from types import ModuleType

from torch import Tensor, nn

MOST_DB = 60.0
"""Of images that are equal: beyond what 8 bits can show."""


def torchmetrics() -> ModuleType:
    """The package torchmetrics, imported when it is first needed.

    Raises:
        ImportError: it is not installed.
    """
    try:
        import torchmetrics as module
        import torchmetrics.functional.image
        import torchmetrics.image.fid
    except ImportError as error:
        raise ImportError('image metrics need torchmetrics: pip install "dreamgym[bench]"') from error
    return module


def psnr(made: Tensor, real: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in decibels [N] of images [N, C, H, W] in [0, 1], at most `MOST_DB`."""
    measure = torchmetrics().functional.image.peak_signal_noise_ratio
    found: Tensor = measure(made, real, data_range=1.0, dim=(1, 2, 3), reduction="none")
    return found.clamp(max=MOST_DB)


def ssim(made: Tensor, real: Tensor) -> Tensor:
    """Structural similarity [N] of images [N, C, H, W] in [0, 1]."""
    measure = torchmetrics().functional.image.structural_similarity_index_measure
    found: Tensor = measure(made, real, data_range=1.0, reduction="none")
    return found


def frechet(made: Tensor, real: Tensor) -> float:
    """Fréchet distance of the Gaussians of two sets of features [N, Z], of any network."""
    distance = torchmetrics().image.fid.FrechetInceptionDistance(_Given(real.shape[1]))
    distance.update(real, real=True)
    distance.update(made, real=False)
    return float(distance.compute())


class _Given(nn.Identity):
    """Stands where torchmetrics expects a network: the features are computed before."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features
