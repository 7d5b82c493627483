"""Equation 5, part by part."""

from collections.abc import Callable

import pytest
import torch
from dreamgym_agents.warpd import WARPD, Demonstrations, WARPDConfig, WorldModelDynamics
from dreamgym_agents.warpd.dynamics import Dynamics, rollout_loss, windows
from dreamgym_agents.warpd.vae import kl_to_standard_normal
from torch import Tensor

from dreamgym.testing import PointMassModel
from dreamgym.types import ActionSpec, ObservationSpec, WorldModelSpec
from dreamgym.world_models.families.mlp import MLPConfig, MLPWorldModel

Make = Callable[..., Dynamics]
Configure = Callable[..., WARPDConfig]


def batch_of(demonstrations: Demonstrations) -> dict[str, Tensor]:
    return next(demonstrations.epoch(8, 16, torch.Generator().manual_seed(0)))


def test_the_kl_is_twice_that_of_the_distributions() -> None:
    mean, log_std = torch.randn(3, 5), torch.randn(3, 5)
    normal = torch.distributions.Normal
    expected = torch.distributions.kl_divergence(normal(mean, log_std.exp()), normal(0, 1)).sum(-1)
    torch.testing.assert_close(kl_to_standard_normal(mean, log_std), 2 * expected)


@pytest.mark.parametrize("history", [1, 3])
def test_one_step_is_the_kl_of_equation_12(dynamics: Make, history: int) -> None:
    obs, action, taken = torch.randn(4, 9, 2), torch.randn(4, 9, 2), torch.randn(4, 9, 2)
    model = dynamics(gain=0.1, std=0.5, history=history)
    loss = rollout_loss(model, lambda x: taken[:, history - 1 : history - 1 + x.shape[1]], obs, action)
    normal = torch.distributions.Normal
    p, q = normal(obs + 0.1 * taken, 0.5), normal(obs + 0.1 * action, 0.5)
    expected = torch.distributions.kl_divergence(p, q)[:, history - 1 : -1].sum() / 4  # t = 2 to T
    torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize("steps", [1, 4])
def test_the_demonstrator_itself_loses_nothing(dynamics: Make, demonstrations: Demonstrations, steps: int) -> None:
    rows = demonstrations.task == 0  # one policy: towards the left goal
    obs, action = (x[rows] for x in demonstrations.whole())
    loss = rollout_loss(dynamics(), lambda x: torch.tensor([-1.0, 0.0]) - x, obs, action, steps)
    assert loss < 1e-8


def test_more_steps_charge_for_where_the_policy_ends_up(dynamics: Make) -> None:
    obs = torch.zeros(1, 12, 2)
    action = torch.zeros(1, 12, 2)
    losses = [rollout_loss(dynamics(), lambda x: x + 1.0, obs, action, steps).item() / (12 - steps) for steps in (1, 6)]
    assert losses[1] > 5 * losses[0]


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("history", [1, 2])
def test_actions_that_are_known_already_need_not_be_taken_again(dynamics: Make, history: int, steps: int) -> None:
    obs, action, model = torch.randn(4, 9, 2), torch.randn(4, 9, 2), dynamics(gain=0.1, std=0.5, history=history)
    calls: list[int] = []

    def act(x: Tensor) -> Tensor:
        calls.append(x.shape[1])
        return 1.0 - 2.0 * x

    known = rollout_loss(model, act, obs, action, steps, acted=1.0 - 2.0 * obs)
    assert len(calls) == steps - 1
    torch.testing.assert_close(known, rollout_loss(model, act, obs, action, steps))


def test_the_rollout_loss_reaches_the_decoder_and_not_the_world_model(
    dynamics: Make, demonstrations: Demonstrations, config: Configure
) -> None:
    agent = WARPD.for_demonstrations(config(), demonstrations)
    batch, model = batch_of(demonstrations), dynamics()
    mean, _ = agent.vae.encode(batch["obs"], batch["action"])
    theta = agent.vae.decode(mean)
    rollout_loss(model, lambda x: agent.vae.act(theta, x), batch["obs"], batch["action"], 3).backward()
    for parameter in [*agent.vae.decoder.parameters(), *agent.vae.encoder.parameters()]:
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()
    assert agent.vae.decoder.head.weight.grad.abs().sum() > 0
    assert model.gain.grad is None  # type: ignore[union-attr]
    assert model.gain.requires_grad  # type: ignore[union-attr]


