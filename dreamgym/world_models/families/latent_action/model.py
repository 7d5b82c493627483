"""The latent-action world model behind the `WorldModel` contract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dreamgym.nn.encoders import VisionEncoder
from dreamgym.types import ActionSpec, Observation, ObservationSpec, State, WorldModelSpec
from dreamgym.world_models.base import WorldModel
from dreamgym.world_models.families.latent_action import loss as losses
from dreamgym.world_models.families.latent_action.config import LATENT, LatentActionConfig
from dreamgym.world_models.families.latent_action.decoder import make_decoder
from dreamgym.world_models.families.latent_action.forward import ForwardDynamics
from dreamgym.world_models.families.latent_action.inverse import InverseDynamics
from dreamgym.world_models.families.latent_action.motion import MotionDecoder
from dreamgym.world_models.families.latent_action.projector import ActionProjector

REACH = 4.0
"""Bound of each entry of a latent action that is acted in: latent actions have unit variance."""


class LatentActionModel(WorldModel):
    """LAC-WM (or, with ``front="explicit"``, EAC-WM): frames as tokens of a frozen encoder, moved by latent actions.

    The state is ``tokens`` [B, W, N, D], the newest frame last; ``latent`` [B, W, Z], what led to each; ``age`` [B],
    how many of the W frames there were. Features are the newest tokens, averaged over places. The model's own robot is
    the last of ``config.robots``; `embody` gives the others, and "latent" for acting in the latent space.
    """

    family: ClassVar[str] = "latent_action"
    config: LatentActionConfig

    def __init__(self, config: LatentActionConfig) -> None:
        super().__init__()
        self.config = config
        self.spec = _spec(config)
        self.encoder = VisionEncoder(config.encoder, load=False)
        latent = config.front == "latent"
        self.idm = InverseDynamics(config) if latent else None
        self.fdm = ForwardDynamics(config)
        self.motion = MotionDecoder(config, config.motion) if latent and config.motion is not None else None
        sizes = (config.actions_per_frame, config.projector_width, config.latent_dim)
        self.projectors = nn.ModuleDict({name: ActionProjector(a, *sizes) for name, a in config.robots.items()})
        self.decoder = make_decoder(config)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> LatentActionModel:
        """Builds from the JSON form of `LatentActionConfig`."""
        return cls(LatentActionConfig.from_dict(config))

    def frozen_modules(self) -> Mapping[str, str]:
        """The pretrained encoder, where its weights are not kept."""
        if self.config.encoder.kept or self.config.encoder.kind == "pixels":
            return {}
        if self.encoder.network is None:
            self.encoder.fetch()
        return {"encoder.network": self.config.encoder.source}

    # -- what the parts say --

    def encode(self, frames: Tensor) -> Tensor:
        """Frames [..., 3, H, W], uint8 or float in [0, 1], to tokens [..., N, D]."""
        with torch.no_grad():
            tokens: Tensor = self.encoder.encode(self.encoder.preprocess(frames.flatten(0, -4)))
        return tokens.unflatten(0, frames.shape[:-3])

    def infer(self, before: Tensor, after: Tensor) -> Tensor:
        """Latent actions [..., Z] between frames' tokens [..., N, D].

        Raises:
            ValueError: a model of explicit actions, which infers none.
        """
        if self.idm is None:
            raise ValueError("a model with front='explicit' has no inverse dynamics: it tells no actions from frames")
        flat: Tensor = self.idm(before.flatten(0, -3), after.flatten(0, -3))
        return flat.unflatten(0, before.shape[:-2])

    def project(self, actions: Tensor, robot: str) -> Tensor:
        """Latent actions [..., Z] of a robot's control actions [..., a, A]."""
        if robot == LATENT:
            return actions.mean(-2)
        projected: Tensor = self.projectors[robot](actions)
        return projected

    # -- the WorldModel contract --

    def start(self, history: Observation, generator: torch.Generator | None = None, instruction: Any = None) -> State:
        tokens = self.encode(history[self.config.sensor][:, -1])
        batch, window = len(tokens), self.config.window
        frames = tokens.unsqueeze(1).repeat(1, window, 1, 1)
        latent = tokens.new_zeros(batch, window, self.config.latent_dim)
        return {"tokens": frames, "latent": latent, "age": tokens.new_ones(batch)}

    def observe(
        self, state: State, action: Tensor, obs: Observation, generator: torch.Generator | None = None
    ) -> State:
        return self._followed(state, self.encode(obs[self.config.sensor]), self._acted(action))

    def imagine(self, state: State, action: Tensor, generator: torch.Generator | None = None) -> State:
        latent, horizon = self._acted(action), self.config.horizon
        tokens = state["tokens"][:, -horizon:]
        done = torch.cat([state["latent"][:, 1:], latent.unsqueeze(1)], 1)[:, -horizon:]
        since = torch.arange(horizon, 0, -1, device=tokens.device)
        following = self.fdm(tokens, done, since <= state["age"].unsqueeze(1), newest=True)[:, 0]
        return self._followed(state, following, latent)

    def features(self, state: State) -> Tensor:
        config = self.config
        plane = state["tokens"][:, -1].transpose(1, 2).unflatten(2, (config.encoder.grid,) * 2)
        return F.avg_pool2d(plane, config.encoder.grid // config.feature_grid).flatten(1).float()

    def decode(self, state: State, keys: Sequence[str]) -> dict[str, Tensor]:
        self.check_keys(keys)
        return {key: self.decoder(state["tokens"][:, -1]).clamp(0, 1) for key in keys}

    def uncertainty(self, state: State) -> Tensor:
        tokens = state["tokens"]
        if self.idm is None:
            return tokens.new_zeros(len(tokens))
        seen = self.infer(tokens[:, -2], tokens[:, -1])
        gap = (seen - state["latent"][:, -1]).square().mean(-1).sqrt()
        return torch.where(state["age"] > 1, gap, 0.0)

    def loss(self, batch: dict[str, Tensor], generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """What a latent-action model pretrains on, or an explicit one."""
        if self.config.front == "explicit":
            return losses.acting(self, batch, generator)
        return losses.pretraining(self, batch, generator)

    def project_loss(self, batch: dict[str, Tensor], generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Of action projectors: see `losses.projecting`."""
        return losses.projecting(self, batch, generator)

    def act_loss(self, batch: dict[str, Tensor], generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Of the forward model with a robot's own actions: see `losses.acting`."""
        return losses.acting(self, batch, generator)

    def decoder_loss(self, batch: dict[str, Tensor], generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Of the image decoder: see `losses.decoding`."""
        return losses.decoding(self, batch, generator)

    def _acted(self, action: Tensor) -> Tensor:
        """Latent actions [B, Z] of a frame's actions as `imagine` takes them."""
        robot = self.spec.embodiment or list(self.config.robots)[-1]
        return self.project(action.unsqueeze(1) if action.dim() == 2 else action, robot)

    def _followed(self, state: State, tokens: Tensor, latent: Tensor) -> State:
        """The state one frame on."""
        return {
            "tokens": torch.cat([state["tokens"][:, 1:], tokens.unsqueeze(1)], 1),
            "latent": torch.cat([state["latent"][:, 1:], latent.unsqueeze(1)], 1),
            "age": (state["age"] + 1).clamp(max=self.config.window),
        }


def _spec(config: LatentActionConfig) -> WorldModelSpec:
    latent = ActionSpec((-REACH,) * config.latent_dim, (REACH,) * config.latent_dim)
    return WorldModelSpec(
        family=LatentActionModel.family,
        observations={config.sensor: ObservationSpec("image", config.image)},
        action=list(config.robots.values())[-1],
        feature_shape=(config.feature_grid**2 * config.encoder.token_dim,),
        decodable=(config.sensor,),
        frame_rate=config.frame_rate,
        actions_per_frame=config.actions_per_frame,
        uncertainty_unit=(
            "root mean square between the latent action that was asked for and the one that the inverse dynamics model "
            "sees in the imagined frames, in units of latent actions' spread"
        ),
        embodiments={**config.robots, LATENT: latent},
    )
