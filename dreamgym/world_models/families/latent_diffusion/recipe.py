"""How a latent-diffusion model is trained: on tokens that its frozen encoders gave of every frame once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from dreamgym.data.features import Feature, FeatureView
from dreamgym.data.sampler import SequenceSampler
from dreamgym.data.store import EpisodeView
from dreamgym.nn.encoders import EncoderConfig, VisionEncoder, encoder_config
from dreamgym.suites.facts import StoreFacts
from dreamgym.world_models.base import to_frames
from dreamgym.world_models.examples import moving_dot
from dreamgym.world_models.families.latent_diffusion.config import PAPER, TINY, LatentDiffusionConfig
from dreamgym.world_models.families.latent_diffusion.model import LatentDiffusion
from dreamgym.world_models.families.latent_diffusion.tokens import FEATURES
from dreamgym.world_models.recipe import Example, FitConfig, ParameterGroup, Preset, Recipe, Stage, Windows

BATCHES = 24
"""Batches whose statistics standardise tokens and their changes."""


class LatentDiffusionRecipe(Recipe):
    """One stage: the diffusion networks and, apart from them, what draws and reads. Encoders are never trained."""

    config_class = LatentDiffusionConfig
    presets: ClassVar[Mapping[str, Preset]] = {
        # Batches of 4 (appendix A); the rest of the schedule is not stated there.
        "paper": Preset(PAPER, {"lr": 1e-4, "ema": 0.999, "grad_clip": 1.0}, Windows(batch_size=4, length=10)),
        "tiny": Preset(
            TINY,
            {"steps": 20_000, "lr": 6e-4, "weight_decay": 1e-2, "warmup": 200, "ema": 0.999, "grad_clip": 1.0},
            Windows(batch_size=16, length=28),
        ),
    }

    def config(self, facts: StoreFacts, preset: str, changes: Mapping[str, Any]) -> LatentDiffusionConfig:
        """Every camera of the store; encoders of ``sources``, or those that are named, or else the images' patches."""
        images: dict[str, Any] = {k: tuple(s.shape) for k, s in facts.sensors.items() if s.kind == "image"}
        if not images:
            raise ValueError(f"latent diffusion reads cameras, and this store's sensors are {list(facts.sensors)}")
        given = {**self.preset(preset).model, "frame_rate": facts.frame_rate, "vectors": _body(facts), **changes}
        if changes.get("sources") and not changes.get("encoders"):
            grid = int(given.get("grid", 4))
            given["encoders"] = tuple(encoder_config(k, v, grid=grid) for k, v in given["sources"].items())
        make = LatentDiffusionConfig.paper if preset == "paper" else LatentDiffusionConfig.tiny
        config: LatentDiffusionConfig = make(images, facts.action, **given)
        return config

    def keys(self, config: LatentDiffusionConfig) -> tuple[str, ...]:
        """The cameras, and what is read off them."""
        return (*config.images, *config.vectors)

    def stages(self, config: LatentDiffusionConfig, fit: FitConfig) -> tuple[Stage, ...]:
        """One; what draws and what reads are clipped apart: the reader's gradients are a thousand times larger."""
        apart = [name for name, there in (("decoder.*", config.decoder_width), ("reader.*", config.vectors)) if there]
        return (Stage(groups=tuple(ParameterGroup((name,)) for name in apart)),)

    def source(self, model: LatentDiffusion, episodes: EpisodeView) -> tuple[EpisodeView, tuple[str, ...]]:
        """Tokens of encoders whose weights are known, computed once; the cameras too, where something is drawn."""
        config = model.config
        known = [e for e in config.encoders if e.sha256]
        if len(known) < len(config.encoders):
            return episodes, self.keys(config)
        view = FeatureView(episodes, [_feature(model, e) for e in known]).prepare()
        drawn = (*(config.images if config.decoder_width else ()), *config.vectors)
        return view, (*drawn, *(FEATURES + e.kind for e in known))

    def prepare(self, model: LatentDiffusion, episodes: EpisodeView) -> None:
        """Loads the encoders' weights, and standardises tokens and their changes by the training episodes."""
        for held in model.tokens.encoders.values():
            assert isinstance(held, VisionEncoder)
            if held.config.source:
                held.fetch()
        view, keys = self.source(model, episodes)
        config = model.config
        length = config.chunk * config.actions_per_frame + 1
        sampler = SequenceSampler(view, length, 16, [*keys, "action"], seed=1)
        frames = [to_frames(sampler.batch(i), config.actions_per_frame) for i in range(BATCHES)]
        features = {k: torch.cat([_features(model, f)[k] for f in frames]) for k in model.tokens.encoders}
        model.tokens.fit({k: v.flatten(0, 1) for k, v in features.items()})
        model.tokens.fit_changes(model.tokens.scaled(features))
        if model.reader is not None:
            model.reader.fit_statistics({k: torch.cat([f[k].flatten(0, 1) for f in frames]) for k in config.vectors})

    def example(self) -> Example:
        """A camera that shows a dot that actions move; tokens of a small DINOv2 and of the image's own patches."""
        keys = {"rgb": ((16, 16, 3), "uint8"), "place": ((2,), "float32"), "action": ((2,), "float32")}
        rng = np.random.default_rng(0)
        sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "patch_size": 8, "image_size": 16}
        encoders = [
            EncoderConfig("dinov2", architecture=sizes, image_size=16, grid=2),
            EncoderConfig("pixels", image_size=16, grid=2),
        ]
        changes = {
            "encoders": [asdict(e) for e in encoders], "width": 16, "layers": 1, "heads": 2, "history": 3, "chunk": 2,
            "actions_per_frame": 2, "channels": 4, "decoder_width": 4, "vectors": {"place": [["linear", 2]]},
        }  # fmt: skip
        return Example(
            keys=keys,
            info={"action": {"low": [-1.0, -1.0], "high": [1.0, 1.0]}, "frame_rate": 10.0},
            episodes=[(moving_dot(rng, 24), {"split": "val" if i == 3 else "train"}) for i in range(4)],
            changes=changes,
            settings={"batch_size": 2, "length": 9, "warmup": 2, "precision": "fp32"},
        )


