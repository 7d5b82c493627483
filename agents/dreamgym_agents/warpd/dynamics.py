"""What WARPD asks of the world model it is trained with, and the rollout loss through it (equations 5 and 12)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from dreamgym.world_models.base import ObservationPredictor
from dreamgym_agents.common.demonstrations import Demonstrations


class Dynamics(nn.Module, ABC):
    """A differentiable model of the next observation: a normal distribution of fixed deviation about `predict`.

    Attributes:
        history: H, observations and actions that it reads (section 4: "the history of observations and actions").
        std: [O], the fixed deviation, in the observation's own units.
    """

    history: int = 1
    std: Tensor

    @abstractmethod
    def predict(self, obs: Tensor, action: Tensor) -> Tensor:
        """Raw obs [N, H, O] and action [N, H, A], the last of each being now, to the mean next observation [N, O]."""

    def check(self, obs_dim: int, action_dim: int) -> None:
        """Raises ValueError where it is a model of observations, or actions, of other sizes; by default nothing."""
        return None

    def prepare(self, demonstrations: Demonstrations) -> None:
        """Takes what it needs of the training data before training begins (scales); by default nothing."""
        return None

    def teacher_forcing(self, obs: Tensor, action: Tensor, recorded: Tensor | None = None) -> Tensor:
        """L_TF of equation 5 for raw obs [B, T, O] and action [B, T, A], scalar.

        Half the squared error in units of ``std``, summed over time and entries: the negative log likelihood that
        equation 9 has there, without its constant. (Equation 13 drops the deviation too, which makes the loss depend on
        the units; what it trains is the same model, since Adam does not feel a factor. A clip of gradients does.)

        Args:
            obs, action: the snippets.
            recorded: [B, T] bool, False at rows that repeat another: nothing leads to those or from them.
        """
        mean = self.predict(*windows(obs[:, :-1], action[:, :-1], self.history))
        target = obs[:, self.history :].flatten(0, 1).to(mean)
        return kl_of_equal_std(mean, target, self.std, whole_runs(recorded, self.history + 1)) / len(obs)


class WorldModelDynamics(Dynamics):
    """A world model that predicts an observation (section 4: two layers of 1024) as what WARPD is trained with.

    Its own loss, a mean over time, is the teacher forcing: every member of an ensemble learns by itself. The rollout
    loss goes through the mean of the members.

    Args:
        model: of any family with the capability `ObservationPredictor`.

    Raises:
        ValueError: the family has not, or reads several sensors.
    """

    def __init__(self, model: ObservationPredictor) -> None:
        super().__init__()
        check_predictor(model)
        self.model = model
        self.sensor, self.history = next(iter(model.spec.observations)), model.spec.history

    @property
    def std(self) -> Tensor:  # type: ignore[override]
        """[O], the model's fixed deviation."""
        return self.model.std

    def check(self, obs_dim: int, action_dim: int) -> None:
        if (seen := self.model.spec.observations[self.sensor].shape[0]) != obs_dim:
            raise ValueError(
                f"a world model of {seen} observed entries, demonstrations of {obs_dim}: make one for them"
            )
        if (dim := self.model.spec.control.dim) != action_dim:
            raise ValueError(f"a world model of {dim} actions, demonstrations of {action_dim}: make one for them")

    def prepare(self, demonstrations: Demonstrations) -> None:
        seen = demonstrations.recorded
        inside = torch.ones(len(demonstrations.obs), dtype=torch.bool) if seen is None else seen & seen.roll(-1)
        # What follows the last row is another trajectory.
        inside[demonstrations.starts + demonstrations.lengths - 1] = False
        rows = inside.nonzero().flatten()
        self.model.fit_statistics(demonstrations.obs, demonstrations.obs[rows + 1] - demonstrations.obs[rows])

    def predict(self, obs: Tensor, action: Tensor) -> Tensor:
        return self.model.next_observation(obs, action)

    def teacher_forcing(self, obs: Tensor, action: Tensor, recorded: Tensor | None = None) -> Tensor:
        batch = {self.sensor: obs, "action": action}
        led_to = whole_runs(recorded, 2)
        if led_to is not None:
            # A snippet begins anywhere: what it does not show of the history is not made up.
            midst = torch.zeros(len(obs), 1, dtype=torch.bool, device=obs.device)
            batch["is_first"] = torch.cat([midst, ~led_to], 1)
        return self.model.loss(batch)["loss"]


