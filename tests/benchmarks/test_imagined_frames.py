"""The scripts of LAC-WM's roll-outs: image quality, and a table of a model that is right or stands still."""

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks" / "lac"))

import image_quality
import imagined_frames

from dreamgym.testing.points import PointConfig
from dreamgym.testing.two_robots import TwoRobotsModel


def test_quality_of_equal_and_of_shifted_frames():
    frames = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert (image_quality.ssim(frames, frames) > 0.9999).all()
    assert image_quality.psnr(frames, frames).min() >= 99
    assert image_quality.ssim(frames, frames.roll(3, -1)).max() < 0.2
    torch.testing.assert_close(
        image_quality.psnr(torch.zeros(1, 3, 4, 4), torch.full((1, 3, 4, 4), 0.1)), torch.tensor([20.0])
    )


def test_an_exact_model_beats_the_copy():
    model = TwoRobotsModel(PointConfig(history=1))
    actions = torch.zeros(2, 16, 3)
    actions[..., 0], actions[..., 2] = 1.0, -1.0
    place = torch.zeros(2, 16, 3)
    place[:, 1:, 0] = 0.02 * torch.arange(1, 16)
    drawn = model.decode(model.seen(place.flatten(0, 1)), ["rgb_static"])["rgb_static"].unflatten(0, (2, 16))
    batch = {"rgb_static": (drawn * 255).round().to(torch.uint8), "robot_obs": place, "action": actions}
    found = imagined_frames.measured(model, batch, 3)
    assert found["psnr"].shape == (3,)
    assert (found["psnr"] > found["copy_psnr"] + 5).all()
    assert found["copy_psnr"].diff().max() < 0
