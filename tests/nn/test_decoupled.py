"""Decoupled diffusion: forward and reverse agree with each other and with the paper's equations."""

import pytest
import torch

from dreamgym.nn.decoupled import attenuate, posterior, sample


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_forward_process_is_clean_at_0_and_noise_at_1() -> None:
    clean, noise = draw(2, 3), draw(2, 3, seed=1)
    at = attenuate(clean, torch.tensor([0.0, 1.0], dtype=torch.float64), noise)
    assert torch.equal(at[0], clean[0]) and torch.equal(at[1], noise[1])


@pytest.mark.parametrize("steps", [1, 2, 4, 10, 30])
def test_with_the_truth_the_reverse_chain_returns_the_clean_value(steps: int) -> None:
    clean = draw(4, 5)

    def denoise(values, n):  # eta that belongs to the present value
        level = n.view(-1, 1)
        return [(clean, (values[0] - (1 - level) * clean) / level.sqrt())]

    generator = torch.Generator().manual_seed(2)
    (out,) = sample(denoise, [draw(4, 5, seed=1)], steps, generator)
    assert torch.allclose(out, clean, atol=1e-12)


@pytest.mark.parametrize(("n", "step"), [(1.0, 0.5), (0.5, 0.1), (0.3, 0.3)])
def test_the_posterior_leads_to_the_forward_marginal(n: float, step: float) -> None:
    """If z_n follows equation 3, what equation 4 draws follows equation 3 at n - step: same mean, same variance."""
    count, clean = 400_000, 0.7
    noise = draw(count)
    noisy = attenuate(
        torch.full((count,), clean, dtype=torch.float64), torch.full((count,), n, dtype=torch.float64), noise
    )
    mean, variance = posterior(noisy, n, step, torch.tensor(clean), noise)
    assert variance == pytest.approx(step * (n - step) / n)
    drawn = mean + variance**0.5 * draw(count, seed=1)
    assert float(drawn.mean()) == pytest.approx((1 - n + step) * clean, abs=5e-3)
    assert float(drawn.var()) == pytest.approx(n - step, abs=5e-3)
