"""The video cascade behind the `WorldModel` contract: told a sentence, or given actions, it imagines a clip."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from dreamgym.types import InstructionSpec, Observation, ObservationSpec, State, WorldModelSpec
from dreamgym.world_models.base import WorldModel
from dreamgym.world_models.families.video_cascade import loss as losses
from dreamgym.world_models.families.video_cascade.actions import ActionEncoder
from dreamgym.world_models.families.video_cascade.autoencoder import VideoAutoencoder, resize
from dreamgym.world_models.families.video_cascade.backbone import VideoBackbone
from dreamgym.world_models.families.video_cascade.config import FIDELITIES, TRAIN_STEPS, VideoCascadeConfig
from dreamgym.world_models.families.video_cascade.pretrained import check_installed
from dreamgym.world_models.families.video_cascade.preview import Sampled, sample
from dreamgym.world_models.families.video_cascade.refinement import Velocity, degrade, euler, upsample
from dreamgym.world_models.families.video_cascade.text import InstructionEncoder


class Clip(NamedTuple):
    """An imagined clip.

    Attributes:
        frames: [B, F, C, H, W] in [0, 1], after the first frame.
        doubt: [B, F], see `VideoCascade.uncertainty`.
    """

    frames: Tensor
    doubt: Tensor


class VideoCascade(WorldModel):
    """DVG-WM: a preview of low resolution by many denoising steps, refined to high resolution by a few of a flow.

    A step is a clip; where actions drive the cascade (``driven_by``), a chunk of them, of any length: a clip is sampled
    for every F - 1 frames, and what a chunk lacks of one is made up by its last actions. The state is ``{"image":
    [B, C, H, W] in [0, 1], "doubt": [B]}``, of real and of imagined frames alike; features are the image's latent.

    Attributes:
        text: embeds what a clip follows, sentences or actions.
        fidelity: how clips are made, one of `FIDELITIES`; `at_fidelity` gives another view.
    """

    family: ClassVar[str] = "video_cascade"
    config: VideoCascadeConfig

    def __init__(self, config: VideoCascadeConfig) -> None:
        super().__init__()
        check_installed()
        self.config, self.fidelity = config, "refined"
        self.spec = _spec(config)
        self.autoencoder = VideoAutoencoder(config)
        self.text = ActionEncoder(config) if config.follows_actions else InstructionEncoder(config)
        self.backbone = VideoBackbone(config, config.backbone, config.weights, config.lora_rank)
        self.refiner = VideoBackbone(config, config.refiner, config.refiner_weights, beside=config.source == "noise")
        self.refiner.requires_grad_(True)
        self.latents = losses.LatentCache()

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> VideoCascade:
        """Builds from the JSON form of `VideoCascadeConfig`."""
        return cls(VideoCascadeConfig.from_dict(config))

    def at_fidelity(self, name: str) -> VideoCascade:
        self.check_fidelity(name)
        view = copy.copy(self)
        view.__dict__ = {**self.__dict__, "fidelity": name}
        return view

    # ------------------------------------------------------------------ the contract

    def start(self, history: Observation, generator: torch.Generator | None = None, instruction: Any = None) -> State:
        camera = self.config.camera
        if camera not in history:
            raise ValueError(f"observation {camera!r} is missing: this model reads it alone")
        return self._seen(history[camera][:, -1])

    def observe(
        self, state: State, action: Tensor, obs: Observation, generator: torch.Generator | None = None
    ) -> State:
        return self._seen(obs[self.config.camera])

    def _seen(self, image: Tensor) -> State:
        """The state of real frames [B, C, H, W] uint8."""
        if tuple(image.shape[1:]) != self.config.image:
            raise ValueError(
                f"observation {self.config.camera!r} has shape {tuple(image.shape)}, expected (B, *{self.config.image})"
            )
        return {"image": image.float() / 255, "doubt": torch.zeros(len(image), device=image.device)}

    def imagine(self, state: State, action: Tensor, generator: torch.Generator | None = None) -> State:
        if action.dim() == 2 and self.config.follows_actions:
            action = action.unsqueeze(1)
        return self.unroll(state, action, generator)[0]

    def unroll(self, state: State, actions: Tensor, generator: torch.Generator | None = None) -> list[State]:
        if self.config.follows_actions:
            return self._follow(state, actions, generator)
        return _states(self.clip(state["image"], actions, generator))

    def _follow(self, state: State, actions: Tensor, generator: torch.Generator | None) -> list[State]:
        """Frames along actions [B, n a, A], clip by clip."""
        a, length = self.config.actions_per_frame, self.config.frames - 1
        if actions.shape[1] % a:
            raise ValueError(f"a frame spans {a} actions, got {actions.shape[1]}: give a multiple of {a}")
        out: list[State] = []
        for part in actions.unflatten(1, (-1, a)).split(length, 1):
            taken = part.shape[1]
            whole = torch.cat([part, part[:, -1:].expand(-1, length - taken, -1, -1)], 1)
            image = out[-1]["image"] if out else state["image"]
            out += _states(self.clip(image, whole, generator))[:taken]
        return out

    def features(self, state: State) -> Tensor:
        return self.autoencoder.encode(state["image"].unsqueeze(1)).flatten(1)

    def decode(self, state: State, keys: Sequence[str]) -> dict[str, Tensor]:
        self.check_keys(keys)
        return dict.fromkeys(keys, state["image"])

    def uncertainty(self, state: State) -> Tensor:
        return state["doubt"]

    def loss(self, batch: dict[str, Tensor], generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """The sum of the losses of the config's stages, which training minimises one after the other."""
        parts = {name: losses.LOSSES[name](self, batch, generator) for name in self.config.stages}
        out = {f"{name}_{k}": v for name, part in parts.items() for k, v in part.items() if k != "loss"}
        return {"loss": torch.stack([part["loss"] for part in parts.values()]).sum(), **out}

    def frozen_modules(self) -> Mapping[str, str]:
        """What is pretrained: autoencoder and text as wholes, of the transformer whatever is no adapter."""
        weights = self.config.weights
        if weights is None:
            return {}
        names = [n for n in self.backbone.transformer.state_dict() if ".lora_" not in n]
        own = [f"backbone.transformer.{name.rpartition('.')[0]}" for name in names]
        text = [] if self.config.follows_actions else ["text"]
        return dict.fromkeys(["autoencoder.network", *text, *own], weights)

    # ------------------------------------------------------------------ `ClipRefiner`

    @torch.no_grad()
    def preview(self, state: State, instruction: Tensor, generator: torch.Generator | None = None) -> Tensor:
        text, empty = self.embeddings(instruction)
        return self.denoise(self.first_latent("low", state["image"]), text, empty, generator).latents

    def refined(
        self, preview: Tensor, state: State, instruction: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        first = self.first_latent("high", state["image"])
        return self.frames(self.refine(preview, first, self.embeddings(instruction)[0], generator), first)

    def refining_parameters(self) -> list[nn.Parameter]:
        return list(self.refiner.parameters())

    # ------------------------------------------------------------------ making a clip

    def clip(self, image: Tensor, told: Tensor, generator: torch.Generator | None = None) -> Clip:
        """The clip that follows first frames.

        Args:
            image: [B, C, H, W] in [0, 1].
            told: int64 [B], numbers of sentences; or actions [B, F - 1, a, A].
            generator: of the noise.
        """
        text, empty = self.embeddings(told)
        if self.fidelity == "monolithic":
            first = self.first_latent("high", image)
            with self.backbone.without_lora():
                made = self.denoise(first, text, empty, generator)
            return self._shown(made.latents, first, made.doubt)
        first = self.first_latent("low", image)
        made = self.denoise(first, text, empty, generator)
        if self.fidelity == "preview":
            return self._shown(made.latents, first, made.doubt)
        first = self.first_latent("high", image)
        return self._shown(self.refine(made.latents, first, text, generator), first, made.doubt)

    def embeddings(self, told: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings [B, L, D] of what clips follow (see `clip`), and of nothing."""
        return self.text.pair(told)

    def denoise(self, first: Tensor, text: Tensor, empty: Tensor, generator: torch.Generator | None) -> Sampled:
        """Latents, as the backbone predicts them (see `to_model`), at the resolution of the first frame's latent."""
        config = self.config
        return sample(self.backbone, first, text, empty, config.latent_frames, config.steps, config.guidance, generator)

    def refine(self, low: Tensor, first: Tensor, text: Tensor, generator: torch.Generator | None) -> Tensor:
        """High-resolution latents from those of a preview (A.8, A.9).

        Args:
            low: [B, T, Z, h, w], as the backbone predicts them.
            first: [B, 1, Z, H, W], the first frame's latent at high resolution.
            text: [B, L, D].
            generator: of the degradation.
        """
        config, grown = self.config, upsample(low, self.config.latent_size("high"))
        if config.source == "noise":
            noise = torch.randn(grown.shape, generator=generator, device=grown.device)
            return euler(self.velocity(first, text, grown), noise, config.refiner_steps)
        strength = torch.full((len(low),), config.inference_degradation, device=low.device)
        return euler(self.velocity(first, text), degrade(grown, strength, generator), config.refiner_steps)

    def velocity(self, first: Tensor, text: Tensor, beside: Tensor | None = None) -> Velocity:
        """The refiner's velocity field.

        Args:
            first: [B, 1, Z, h, w], first frames' latents.
            text: [B, L, D], embeddings.
            beside: [B, T, Z, h, w], of a flow from noise: what the refiner is shown beside it.
        """
        ratio = self.config.refiner.latent_scale / self.config.backbone.latent_scale
        shown = None if beside is None else beside * ratio

        def field(latents: Tensor, time: Tensor) -> Tensor:
            return self.refiner(latents * ratio, first * ratio, text, time * TRAIN_STEPS, shown) / ratio

        return field

    def first_latent(self, resolution: str, image: Tensor) -> Tensor:
        """Latents [B, 1, Z, h, w] of images [B, C, H, W] in [0, 1] at "low" or "high" resolution."""
        frame = image.unsqueeze(1)
        return self.autoencoder.encode(self.autoencoder.shrink(frame) if resolution == "low" else frame)

    def to_model(self, latents: Tensor, first: Tensor) -> Tensor:
        """Latents [B, T, Z, h, w] as the transformers predict them."""
        if not self.config.residual:
            return latents
        return (latents - first) / self.autoencoder.change_std[:, None, None]

    def from_model(self, predicted: Tensor, first: Tensor) -> Tensor:
        """The inverse of `to_model`; the first latent, which is given, takes the place of what was predicted of it."""
        if self.config.residual:
            predicted = first + predicted * self.autoencoder.change_std[:, None, None]
        return torch.cat([first, predicted[:, 1:]], 1)

    def frames(self, predicted: Tensor, first: Tensor) -> Tensor:
        """Frames [B, F, C, H, W] of latents as they are predicted, enlarged where those are of low resolution."""
        return resize(self.autoencoder.decode(self.from_model(predicted, first))[:, 1:], self.config.image[1:])

    def _shown(self, predicted: Tensor, first: Tensor, doubt: Tensor) -> Clip:
        return Clip(self.frames(predicted, first), doubt[:, 1:].repeat_interleave(self.config.autoencoder.stride, 1))


def _states(clip: Clip) -> list[State]:
    return [{"image": i, "doubt": d} for i, d in zip(clip.frames.unbind(1), clip.doubt.unbind(1), strict=True)]


def _spec(config: VideoCascadeConfig) -> WorldModelSpec:
    height, width = config.latent_size("high")
    told = InstructionSpec(config.sentences, config.frames - 1, config.control) if config.sentences else None
    return WorldModelSpec(
        family=VideoCascade.family,
        observations={config.camera: ObservationSpec("image", config.image)},
        action=told or config.control,
        feature_shape=(config.autoencoder.latent_channels * height * width,),
        decodable=(config.camera,),
        frame_rate=config.frame_rate,
        actions_per_frame=config.actions_per_frame,
        uncertainty_unit="change of the predicted latents over the second half of the denoising, root mean square",
        fidelities=FIDELITIES,
    )
