"""The recurrent state-space model behind the `WorldModel` contract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from dreamgym.nn.vectors import VectorCodec
from dreamgym.types import Observation, ObservationSpec, State, WorldModelSpec
from dreamgym.world_models.base import WorldModel
from dreamgym.world_models.families.rssm.config import RSSMConfig
from dreamgym.world_models.families.rssm.disagreement import DisagreementHeads
from dreamgym.world_models.families.rssm.dynamics import Dynamics
from dreamgym.world_models.families.rssm.loss import rssm_loss
from dreamgym.world_models.families.rssm.observations import ObservationDecoder, ObservationEncoder


class RSSM(WorldModel):
    """DreamerV2-style latent dynamics with categorical latents (DiWA S.2.1).

    The state is ``{"latent": [B, k]}``: h, then the one-hot z. It is the features themselves, so nothing is copied
    when a policy reads them.
    """

    family: ClassVar[str] = "rssm"
    config: RSSMConfig

    def __init__(self, config: RSSMConfig) -> None:
        super().__init__()
        self.config = config
        self.spec = _spec(config)
        used = set(config.inputs) | set(config.targets)
        self.codecs = nn.ModuleDict({k: VectorCodec(v) for k, v in config.vectors.items() if k in used})
        self.encoder = ObservationEncoder(config, self.codecs)
        self.dynamics = Dynamics(config)
        self.decoder = ObservationDecoder(config, self.codecs)
        self.ensemble = DisagreementHeads(config)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> RSSM:
        """Builds from the JSON form of `RSSMConfig`."""
        return cls(RSSMConfig.from_dict(config))

    def codec(self, name: str) -> VectorCodec:
        """The codec of a vector sensor: its statistics and layout."""
        codec = self.codecs[name]
        assert isinstance(codec, VectorCodec)
        return codec

    def fit_statistics(self, vectors: Mapping[str, Tensor]) -> None:
        """Sets the standardisation of vector sensors from training data, each [N, d]; sensors not used are ignored."""
        for name in self.codecs:
            if name not in vectors:
                raise ValueError(f"statistics need data of {name!r}, got {sorted(vectors)}")
            self.codec(name).fit_statistics(vectors[name])

    def embed(self, obs: Observation) -> Tensor:
        """Embeddings [N, E] of sensors [N, ...]."""
        vectors = {k: self.codec(k).encode(obs[k].float()) for k in self.config.inputs if k in self.codecs}
        embedding: Tensor = self.encoder({**obs, **vectors})
        return embedding

    def start(self, history: Observation, generator: torch.Generator | None = None, instruction: Any = None) -> State:
        sensor = history[self.config.inputs[0]]
        batch, frames = sensor.shape[:2]
        if frames != self.spec.history:
            raise ValueError(
                f"start needs a history of {self.spec.history} frames, got {frames}; pad it with hold steps"
            )
        latent = self.dynamics.initial(batch)
        first = latent.new_zeros(batch, 1, self.config.action.dim)
        action = torch.cat([first, history["action"].to(first)], dim=1) if frames > 1 else first
        return {"latent": self._filter(latent, action, history, generator)}

    def observe(
        self, state: State, action: Tensor, obs: Observation, generator: torch.Generator | None = None
    ) -> State:
        action = action.unsqueeze(1) if action.dim() == 2 else action
        frame = {k: v.unsqueeze(1) for k, v in obs.items() if k in self.config.inputs}
        return {"latent": self._filter(state["latent"], action, frame, generator)}

    def _filter(
        self, latent: Tensor, action: Tensor, obs: Observation, generator: torch.Generator | None = None
    ) -> Tensor:
        """The latent [B, k] after real frames ``obs`` [B, T, ...], each led to by an action of ``action`` [B, T, A]."""
        batch, steps = action.shape[:2]
        frames = {}
        for name in self.config.inputs:
            if name not in obs:
                raise ValueError(f"observation {name!r} is missing: this model reads {list(self.config.inputs)}")
            shape = (batch, steps, *self.spec.observations[name].shape)
            if obs[name].shape != shape:
                raise ValueError(f"observation {name!r} has shape {tuple(obs[name].shape)}, expected {shape}")
            frames[name] = obs[name].flatten(0, 1)
        embed = self.embed(frames).unflatten(0, (batch, steps))
        for t in range(steps):
            latent = self.dynamics.observe(latent, action[:, t], embed[:, t], self._uniform(latent, generator))
        return latent

    def imagine(self, state: State, action: Tensor, generator: torch.Generator | None = None) -> State:
        latent = state["latent"]
        action = action[:, 0] if action.dim() == 3 else action
        return {"latent": self.dynamics.imagine(latent, action, self._uniform(latent, generator))}

    def features(self, state: State) -> Tensor:
        return state["latent"]

    def decode(self, state: State, keys: Sequence[str]) -> dict[str, Tensor]:
        self.check_keys(keys)
        out = {}
        for name in keys:
            raw = self.decoder(state["latent"], name)
            out[name] = self.codec(name).decode(raw) if name in self.codecs else raw.add(1).mul(0.5).clamp(0, 1)
        return out

    def uncertainty(self, state: State) -> Tensor:
        return self.ensemble.disagreement(state["latent"][:, : self.config.deter])

    def loss(self, batch: dict[str, Tensor], generator: torch.Generator | None = None) -> dict[str, Tensor]:
        return rssm_loss(self, batch, generator)

    def _uniform(self, latent: Tensor, generator: torch.Generator | None) -> Tensor:
        return torch.rand(latent.shape[0], self.config.stoch, generator=generator, device=latent.device)


def _spec(config: RSSMConfig) -> WorldModelSpec:
    observations = {}
    for name in config.inputs:
        if name in config.images:
            observations[name] = ObservationSpec("image", config.images[name])
        else:
            observations[name] = ObservationSpec("vector", (sum(n for _, n in config.vectors[name]),))
    return WorldModelSpec(
        family=RSSM.family,
        observations=observations,
        action=config.action,
        feature_shape=(config.latent_dim,),
        decodable=config.targets,
        history=config.history,
        frame_rate=config.frame_rate,
        uncertainty_unit=(
            "variance over an ensemble of the predicted latent class probabilities, summed over classes, "
            "per latent variable"
        ),
    )
