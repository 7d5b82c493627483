"""The noise schedule is the one that everybody else calls by that name."""

import pytest
import torch
from dreamgym_agents.diffusion_ppo.noise import Posterior, betas


def test_the_cosine_schedule_is_that_of_diffusers():
    diffusers = pytest.importorskip("diffusers")
    theirs = diffusers.DDPMScheduler(num_train_timesteps=20, beta_schedule="squaredcos_cap_v2")
    torch.testing.assert_close(betas("squaredcos_cap_v2", 20).float(), theirs.betas)


def test_a_step_has_the_mean_and_variance_that_diffusers_gives_it():
    diffusers = pytest.importorskip("diffusers")
    theirs = diffusers.DDPMScheduler(
        num_train_timesteps=20, beta_schedule="squaredcos_cap_v2", clip_sample=True, variance_type="fixed_small"
    )
    ours, generator = Posterior("squaredcos_cap_v2", 20), torch.Generator().manual_seed(0)
    for k in (20, 11, 2, 1):
        x, noise = torch.randn(2, 5, 7, generator=generator)
        clean = ((x - ours.noise[k - 1] * noise) / ours.signal[k - 1]).clamp(-1, 1)
        mean = ours.from_clean[k - 1] * clean + ours.from_noisy[k - 1] * x
        drawn = theirs.step(noise, k - 1, x, generator=torch.Generator().manual_seed(1)).prev_sample
        unit = torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
        torch.testing.assert_close(mean + ours.std[k - 1] * unit, drawn, atol=1e-4, rtol=1e-4)


def test_other_schedules_come_from_diffusers():
    diffusers = pytest.importorskip("diffusers")
    theirs = diffusers.DDPMScheduler(num_train_timesteps=7, beta_schedule="linear")
    torch.testing.assert_close(betas("linear", 7).float(), theirs.betas)


def test_the_last_step_adds_no_noise_and_the_first_state_is_nearly_noise():
    posterior = Posterior("squaredcos_cap_v2", 20)
    assert posterior.std[0] == 0
    assert posterior.signal[-1] < 0.01
