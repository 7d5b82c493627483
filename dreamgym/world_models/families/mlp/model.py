"""The MLP ensemble behind the `WorldModel` contract."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from dreamgym.types import Observation, ObservationSpec, State, WorldModelSpec
from dreamgym.world_models.base import WorldModel
from dreamgym.world_models.families.mlp.body import BodyFrame
from dreamgym.world_models.families.mlp.config import MLPConfig
from dreamgym.world_models.families.mlp.ensemble import MLPEnsemble
from dreamgym.world_models.families.mlp.loss import mlp_loss
from dreamgym.world_models.families.mlp.standardizer import Standardizer


class MLPWorldModel(WorldModel):
    """p(next observation | history) = N(mean, std^2): the mean over an ensemble of MLPs, the std fixed (WARPD).

    Every member predicts the change of the standardised observation. Imagination follows the mean.

    The state is ``obs`` [B, H, O], standardised, the newest last; ``action`` [B, H - 1, A], scaled to [-1, 1], those
    between them; ``disagreement`` [B] of the transition into it. Features are the newest standardised observation.
    """

    family: ClassVar[str] = "mlp"
    config: MLPConfig

    def __init__(self, config: MLPConfig) -> None:
        super().__init__()
        self.config = config
        self.spec = _spec(config)
        self.scaling = Standardizer(config.obs_dim, config.action)
        self.body = BodyFrame(config) if config.body else None
        width = config.history * (config.obs_dim + config.action.dim) + (BodyFrame.width(config) if config.body else 0)
        self.ensemble = MLPEnsemble(config.ensemble, width, config.hidden, config.obs_dim)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> MLPWorldModel:
        """Builds from the JSON form of `MLPConfig`."""
        return cls(MLPConfig.from_dict(config))

    # -- `ObservationPredictor`: the distribution that WARPD's losses are made of --

    @property
    def std(self) -> Tensor:
        """[O]: standard deviation of the predictive Gaussian, in the observation's own units."""
        return self.config.std * self.scaling.delta_std

    @property
    def obs_std(self) -> Tensor:
        """[O]: standard deviation of the training data, in the observation's own units; 1 where nothing moved."""
        return self.scaling.std

    def next_observation(self, obs: Tensor, action: Tensor) -> Tensor:
        """Mean of the next observation, differentiable in everything it is made of.

        Args:
            obs: [..., H, O], the last H observations in their own units, oldest first.
            action: [..., H, A], the actions taken at them; the last one leads to what is predicted.

        Returns:
            [..., O], in the observation's own units.

        Raises:
            ValueError: another history or width.
        """
        self._check(obs, action)
        standard = self.scaling.obs(obs).reshape(-1, *obs.shape[-2:])
        scaled = self.scaling.action(action).reshape(-1, *action.shape[-2:])
        mean = standard[:, -1] + self.changes(standard, scaled).mean(0)
        return self.scaling.raw(mean).reshape(*obs.shape[:-2], -1)

    def kl(self, mean: Tensor, other: Tensor) -> Tensor:
        """KL between two of the model's Gaussians, nats [...]: with one fixed variance it is the same both ways.

        Args:
            mean, other: [..., O], as `next_observation` gives them.
        """
        return 0.5 * ((mean - other) / self.std).square().sum(-1)

    def changes(self, obs: Tensor, action: Tensor) -> Tensor:
        """Every member's predicted change of the standardised observation, [E, N, O].

        Args:
            obs: standardised [N, H, O], or each member's own [E, N, H, O].
            action: scaled [N, H, A], the last one that which is taken now; or [E, N, H, A].
        """
        inputs = [obs.flatten(-2), action.flatten(-2)]
        if self.body is None:
            output: Tensor = self.ensemble(torch.cat(inputs, -1))
            return output * self.scaling.step
        output = self.ensemble(torch.cat([*inputs, self.body.inputs(self.scaling, obs, action)], -1))
        return self.body.changes(self.scaling, output, obs[..., -1, :])

    def fit_statistics(self, obs: Tensor, delta: Tensor) -> None:
        """Sets the standardisation from training data: observations [N, O] and one-step changes [M, O]."""
        self.scaling.fit(obs, delta, self.config.margin)

    # -- the WorldModel contract --

    def start(self, history: Observation, generator: torch.Generator | None = None, instruction: Any = None) -> State:
        length = self.config.history
        for name, size in self.config.parts.items():
            if history[name].shape[1:] != (length, size):
                raise ValueError(
                    f"start needs {name!r} as [B, {length}, {size}], got {tuple(history[name].shape)}; pad a short "
                    "history with hold steps"
                )
        obs = self.scaling.obs(self._joined(history))
        action = obs.new_zeros(len(obs), 0, self.config.action.dim)
        if self.config.history > 1:
            action = self._stood(obs, self.scaling.action(history["action"].to(obs)))
        return {"obs": obs, "action": action, "disagreement": obs.new_zeros(len(obs))}

    def observe(
        self, state: State, action: Tensor, obs: Observation, generator: torch.Generator | None = None
    ) -> State:
        action = action.unsqueeze(1) if action.dim() == 2 else action
        for name, size in self.config.parts.items():
            if name not in obs:
                raise ValueError(f"observation {name!r} is missing: this model reads {list(self.config.parts)}")
            if obs[name].shape != (want := (len(action), size)):
                raise ValueError(f"observation {name!r} has shape {tuple(obs[name].shape)}, expected {want}")
        seen, taken = self.scaling.obs(self._joined(obs)).unsqueeze(1), self.scaling.action(action)
        obs_all = torch.cat([state["obs"], seen], 1)
        action_all = self._stood(obs_all, torch.cat([state["action"], taken], 1))
        changes = self.changes(obs_all[:, :-1], action_all)
        return {
            "obs": obs_all[:, 1:].clone(),
            "action": action_all[:, 1:].clone(),
            "disagreement": self._disagreement(changes, changes.mean(0)),
        }

    def imagine(self, state: State, action: Tensor, generator: torch.Generator | None = None) -> State:
        action = action.unsqueeze(1) if action.dim() == 2 else action
        taken = torch.cat([state["action"], self.scaling.action(action)], 1)
        changes = self.changes(state["obs"], taken)
        mean = changes.mean(0)
        newest = torch.clamp(state["obs"][:, -1] + mean, self.scaling.low, self.scaling.high)
        return {
            "obs": torch.cat([state["obs"][:, 1:], newest.unsqueeze(1)], 1),
            "action": taken[:, 1:],
            "disagreement": self._disagreement(changes, mean),
        }

    def features(self, state: State) -> Tensor:
        return state["obs"][:, -1]

    def decode(self, state: State, keys: Sequence[str]) -> dict[str, Tensor]:
        self.check_keys(keys)
        parts, raw = self.config.parts, self.scaling.raw(state["obs"][:, -1])
        if len(parts) == 1:
            return dict.fromkeys(keys, raw)
        found = dict(zip(parts, raw.split(list(parts.values()), -1), strict=True))
        return {k: found[k] for k in keys}

    def uncertainty(self, state: State) -> Tensor:
        return state["disagreement"]

    def loss(self, batch: dict[str, Tensor], generator: torch.Generator | None = None) -> dict[str, Tensor]:
        return mlp_loss(self, batch)

    def _joined(self, obs: Observation) -> Tensor:
        """The sensors as one observation [..., O]."""
        return torch.cat([obs[name].float() for name in self.config.parts], -1)

    def _stood(self, obs: Tensor, action: Tensor) -> Tensor:
        """``action`` [B, T, A], but at frames of ``obs`` [B, T + 1, O] that nothing led away from that of `still`."""
        if not self.config.still:
            return action
        unmoved = (obs[:, 1:] == obs[:, :-1]).all(-1, keepdim=True)
        here = self.scaling.raw(obs[:, :-1])[..., list(self.config.still)]
        return torch.where(unmoved, self.scaling.action(here), action)

    def _disagreement(self, changes: Tensor, mean: Tensor) -> Tensor:
        """[N]: spread over the members, in units of one step's change, root mean square over entries.

        As a norm: torch's own variance over the members took a quarter of a step.
        """
        members, _, entries = changes.shape
        if members == 1:
            return changes.new_zeros(changes.shape[1])
        spread = (changes - mean) / self.scaling.step
        return torch.linalg.vector_norm(spread, dim=(0, 2)) / math.sqrt((members - 1) * entries)

    def _check(self, obs: Tensor, action: Tensor) -> None:
        length, config = self.config.history, self.config
        if obs.shape[-2:] != (length, config.obs_dim) or action.shape != (*obs.shape[:-1], config.action.dim):
            raise ValueError(
                f"expected observations [..., {length}, {config.obs_dim}] and actions [..., {length}, "
                f"{config.action.dim}], got {tuple(obs.shape)} and {tuple(action.shape)}"
            )


def _spec(config: MLPConfig) -> WorldModelSpec:
    return WorldModelSpec(
        family=MLPWorldModel.family,
        observations={name: ObservationSpec("vector", (size,)) for name, size in config.parts.items()},
        action=config.action,
        feature_shape=(config.obs_dim,),
        decodable=tuple(config.parts),
        history=config.history,
        frame_rate=config.frame_rate,
        uncertainty_unit=(
            "standard deviation over an ensemble of the predicted change of the observation, in units of the spread "
            "of one step's change, root mean square over entries"
        ),
    )
