"""CogVideoX's transformer over the latents of a clip: tokens, positions, first frame and instruction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from dreamgym.world_models.families.video_cascade.config import VideoCascadeConfig
from dreamgym.world_models.families.video_cascade.pretrained import load_part, on_meta
from dreamgym.world_models.families.video_cascade.sizes import BackboneSize

BASE = (60, 90)
"""Height and width of the latents that CogVideoX's positions are of."""

LORA_TARGETS = (
    "attn1.to_q", "attn1.to_k", "attn1.to_v", "attn1.to_out.0", "ff.net.0.proj", "ff.net.2", "norm1.linear",
    "norm2.linear",
)  # fmt: skip
"""Section 3.2: attention, feed-forward and normalisation layers."""


class VideoBackbone(nn.Module):
    """A `CogVideoXTransformer3DModel` that is shown a clip's first frame beside the latents, on channels.

    Args:
        config: of the cascade.
        size: of the transformer.
        weights: of a pretrained CogVideoX; None: trained from scratch.
        lora_rank: of adapters on `LORA_TARGETS`, or None for none.
        beside: whether it is shown further latents beside those that it changes.
    """

    def __init__(
        self,
        config: VideoCascadeConfig,
        size: BackboneSize,
        weights: str | None = None,
        lora_rank: int | None = None,
        beside: bool = False,
    ) -> None:
        super().__init__()
        from diffusers import CogVideoXTransformer3DModel

        self.size, self.stride, self.beside = size, config.autoencoder.stride, beside
        self.everywhere = config.residual  # whether the first frame is shown at every frame
        # Actions are also shown at their own frames, beside the latents.
        self.moved = (
            nn.Linear(config.text.width, config.autoencoder.latent_channels) if config.follows_actions else None
        )
        arguments = transformer_arguments(config, size, weights, beside)
        kind: Any = CogVideoXTransformer3DModel
        self.transformer: Any = kind(**arguments) if weights is None else load_transformer(weights, arguments)
        if lora_rank is not None:
            add_lora(self.transformer, lora_rank)

    def forward(
        self, latents: Tensor, first: Tensor, text: Tensor, time: Tensor, beside: Tensor | None = None
    ) -> Tensor:
        """The transformer's prediction [B, T, Z, h, w].

        Args:
            latents: [B, T, Z, h, w], noised or on the flow's path.
            first: [B, 1, Z, h, w], the first frame's latent.
            text: [B, L, D], the instruction's embedding, or [B, T, D] that of the actions.
            time: [B], diffusion time 0 .. 1000.
            beside: [B, T, Z, h, w], what else it is shown, where it was built so.
        """
        frames = latents.shape[1]
        if self.everywhere:
            shown = first.expand(-1, frames, -1, -1, -1)
        else:
            shown = torch.cat([first, torch.zeros_like(latents[:, 1:])], 1)
        if self.moved is not None:
            moved = self.moved(text)[..., None, None].expand(-1, -1, -1, *latents.shape[3:])
            shown = torch.cat([shown, moved], 2)
        if beside is not None:
            shown = torch.cat([shown, beside], 2)
        out: Tensor = self.transformer(
            hidden_states=torch.cat([latents, shown], 2),
            encoder_hidden_states=text,
            timestep=time,
            image_rotary_emb=self.rotary(latents) if self.size.rotary else None,
            return_dict=False,
        )[0]
        return out.float()

    def rotary(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """Cosines and sines [T h w / patch^2, head_dim] of the tokens' 3D rotary positions, at any resolution.

        A resolution's grid is laid over the base grid, as CogVideoX lays it, so that one place of the picture has one
        position at both resolutions.
        """
        from diffusers.models.embeddings import get_3d_rotary_pos_embed
        from diffusers.pipelines.cogvideo.pipeline_cogvideox import get_resize_crop_region_for_grid

        patch, about = self.size.patch, self.transformer.config
        grid = latents.shape[-2] // patch, latents.shape[-1] // patch
        region = get_resize_crop_region_for_grid(grid, about.sample_width // patch, about.sample_height // patch)
        cos, sin = get_3d_rotary_pos_embed(
            self.size.head_dim, region, grid, temporal_size=latents.shape[1], device=latents.device
        )
        return cos, sin

    @contextmanager
    def without_lora(self) -> Iterator[None]:
        """Within the block the adapters are off: the backbone as it was before it became a preview."""
        self.transformer.disable_adapters()
        try:
            yield
        finally:
            self.transformer.enable_adapters()


def transformer_arguments(
    config: VideoCascadeConfig, size: BackboneSize, weights: str | None, beside: bool
) -> dict[str, Any]:
    """Constructor arguments of `CogVideoXTransformer3DModel`: image conditioning, no learned positions.

    The base grid of the positions is that of the pretrained weights, or the high resolution's.
    """
    height, width = BASE if weights else config.latent_size("high")
    return {
        "num_attention_heads": size.heads,
        "attention_head_dim": size.head_dim,
        "in_channels": (2 + config.follows_actions + beside) * config.autoencoder.latent_channels,
        "out_channels": config.autoencoder.latent_channels,
        "time_embed_dim": size.time_dim,
        "text_embed_dim": config.text.width,
        "num_layers": size.layers,
        "sample_width": width,
        "sample_height": height,
        "sample_frames": config.frames,
        "patch_size": size.patch,
        "temporal_compression_ratio": config.autoencoder.stride,
        "max_text_seq_length": config.told_tokens,
        "use_rotary_positional_embeddings": size.rotary,
    }


def load_transformer(weights: str, arguments: dict[str, Any]) -> Any:
    """A pretrained transformer, its learned positions discarded (section 3.2).

    Where it was trained from text alone its patch embedding is widened by channels for the first frame (and for
    actions), whose weights are zero: it begins as it was.
    """
    from diffusers import CogVideoXTransformer3DModel

    if on_meta():
        return CogVideoXTransformer3DModel(**arguments)
    free_ones = ("in_channels", "max_text_seq_length")  # any number of tokens goes
    sizes = {k: v for k, v in arguments.items() if k not in free_ones and not k.startswith("sample_")}
    free = {"use_learned_positional_embeddings": False}
    transformer = load_part(CogVideoXTransformer3DModel, weights, "transformer", sizes, **free)
    wanted, found = arguments["in_channels"], transformer.config.in_channels
    narrower = range(arguments["out_channels"], wanted, arguments["out_channels"])
    if found in narrower:
        widen(transformer, wanted)
    elif found != wanted:
        known = " or ".join(map(str, [*narrower, wanted]))
        raise ValueError(f"the transformer of {weights!r} reads {found} channels, expected {known}")
    return transformer


def widen(transformer: Any, channels: int) -> None:
    """Gives the patch embedding ``channels`` input channels; those beyond its own begin with zero weights."""
    old = transformer.patch_embed.proj
    new = nn.Conv2d(
        channels, old.out_channels, old.kernel_size, old.stride, bias=old.bias is not None, device=old.weight.device,
        dtype=old.weight.dtype,
    )  # fmt: skip
    with torch.no_grad():
        new.weight.zero_()
        new.weight[:, : old.in_channels] = old.weight
        if new.bias is not None:
            new.bias.copy_(old.bias)
    transformer.patch_embed.proj = new
    transformer.register_to_config(in_channels=channels)


def add_lora(transformer: Any, rank: int, targets: Sequence[str] = LORA_TARGETS) -> None:
    """Adds adapters that change nothing before they are trained."""
    from peft import LoraConfig

    wanted = {name: p.requires_grad for name, p in transformer.named_parameters()}
    transformer.add_adapter(LoraConfig(r=rank, lora_alpha=rank, target_modules=list(targets)))
    for name, parameter in transformer.named_parameters():  # peft freezes the rest; what is trained is a stage's choice
        parameter.requires_grad_(wanted.get(name.replace(".base_layer.", "."), True))