def _body(facts: StoreFacts) -> dict[str, Any]:
    """The layout of the suite's proprioception, where the store has it."""
    name = None if facts.suite is None else facts.suite.proprioception
    return {name: facts.layouts[name]} if name is not None and name in facts.layouts else {}


def _feature(model: LatentDiffusion, encoder: EncoderConfig) -> Feature:
    config, held = model.config, model.tokens.encoders[encoder.kind]
    assert isinstance(held, VisionEncoder)

    def encode(rows: Mapping[str, np.ndarray]) -> np.ndarray:
        if held.sha256 != encoder.sha256:  # a resumed run has not loaded its weights yet
            held.fetch()
        device = model.low.device
        images = [torch.from_numpy(np.array(rows[name])).movedim(-1, 1).to(device) for name in config.images]
        tokens: Tensor = torch.cat([held(x) for x in images], 1)
        return tokens.half().cpu().numpy()

    reads = tuple(config.images)
    return Feature(FEATURES + encoder.kind, encoder.digest, reads, (config.tokens, encoder.token_dim), encode)


def _features(model: LatentDiffusion, frames: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Encoders' own tokens [B, T, N, Z] of a batch, ready or of its images."""
    ready = {k: frames[FEATURES + k].float() for k in model.tokens.encoders if FEATURES + k in frames}
    if ready:
        return ready
    size = frames["action"].shape[0], frames["action"].shape[1] + 1
    images = {name: frames[name].flatten(0, 1) for name in model.config.images}
    return {k: v.unflatten(0, size) for k, v in model.tokens.encode(images).items()}


RECIPE = LatentDiffusionRecipe()
