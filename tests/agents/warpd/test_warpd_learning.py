"""What WARPD has to be able to learn."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from dreamgym_agents.warpd import WARPD, Demonstrations, DenoiserConfig, DenoisingConfig, PlanningPolicy, train
from dreamgym_agents.warpd.config import TrainConfig
from dreamgym_agents.warpd.diffusion import Diffusion
from warpd_points import GOALS, LinearDynamics, make_config, make_demonstrations, towards, walk


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> WARPD:
    demos = make_demonstrations(each=32)
    schedule = TrainConfig(vae_epochs=300, diffusion_epochs=300, batch_size=64, vae_lr=5e-3, lr=5e-3)
    config = make_config(train=schedule, condition="state+task")
    agent = WARPD.for_demonstrations(config, demos, dynamics=LinearDynamics(gain=0.0))
    return train(agent, demos, tmp_path_factory.mktemp("run"), show=False)


def fresh_walks(num: int = 6) -> Demonstrations:
    generator = torch.Generator().manual_seed(7)
    tasks = ["left", "right"] * num
    return Demonstrations.from_episodes([walk(t, 8, generator) for t in tasks], tasks)


def test_the_vae_gives_back_both_behaviours_also_where_it_saw_no_step(trained: WARPD) -> None:
    demos = fresh_walks()
    obs, action = demos.whole()
    theta = trained.vae.decode(trained.vae.encode(obs, action)[0])
    elsewhere = torch.rand(len(demos), 20, 2, generator=torch.Generator().manual_seed(1)) * 1.6 - 0.8
    acted = trained.vae.act(theta, elsewhere)
    for task, name in enumerate(demos.tasks):
        other = demos.tasks[1 - task]
        rows = demos.task == task
        own = (acted[rows] - towards(name, elsewhere[rows])).norm(dim=-1).mean()
        others = (acted[rows] - towards(other, elsewhere[rows])).norm(dim=-1).mean()
        assert own < 0.35 * others, (name, own, others)


def test_the_vae_tells_the_behaviours_apart(trained: WARPD) -> None:
    demos = fresh_walks()
    z = trained.vae.encode(*demos.whole())[0]
    centres = torch.stack([z[demos.task == task].mean(0) for task in range(2)])
    assert torch.equal(torch.cdist(z, centres).argmin(1), demos.task)


def test_the_world_model_was_trained_along(trained: WARPD) -> None:
    assert abs(trained.dynamics.gain.item() - 0.1) < 0.02  # type: ignore[union-attr]


def test_policies_generated_for_a_task_reach_its_goal(trained: WARPD) -> None:
    generator = torch.Generator().manual_seed(3)
    for task, goal in GOALS.items():
        policy = PlanningPolicy(trained, task, horizon=8)
        carry, position = policy.start(16, generator), torch.rand(16, 2, generator=generator) - 0.5
        for step in range(40):
            action, carry = policy.act(position, carry, torch.full((16,), step == 0), generator)
            position = position + 0.1 * action
        assert (position - goal).norm(dim=1).median() < 0.35


def test_diffusion_recovers_two_modes_and_obeys_its_condition() -> None:
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    config = DenoisingConfig(DenoiserConfig(step_embed=16, channels=(16, 16), kernel=3), 1, 20, 20)
    diffusion = Diffusion(channels=1, length=4, condition=3, config=config)
    # Condition 0: the upper mode; 1: the lower; 2: either.
    told = torch.arange(3).repeat(64)
    sign = torch.where(told == 2, torch.rand(len(told), generator=generator).round() * 2 - 1, 1.0 - 2.0 * told)
    x = 3.0 * sign[:, None, None] + 0.2 * torch.randn(len(told), 4, 1, generator=generator)
    diffusion.fit_range(x)
    optimizer = torch.optim.Adam(diffusion.parameters(), lr=3e-3)
    for _ in range(300):
        optimizer.zero_grad()
        diffusion.loss(x, F.one_hot(told, 3).float(), generator).backward()
        optimizer.step()
    means = diffusion.sample(F.one_hot(told, 3).float(), generator).mean((1, 2))
    assert (means.abs() - 3).abs().quantile(0.9) < 0.5
    assert (means[told == 0] > 0).float().mean() > 0.95
    assert (means[told == 1] < 0).float().mean() > 0.95
    assert 0.25 < (means[told == 2] > 0).float().mean() < 0.75


@pytest.mark.parametrize("steps", [1, 3, 6])
def test_sampling_takes_as_many_denoising_steps_as_it_is_told(config, steps: int) -> None:
    torch.manual_seed(0)
    diffusion, levels = Diffusion(2, 4, 3, replace(config().diffusion, inference_steps=steps)), []
    diffusion.denoiser.register_forward_pre_hook(lambda _, args: levels.append(int(args[1].flatten()[0])))
    out = diffusion.sample(torch.zeros(5, 3), torch.Generator().manual_seed(0))
    assert len(levels) == steps
    assert levels == sorted(levels, reverse=True)
    assert levels[-1] == 0
    assert (out[0] - out[1]).abs().max() > 1e-3  # each row from noise of its own