def test_constant_entries_give_no_nan(dynamics: Make, demonstrations: Demonstrations, config: Configure) -> None:
    demonstrations.obs[:, 1] = 0.0
    demonstrations.action[:, 0] = 1.0
    agent = WARPD.for_demonstrations(config(), demonstrations, constant="ignore")
    losses = agent.vae.loss(batch_of(demonstrations), None, dynamics(), rollout=True)
    losses["loss"].backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in agent.vae.parameters())
    policy = agent.generate(torch.zeros(2, 2), "left", torch.Generator().manual_seed(0))
    assert (policy(torch.randn(2, 2))[:, 0] == 1.0).all()


def test_teacher_forcing_trains_the_world_model_alone(
    dynamics: Make, demonstrations: Demonstrations, config: Configure
) -> None:
    agent, model = WARPD.for_demonstrations(config(), demonstrations), dynamics(gain=0.05)
    agent.vae.loss(batch_of(demonstrations), None, model)["teacher_forcing"].backward()
    assert model.gain.grad < 0  # type: ignore[union-attr, operator]  # too small a gain must grow
    assert all(p.grad is None for p in agent.vae.parameters())


def test_the_loss_is_the_sum_of_its_parts(dynamics: Make, demonstrations: Demonstrations, config: Configure) -> None:
    agent = WARPD.for_demonstrations(config(), demonstrations)
    parts = agent.vae.loss(batch_of(demonstrations), torch.Generator().manual_seed(0), dynamics(), rollout=True)
    expected = parts["bc"] + parts["rollout"] + parts["teacher_forcing"] + 1e-6 * parts["kl"]
    torch.testing.assert_close(parts["loss"], expected)


def test_the_rollout_loss_joins_after_its_epochs(
    dynamics: Make, demonstrations: Demonstrations, config: Configure
) -> None:
    agent = WARPD.for_demonstrations(config(), demonstrations, dynamics=dynamics())
    loss = agent.stages()[0].loss
    generator = torch.Generator().manual_seed(0)
    assert "rollout" not in loss(batch_of(demonstrations), generator, 0)
    assert "rollout" in loss(batch_of(demonstrations), generator, 1)


def test_without_a_world_model_there_are_two_parts(demonstrations: Demonstrations, config: Configure) -> None:
    agent = WARPD.for_demonstrations(config().without_world_model(), demonstrations)
    parts = agent.stages()[0].loss(batch_of(demonstrations), torch.Generator(), 99)
    assert set(parts) == {"loss", "bc", "kl"}


def test_training_with_a_world_model_needs_one(demonstrations: Demonstrations, config: Configure) -> None:
    with pytest.raises(ValueError, match="without_world_model"):
        WARPD.for_demonstrations(config(), demonstrations).stages()


def test_windows_are_in_order() -> None:
    obs = torch.arange(10.0).view(2, 5, 1)
    cut, _ = windows(obs, obs, 3)
    assert cut.shape == (6, 3, 1)
    assert cut[1, :, 0].tolist() == [1, 2, 3]
    assert cut[3, :, 0].tolist() == [5, 6, 7]


def test_snippets_too_short_for_the_steps_are_refused(dynamics: Make) -> None:
    with pytest.raises(ValueError, match="do not fit"):
        rollout_loss(dynamics(), lambda x: x, torch.zeros(1, 4, 2), torch.zeros(1, 4, 2), 4)


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("history", [1, 2])
def test_what_was_not_recorded_neither_teaches_nor_judges_the_world(dynamics: Make, history: int, steps: int) -> None:
    obs, action, model = torch.randn(3, 9, 2), torch.randn(3, 9, 2), dynamics(gain=0.1, std=0.5, history=history)
    recorded = torch.ones(3, 9, dtype=torch.bool)
    recorded[:, 6:] = False
    obs[:, 6:], action[:, 6:] = obs[:, 5:6], action[:, 5:6]

    def act(x: Tensor) -> Tensor:
        return -x

    forced = model.teacher_forcing(obs, action, recorded)
    assert torch.allclose(forced, model.teacher_forcing(obs[:, :6], action[:, :6]))
    assert not torch.allclose(forced, model.teacher_forcing(obs, action))
    rolled = rollout_loss(model, act, obs, action, steps, None, recorded)
    assert torch.allclose(rolled, rollout_loss(model, act, obs[:, :6], action[:, :6], steps))
    assert not torch.allclose(rolled, rollout_loss(model, act, obs, action, steps))


