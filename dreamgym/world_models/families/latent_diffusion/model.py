"""Interactive latent diffusion (LaDi-WM) behind the `WorldModel` contract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from dreamgym.nn.decoupled import sample
from dreamgym.types import Observation, ObservationSpec, State, WorldModelSpec
from dreamgym.world_models.base import WorldModel
from dreamgym.world_models.families.latent_diffusion.config import LatentDiffusionConfig
from dreamgym.world_models.families.latent_diffusion.decoder import ImageDecoder
from dreamgym.world_models.families.latent_diffusion.loss import latent_diffusion_loss
from dreamgym.world_models.families.latent_diffusion.network import Denoiser
from dreamgym.world_models.families.latent_diffusion.tokens import Tokens
from dreamgym.world_models.probe import StateProbe


class LatentDiffusion(WorldModel):
    """Predicts the tokens of vision encoders for a chunk of frames jointly, one sampling a chunk (equation 2).

    The state is ``tokens`` [B, l, N, C], standardised, the newest last; ``action`` [B, l, a * A], scaled, what led to
    each of them; ``spread`` [B], of the samples of the transition into it. Features are the newest tokens, [N * C].
    """

    family: ClassVar[str] = "latent_diffusion"
    config: LatentDiffusionConfig

    def __init__(self, config: LatentDiffusionConfig) -> None:
        super().__init__()
        self.config = config
        self.spec = _spec(config)
        self.tokens = Tokens(config)
        self.denoiser = Denoiser(config)
        self.decoder = ImageDecoder(config) if config.decoder_width else None
        (width,) = self.spec.feature_shape
        self.reader = StateProbe(width, config.vectors, linear=False) if config.vectors else None
        self.register_buffer("low", torch.tensor(config.action.low), persistent=False)
        self.register_buffer("high", torch.tensor(config.action.high), persistent=False)
        self.register_buffer("hold", torch.tensor(config.action.hold), persistent=False)

    low: Tensor
    high: Tensor
    hold: Tensor

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> LatentDiffusion:
        """Builds from the JSON form of `LatentDiffusionConfig`."""
        return cls(LatentDiffusionConfig.from_dict(config))

    def frozen_modules(self) -> Mapping[str, str]:
        """Encoders whose weights anyone can fetch; they are fetched now where they have not been yet."""
        out = {}
        for encoder in self.config.encoders:
            if encoder.architecture and not encoder.kept:
                held: Any = self.tokens.encoders[encoder.kind]
                if held.network is None:
                    held.fetch()
                out[f"tokens.encoders.{encoder.kind}"] = encoder.source
        return out

    # -- what the loss shares --

    def scaled_action(self, action: Tensor) -> Tensor:
        """Control actions [..., a, A] scaled to [-1, 1] and joined a frame, [..., a * A]."""
        scaled = 2 * (self.config.action.prepare(action) - self.low) / (self.high - self.low) - 1
        return scaled.flatten(-2)

    def split(self, tokens: Tensor) -> list[Tensor]:
        """Tokens [..., N, C] of all encoders as the places of each stream, [..., N / p^2, p^2 C_s], p = ``patch``."""
        config = self.config
        widths = config.widths if config.interaction else (sum(config.widths),)
        if config.patch == 1:
            return list(tokens.split(widths, -1))
        p, side = config.patch, config.encoders[0].grid // config.patch
        square = tokens.unflatten(-2, (len(config.images), side, p, side, p)).transpose(-4, -3)
        parts = square.split(widths, -1)  # [..., cameras, side, side, p, p, C_s]
        return [part.flatten(-3).flatten(-4, -2) for part in parts]

    def join(self, streams: Sequence[Tensor]) -> Tensor:
        """The tokens of all encoders: the inverse of `split`."""
        config = self.config
        if config.patch == 1:
            return torch.cat(list(streams), -1)
        p, side = config.patch, config.encoders[0].grid // config.patch
        parts = [x.unflatten(-2, (-1, side, side)).unflatten(-1, (p, p, -1)) for x in streams]
        return torch.cat(parts, -1).transpose(-4, -3).flatten(-6, -2)

    def target(self, tokens: Tensor, last: Tensor) -> Tensor:
        """What is diffused for future tokens [B, F, N, C], given those of the last real frame [B, N, C]."""
        if self.config.target == "tokens":
            return tokens
        return (tokens - last.unsqueeze(1)) / self.tokens.change[: tokens.shape[1]].unsqueeze(1)

    def predicted(self, value: Tensor, last: Tensor) -> Tensor:
        """Tokens of a sample: the inverse of `target`."""
        if self.config.target == "tokens":
            return value
        return value * self.tokens.change[: value.shape[1]].unsqueeze(1) + last.unsqueeze(1)

    # -- the WorldModel contract --

    def start(self, history: Observation, generator: torch.Generator | None = None, instruction: Any = None) -> State:
        length, a = self.config.history, self.config.actions_per_frame
        for name in self.config.images:
            if name not in history or history[name].shape[1] != length:
                found = {k: tuple(v.shape) for k, v in history.items()}
                raise ValueError(
                    f"start needs {name!r} as [B, {length}, 3, H, W], got {found}; pad a short history with hold steps"
                )
        tokens = self.tokens.of_batch({name: history[name] for name in self.config.images})
        held = self.hold.expand(len(tokens), 1, a, -1)
        action = held
        if length > 1:
            action = torch.cat([held, history["action"].to(held).unflatten(1, (length - 1, a))], 1)
        return {"tokens": tokens, "action": self.scaled_action(action), "spread": tokens.new_zeros(len(tokens))}

    @torch.no_grad()
    def observe(
        self, state: State, action: Tensor, obs: Observation, generator: torch.Generator | None = None
    ) -> State:
        tokens = self.tokens.scaled(self.tokens.encode(obs)).unsqueeze(1)
        taken = self.scaled_action(self._frame(action).unsqueeze(1))
        return self._on(state, tokens, taken, state["spread"].new_zeros(len(tokens)))

    def imagine(self, state: State, action: Tensor, generator: torch.Generator | None = None) -> State:
        return self.unroll(state, self._frame(action), generator)[0]

    def unroll(self, state: State, actions: Tensor, generator: torch.Generator | None = None) -> list[State]:
        """See `WorldModel.unroll`; more frames than a chunk are sampled chunk by chunk."""
        a = self.config.actions_per_frame
        if actions.shape[1] % a:
            raise ValueError(f"a frame spans {a} actions, got {actions.shape[1]}: give a multiple of {a}")
        taken = self.scaled_action(actions.unflatten(1, (-1, a)))
        out: list[State] = []
        for part in taken.split(self.config.chunk, 1):
            tokens, spread = self._sample(state, part, generator)
            for frame in range(part.shape[1]):
                state = self._on(state, tokens[:, frame : frame + 1], part[:, frame : frame + 1], spread[:, frame])
                out.append(state)
        return out

    def features(self, state: State) -> Tensor:
        return state["tokens"][:, -1].flatten(1)

    def decode(self, state: State, keys: Sequence[str]) -> dict[str, Tensor]:
        self.check_keys(keys)
        found: dict[str, Tensor] = {}
        if self.decoder is not None and (cameras := [k for k in keys if k in self.config.images]):
            found |= self.decoder(state["tokens"][:, -1], cameras)
        if self.reader is not None and any(k in self.config.vectors for k in keys):
            found |= self.reader(self.features(state))
        return {k: found[k] for k in keys}

    def uncertainty(self, state: State) -> Tensor:
        return state["spread"]

    def loss(self, batch: dict[str, Tensor], generator: torch.Generator | None = None) -> dict[str, Tensor]:
        return latent_diffusion_loss(self, batch, generator)

    # -- sampling --

    def _sample(self, state: State, actions: Tensor, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """Future tokens [B, F, N, C] and their spread [B, F] for scaled actions [B, F, a * A], F up to a chunk."""
        config, batch, frames = self.config, len(actions), actions.shape[1]
        if not config.causal and frames < config.chunk:
            rest = self.scaled_action(self.hold.expand(batch, config.chunk - frames, config.actions_per_frame, -1))
            actions = torch.cat([actions, rest], 1)
        context = self.denoiser.context(self.split(state["tokens"]), state["action"], actions)
        samples, last = config.samples if config.diffusion else 1, state["tokens"][:, -1]
        if samples > 1:
            context = context.repeated(samples)
        shape = (samples * batch, actions.shape[1], config.tokens, sum(config.widths))
        noise = torch.randn(shape, generator=generator, device=last.device)
        if config.diffusion:
            values = sample(
                lambda z, n: [(clean, eta) for _, clean, eta in self.denoiser(z, n, context)],
                self.split(noise), config.sampler_steps, generator,
            )  # fmt: skip
        else:
            zeros = self.split(torch.zeros_like(noise))
            values = [clean for _, clean, _ in self.denoiser(zeros, noise.new_ones(batch), context)]
        tokens = self.predicted(self.join(values), last.repeat(samples, 1, 1))[:, :frames]
        drawn = tokens.unflatten(0, (samples, batch))
        spread = (drawn[0] - drawn[-1]).square().mean((2, 3)).div(2).sqrt()
        return drawn[0], spread

    def _on(self, state: State, tokens: Tensor, action: Tensor, spread: Tensor) -> State:
        """The state with one more frame."""
        return {
            "tokens": torch.cat([state["tokens"][:, 1:], tokens], 1),
            "action": torch.cat([state["action"][:, 1:], action], 1),
            "spread": spread.contiguous(),
        }

    def _frame(self, action: Tensor) -> Tensor:
        """A frame's actions as [B, a, A]."""
        return action.unsqueeze(1) if action.dim() == 2 else action


def _spec(config: LatentDiffusionConfig) -> WorldModelSpec:
    return WorldModelSpec(
        family=LatentDiffusion.family,
        observations={name: ObservationSpec("image", tuple(shape)) for name, shape in config.images.items()},
        action=config.action,
        feature_shape=(config.tokens * sum(config.widths),),
        decodable=(*(config.images if config.decoder_width else ()), *config.vectors),
        history=config.history,
        frame_rate=config.frame_rate,
        actions_per_frame=config.actions_per_frame,
        uncertainty_unit=(
            "root mean square difference of two samples' standardised tokens, divided by the square root of 2"
            if config.samples > 1 and config.diffusion
            else ""
        ),
    )
