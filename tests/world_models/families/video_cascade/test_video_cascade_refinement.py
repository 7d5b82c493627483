"""The flow of the refinement: equations 2 to 5 and A.3 to A.9 of DVG-WM."""

import pytest
import torch
from torch import Tensor

from dreamgym.world_models.families.video_cascade.refinement import degrade, euler, flow_loss, on_path, upsample


def pair(seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    source, target = torch.randn((2, 3, 5, 4, 8, 8), generator=generator)
    return source, target


@pytest.mark.parametrize("steps", [1, 2, 4, 8])
def test_with_the_true_velocity_the_flow_ends_at_the_target(steps: int) -> None:
    source, target = pair()
    times = []

    def true(latents: Tensor, time: Tensor) -> Tensor:
        here, velocity = on_path(source, target, time)
        torch.testing.assert_close(latents, here)
        times.append(float(time[0]))
        return velocity

    torch.testing.assert_close(euler(true, source, steps), target)
    assert times == [i / steps for i in range(steps)]


def test_one_step_gives_the_target_exactly() -> None:
    source, target = (x.double() for x in pair())
    assert torch.equal(euler(lambda z, t: target - z, source, 1), target)


def test_the_path_begins_at_the_source_and_ends_at_the_target() -> None:
    source, target = pair()
    assert torch.equal(on_path(source, target, torch.zeros(3))[0], source)
    assert torch.equal(on_path(source, target, torch.ones(3))[0], target)


@pytest.mark.parametrize("strength", [0.0, 0.2, 0.6, 0.95])
def test_degradation_keeps_the_scale(strength: float) -> None:
    latents = torch.randn((4, 5, 8, 16, 16), generator=torch.Generator().manual_seed(1))
    out = degrade(latents, torch.full((4,), strength), torch.Generator().manual_seed(2))
    assert out.std() == pytest.approx(1.0, abs=0.02)
    kept = (out * latents).mean() / latents.square().mean()
    assert kept == pytest.approx((1 - strength**2) ** 0.5, abs=0.02)


def test_no_degradation_changes_nothing() -> None:
    source, _ = pair()
    assert torch.equal(degrade(source, torch.zeros(3), None), source)


def test_the_strength_is_each_clips_own() -> None:
    source, _ = pair()
    out = degrade(source, torch.tensor([0.0, 0.5, 0.0]), torch.Generator().manual_seed(0))
    assert [torch.equal(a, b) for a, b in zip(out, source, strict=True)] == [True, False, True]


def test_the_loss_of_the_true_velocity_is_nought_and_of_none_its_square() -> None:
    source, target = pair()
    assert flow_loss(lambda z, t: target - source, source, target, None).max() == 0
    still = flow_loss(lambda z, t: torch.zeros_like(z), source, target, None)
    torch.testing.assert_close(still, (target - source).square().flatten(1).mean(1))


def test_upsampling_is_linear() -> None:
    ramp = torch.arange(4.0).view(1, 1, 1, 1, 4).expand(1, 2, 3, 4, 4)
    grown = upsample(ramp, (8, 8))
    assert grown.shape == (1, 2, 3, 8, 8)
    torch.testing.assert_close(grown[0, 0, 0, 0, 1:-1].diff(), torch.full((5,), 0.5))


def test_a_flow_of_no_steps_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 step, got 0"):
        euler(lambda z, t: z, pair()[0], 0)