def test_repeated_rows_do_not_reach_an_mlp_world_model(demonstrations: Demonstrations) -> None:
    model = MLPWorldModel(MLPConfig.tiny(2, ActionSpec((-3.0,) * 2, (3.0,) * 2), hidden=(16,), ensemble=2, unroll=1))
    dynamics, padded = WorldModelDynamics(model), demonstrations.padded(20)
    dynamics.prepare(demonstrations)
    deviation = dynamics.std.clone()
    dynamics.prepare(padded)
    assert torch.equal(dynamics.std, deviation)  # nothing was seen to stand still
    batch = next(padded.epoch(20, 16, torch.Generator().manual_seed(0)))
    short = {k: v[:, :12] for k, v in batch.items() if k != "task"}
    assert short["recorded"].all() and not batch["recorded"][:, 12:].any()
    found = dynamics.teacher_forcing(batch["obs"], batch["action"], batch["recorded"])
    torch.testing.assert_close(found, dynamics.teacher_forcing(short["obs"], short["action"], short["recorded"]))


def test_the_mlp_world_model_serves(demonstrations: Demonstrations, config: Configure) -> None:
    model = MLPWorldModel(MLPConfig.tiny(2, ActionSpec((-3.0,) * 2, (3.0,) * 2), hidden=(16,), ensemble=2, unroll=1))
    dynamics = WorldModelDynamics(model)
    dynamics.prepare(demonstrations)
    changes = demonstrations.obs[1:12] - demonstrations.obs[:11]
    assert (model.scaling.delta_std > 0.1 * changes.abs().mean(0)).all()
    agent = WARPD.for_demonstrations(config(), demonstrations, dynamics=dynamics)
    agent.vae.loss(batch_of(demonstrations), None, dynamics, rollout=True)["loss"].backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in dynamics.parameters())
    assert all(p.grad is not None and p.grad.isfinite().all() for p in agent.vae.parameters())


class Drift(torch.nn.Module):
    """A predictor of no registered family: the next observation is where the action goes, plus a learned drift."""

    family = "drift"

    def __init__(self, sensors: tuple[str, ...] = ("place",)) -> None:
        super().__init__()
        self.drift = torch.nn.Parameter(torch.zeros(2))
        self.register_buffer("obs_std", torch.ones(2))
        observations = {name: ObservationSpec("vector", (2,)) for name in sensors}
        action = ActionSpec((-3.0,) * 2, (3.0,) * 2)
        self.spec = WorldModelSpec("drift", observations, action, feature_shape=(2,), decodable=())

    @property
    def std(self) -> Tensor:
        return 0.5 * self.obs_std

    def next_observation(self, obs: Tensor, action: Tensor) -> Tensor:
        return obs[..., -1, :] + 0.1 * action[..., -1, :] + self.drift

    def fit_statistics(self, obs: Tensor, delta: Tensor) -> None:
        self.obs_std.copy_(obs.std(0))

    def loss(self, batch: dict[str, Tensor], generator: torch.Generator | None = None) -> dict[str, Tensor]:
        ahead = self.next_observation(batch["place"].unsqueeze(2), batch["action"].unsqueeze(2))[:, :-1]
        return {"loss": (ahead - batch["place"][:, 1:]).square().mean()}


def test_any_family_that_predicts_an_observation_serves(demonstrations: Demonstrations, config: Configure) -> None:
    dynamics = WorldModelDynamics(Drift())
    agent = WARPD.for_demonstrations(config(), demonstrations, dynamics=dynamics)
    dynamics.check(2, 2)
    dynamics.prepare(demonstrations)
    torch.testing.assert_close(dynamics.std, 0.5 * demonstrations.obs.std(0))
    agent.vae.loss(batch_of(demonstrations), None, dynamics, rollout=True)["loss"].backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in dynamics.parameters())


@pytest.mark.parametrize(("model", "family"), [(PointMassModel(), "point_mass"), (Drift(("place", "speed")), "drift")])
def test_a_world_model_that_predicts_no_single_observation_is_refused(model: torch.nn.Module, family: str) -> None:
    with pytest.raises(ValueError, match=rf"next observation of one vector sensor .*; family '{family}' does not"):
        WorldModelDynamics(model)