def check_predictor(model: object) -> ObservationPredictor:
    """The model, where it predicts the next observation of one sensor.

    Raises:
        ValueError: it does not.
    """
    if not isinstance(model, ObservationPredictor) or len(model.spec.observations) != 1:
        family = getattr(model, "family", type(model).__name__)
        raise ValueError(
            f"WARPD needs a world model that predicts the next observation of one vector sensor "
            f"(dreamgym.world_models.base.ObservationPredictor); family {family!r} does not"
        )
    return model


def kl_of_equal_std(mean: Tensor, other: Tensor, std: Tensor, counted: Tensor | None = None) -> Tensor:
    """KL between normal distributions of one fixed deviation, summed over everything: ((a - b) / std)^2 / 2.

    Args:
        mean, other: [N, O].
        std: [O].
        counted: bool, N entries in any shape: which rows are summed; all by default.
    """
    apart = ((mean - other) / std).square()
    return 0.5 * (apart if counted is None else apart * counted.reshape(-1, 1)).sum()


def whole_runs(recorded: Tensor | None, length: int) -> Tensor | None:
    """Which runs of ``length`` steps of [B, T] were recorded throughout, bool [B, T - length + 1]; None for None."""
    return None if recorded is None else recorded.unfold(1, length, 1).all(-1)


def windows(obs: Tensor, action: Tensor, history: int) -> tuple[Tensor, Tensor]:
    """Every run of ``history`` steps of [B, T, ...]: [B * (T - history + 1), history, ...], in order of B, then T."""
    if obs.shape[1] < history:
        raise ValueError(f"snippets of {obs.shape[1]} steps hold no history of {history}: lengthen them")
    cut = [x.unfold(1, history, 1).movedim(-1, 2).flatten(0, 1) for x in (obs, action)]
    return cut[0], cut[1]


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Within the block the parameters take no gradient; what passes through them does."""
    asked = [p for p in module.parameters() if p.requires_grad]
    for parameter in asked:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in asked:
            parameter.requires_grad_(True)


def rollout_loss(
    dynamics: Dynamics,
    act: Callable[[Tensor], Tensor],
    obs: Tensor,
    action: Tensor,
    steps: int = 1,
    acted: Tensor | None = None,
    recorded: Tensor | None = None,
) -> Tensor:
    """L_RO: how differently the world goes on, in the model's eyes, when the policy acts instead of the demonstrator.

    With one step this is equation 12: from every recorded state, the KL between the next state under the policy's
    action and under the recorded one. With more steps the policy goes on from the state it was led to while the
    recorded side stays recorded, so that it learns to come back: what Fig. 2 shows and section 1 promises.
    The world model takes no gradient here ("L_TF trains the world model parameters", section 3.2).

    Args:
        dynamics: the world model.
        act: the policies: raw observations [B, n, O] to raw actions [B, n, A], differentiable in their weights.
        obs, action: the snippets, raw, [B, T, O] and [B, T, A].
        steps: imagined steps from each state.
        acted: what ``act`` gives for ``obs``, raw [B, T, A], where it is known already: the first step needs no more.
        recorded: [B, T] bool, False at rows that repeat another: they are no states to begin from, or to come to.

    Returns:
        Summed over time and entries, meaned over steps and batch: a scalar.

    Raises:
        ValueError: snippets too short for the history and the steps.
    """
    batch, history = len(obs), dynamics.history
    starts = obs.shape[1] - history - steps + 1
    if starts < 1:
        raise ValueError(f"{steps} imagined steps after a history of {history} do not fit in {obs.shape[1]}: lengthen")
    past_obs, past_action = windows(obs[:, : starts + history - 1], action[:, : starts + history - 1], history)
    total = obs.new_zeros(())
    counted = whole_runs(recorded, history + steps)
    with frozen(dynamics):
        with torch.no_grad():
            shown = dynamics.predict(*windows(obs, action, history)).unflatten(0, (batch, -1))
        for step in range(steps):
            if step == 0 and acted is not None:
                chosen = acted[:, history - 1 : history - 1 + starts].flatten(0, 1)
            else:
                chosen = act(past_obs[:, -1].unflatten(0, (batch, starts))).flatten(0, 1)
            now = torch.cat([past_action[:, :-1], chosen.unsqueeze(1)], 1)
            mean = dynamics.predict(past_obs, now)
            total = total + kl_of_equal_std(mean, shown[:, step : step + starts].flatten(0, 1), dynamics.std, counted)
            past_obs = torch.cat([past_obs[:, 1:], mean.unsqueeze(1)], 1)
            past_action = torch.cat([now[:, 1:], now[:, -1:]], 1)  # the last is replaced before it is read
    return total / (steps * batch)
