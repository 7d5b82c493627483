"""Scales of observations and actions."""

import pytest
import torch
from dreamgym_agents.common.scale import Scale, Scaling


def test_constant_entries_are_refused_with_the_mend() -> None:
    x = torch.tensor([[1.0, 5.0], [2.0, 5.0]])
    with pytest.raises(ValueError, match=r"observation entries \[1\].*ignore"):
        Scale.of(x, "observation")
    assert Scale.of(x, "observation", "ignore").std.tolist() == [0.5, 0.0]


def test_noise_far_below_an_entrys_size_counts_as_constant() -> None:
    x = torch.tensor([[1000.0], [1000.01]])
    with pytest.raises(ValueError, match="never change"):
        Scale.of(x, "observation")


def test_a_scale_may_be_kept_from_being_too_fine():
    rows = torch.tensor([[0.0, 0.0, 5.0], [2.0, 0.002, 5.0]])
    scale = Scale.of(rows, "observation", "ignore").no_finer_than(torch.full((3,), 0.1))
    assert scale.std.tolist() == pytest.approx([1.0, 0.1, 0.0])


def test_scaled_and_back_again_and_constant_entries_stay():
    generator = torch.Generator().manual_seed(0)
    obs, action = torch.randn(50, 3, generator=generator) * 4 + 2, torch.randn(50, 2, generator=generator)
    action[:, 1] = 7.0
    scaling = Scaling(Scale.of(obs, "observation"), Scale.of(action, "action", "ignore"))
    seen = scaling.observe(obs)
    torch.testing.assert_close(seen.mean(0), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(seen.std(0, correction=0), torch.ones(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(scaling.action(scaling.scale_action(action)), action)
    assert (scaling.scale_action(action + 3)[:, 1] == 0).all()
    assert (scaling.action(torch.randn(9, 2, generator=generator))[:, 1] == 7.0).all()
    assert scaling.observe(torch.full((1, 3), 1e9)).tolist() == [[10.0] * 3]


def test_a_checksum_tells_scales_apart():
    one, other = Scaling.identity(2, 1), Scaling.identity(2, 1)
    assert one.checksum() == other.checksum()
    other.obs_std[1] = 2.0
    assert one.checksum() != other.checksum()
