"""The networks of interactive latent diffusion: one stream of tokens an encoder, which read each other's clean part.

What does not change while a chunk is denoised is computed once a chunk: the history's keys and values in every layer,
and the embeddings of actions. Frames of the history attend to each other alone, so that this is exact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dreamgym.world_models.families.latent_diffusion.config import LatentDiffusionConfig

KeyValues = list[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Context:
    """What stays the same over the denoising steps of a chunk of F frames.

    Attributes:
        keys: for each stream, keys and values of the history in each layer, each [B, heads, l * N, width / heads].
        actions: embeddings of the actions that lead to each future frame, [B, F, width].
        mask: which tokens a future token reads, bool [F * N, (l + F) * N]; None: all.
    """

    keys: tuple[KeyValues, ...]
    actions: Tensor
    mask: Tensor | None

    def repeated(self, times: int) -> Context:
        """The context of as many copies of the batch, one after the other."""
        keys = tuple([(k.repeat(times, 1, 1, 1), v.repeat(times, 1, 1, 1)) for k, v in layers] for layers in self.keys)
        return Context(keys, self.actions.repeat(times, 1, 1), self.mask)


class Denoiser(nn.Module):
    """Decomposition networks (equation 5) and denoising networks (equation 6) of all streams.

    Equation 6 as printed gives the denoising networks no C, the text feeds it to them: here each takes its own C
    beside z_n, and attends to the others' C.
    """

    def __init__(self, config: LatentDiffusionConfig) -> None:
        super().__init__()
        self.config = config
        width, per_frame = config.width, config.actions_per_frame * config.action.dim
        self.action = nn.Sequential(nn.Linear(per_frame, width), nn.SiLU(), nn.Linear(width, width))
        self.time = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.streams = nn.ModuleList([_Stream(config, channels) for channels in config.streams])

    def context(self, history: list[Tensor], past: Tensor, future: Tensor) -> Context:
        """What a chunk's denoising steps share.

        Args:
            history: each stream's places [B, l, N, C]; N and C are the config's ``places`` and ``streams`` here.
            past: actions that led to each frame of the history [B, l, a * A], scaled.
            future: those that lead to each future frame [B, F, a * A].
        """
        known = self.action(past) + self.time(_waves(past.new_zeros(1), self.config.width))
        keys = tuple(stream.remember(x, known) for stream, x in zip(self._streams, history, strict=True))
        return Context(keys, self.action(future), self._mask(future.shape[1], future.device))

    def forward(self, noisy: list[Tensor], n: Tensor, context: Context) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Clean component C, clean value z_0 and noise eta of each stream, each as its z_n.

        Args:
            noisy: each stream's z_n [B, F, N, C].
            n: diffusion time [B].
            context: of the chunk.
        """
        condition = context.actions + self.time(_waves(n, self.config.width)).unsqueeze(1)
        clean = [
            stream.decompose(z, condition, keys, context.mask)
            for stream, z, keys in zip(self._streams, noisy, context.keys, strict=True)
        ]
        told = [stream.tell(c) for stream, c in zip(self._streams, clean, strict=True)] if len(clean) > 1 else []
        out = []
        for i, (stream, z, c) in enumerate(zip(self._streams, noisy, clean, strict=True)):
            others = [t for j, t in enumerate(told) if j != i]
            heard = torch.cat(others, 1) if others else None
            mask = self._heard(context.mask, len(others), z.shape[1], z.shape[2]) if others else None
            out.append((c, *stream.denoise(z, c, heard, mask, condition, context.keys[i], context.mask)))
        return out

    @property
    def _streams(self) -> list[_Stream]:
        return [s for s in self.streams if isinstance(s, _Stream)]

    def _mask(self, frames: int, device: torch.device) -> Tensor | None:
        if not self.config.causal or frames == 1:
            return None
        past = torch.ones(frames, self.config.history, dtype=torch.bool, device=device)
        future = torch.ones(frames, frames, dtype=torch.bool, device=device).tril()
        places = self.config.places
        return torch.cat([past, future], 1).repeat_interleave(places, 0).repeat_interleave(places, 1)

    def _heard(self, mask: Tensor | None, others: int, frames: int, tokens: int) -> Tensor | None:
        """Which of the other streams' tokens a token reads: those of frames up to its own."""
        return None if mask is None else mask[:, -frames * tokens :].repeat(1, others)


class _Stream(nn.Module):
    """The networks of one encoder's tokens."""

    def __init__(self, config: LatentDiffusionConfig, channels: int) -> None:
        super().__init__()
        width, heads = config.width, config.heads
        self.history = config.history
        self.past, self.noisy = nn.Linear(channels, width), nn.Linear(channels, width)
        self.place = nn.Parameter(0.02 * torch.randn(config.places, width))
        self.moment = nn.Parameter(0.02 * torch.randn(config.history + config.chunk, 1, width))
        self.layers = nn.ModuleList([_Block(width, heads) for _ in range(config.layers)])
        self.clean = _Output(width, channels)
        crossed = len(config.streams) > 1
        self.own = nn.Linear(2 * channels, width)
        self.told = nn.Linear(channels, width) if crossed else None
        self.last = nn.ModuleList([_Block(width, heads, crossed) for _ in range(config.denoiser_layers)])
        self.output = _Output(width, 2 * channels)

    def remember(self, history: Tensor, condition: Tensor) -> KeyValues:
        """Keys and values of the history [B, l, N, C] in every layer, those of the denoising network last."""
        x = self.past(history) + self.place + self.moment[: self.history]
        x, found = x.flatten(1, 2), []
        blocks = [*self.layers, *self.last]
        for i, block in enumerate(blocks):
            assert isinstance(block, _Block)
            x, keys = block.remember(x, condition, last=i == len(blocks) - 1)
            found.append(keys)
        return found

    def decompose(self, z: Tensor, condition: Tensor, keys: KeyValues, mask: Tensor | None) -> Tensor:
        """Equation 5: the clean component C."""
        x = (self.noisy(z) + self._position(z)).flatten(1, 2)
        for block, known in zip(self.layers, keys, strict=False):
            x = block(x, condition, known, mask)
        c: Tensor = self.clean(x, condition)
        return c.unflatten(1, z.shape[1:3])

    def tell(self, clean: Tensor) -> Tensor:
        """A clean component as the other streams attend to it, [B, F * N, width]."""
        assert self.told is not None
        x: Tensor = self.told(clean) + self._position(clean)
        return x.flatten(1, 2)

    def denoise(
        self, z: Tensor, clean: Tensor, heard: Tensor | None, heard_mask: Tensor | None, condition: Tensor,
        keys: KeyValues, mask: Tensor | None,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        """Equation 6: z_0 and eta."""
        x = (self.own(torch.cat([z, clean], -1)) + self._position(z)).flatten(1, 2)
        for block, known in zip(self.last, keys[len(self.layers) :], strict=True):
            x = block(x, condition, known, mask, heard, heard_mask)
        value, noise = self.output(x, condition).unflatten(1, z.shape[1:3]).chunk(2, -1)
        return value, noise

    def _position(self, z: Tensor) -> Tensor:
        return self.place + self.moment[self.history : self.history + z.shape[1]]


class _Block(nn.Module):
    """A layer of a diffusion transformer (Peebles and Xie 2023), its adaptive layer norm conditioned a frame."""

    def __init__(self, width: int, heads: int, crossed: bool = False) -> None:
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList([nn.LayerNorm(width, elementwise_affine=False, eps=1e-6) for _ in range(2)])
        self.modulation = nn.Linear(width, 6 * width)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(approximate="tanh"), nn.Linear(4 * width, width))
        self.cross = _Cross(width, heads) if crossed else None

    def forward(
        self, x: Tensor, condition: Tensor, known: tuple[Tensor, Tensor], mask: Tensor | None,
        heard: Tensor | None = None, heard_mask: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """Tokens [B, F * N, width] of F frames, which attend to the history and to each other."""
        shift, scale, gate, shift2, scale2, gate2 = self._modulations(condition)
        q, k, v = self._qkv(_modulate(self.norms[0](x), shift, scale))
        k, v = torch.cat([known[0], k], 2), torch.cat([known[1], v], 2)
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        x = x + _scale(self.out(_joined(attended)), gate)
        if self.cross is not None and heard is not None:
            x = x + self.cross(x, heard, heard_mask)
        return x + _scale(self.mlp(_modulate(self.norms[1](x), shift2, scale2)), gate2)

    def remember(self, x: Tensor, condition: Tensor, last: bool) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """The history's tokens [B, l * N, width] one layer on (as they were, if it is the last), and their keys and
        values.
        """
        shift, scale, gate, shift2, scale2, gate2 = self._modulations(condition)
        q, k, v = self._qkv(_modulate(self.norms[0](x), shift, scale))
        if last:
            return x, (k, v)
        x = x + _scale(self.out(_joined(F.scaled_dot_product_attention(q, k, v))), gate)
        return x + _scale(self.mlp(_modulate(self.norms[1](x), shift2, scale2)), gate2), (k, v)

    def _modulations(self, condition: Tensor) -> tuple[Tensor, ...]:
        out: tuple[Tensor, ...] = self.modulation(F.silu(condition)).chunk(6, -1)
        return out

    def _qkv(self, x: Tensor) -> tuple[Tensor, ...]:
        return tuple(_split(part, self.heads) for part in self.qkv(x).chunk(3, -1))


class _Cross(nn.Module):
    """Cross-attention to the other streams' clean components (appendix A)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList([nn.LayerNorm(width) for _ in range(2)])
        self.q, self.kv, self.out = nn.Linear(width, width), nn.Linear(width, 2 * width), nn.Linear(width, width)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor, heard: Tensor, mask: Tensor | None) -> Tensor:
        k, v = (_split(part, self.heads) for part in self.kv(self.norms[1](heard)).chunk(2, -1))
        q = _split(self.q(self.norms[0](x)), self.heads)
        out: Tensor = self.out(_joined(F.scaled_dot_product_attention(q, k, v, attn_mask=mask)))
        return out


class _Output(nn.Module):
    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)
        self.modulation, self.linear = nn.Linear(width, 2 * width), nn.Linear(width, channels)
        for layer in (self.modulation, self.linear):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        shift, scale = self.modulation(F.silu(condition)).chunk(2, -1)
        out: Tensor = self.linear(_modulate(self.norm(x), shift, scale))
        return out


def _split(x: Tensor, heads: int) -> Tensor:
    """[B, T, width] to [B, heads, T, width / heads]."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def _joined(x: Tensor) -> Tensor:
    return x.transpose(1, 2).flatten(2)


def _scale(x: Tensor, by: Tensor) -> Tensor:
    """Tokens [B, F * N, width] times what each frame has, [B, F, width]."""
    return (x.unflatten(1, (by.shape[1], -1)) * by.unsqueeze(2)).flatten(1, 2)


def _modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    frames = x.unflatten(1, (scale.shape[1], -1))
    return torch.addcmul(shift.unsqueeze(2), frames, 1 + scale.unsqueeze(2)).flatten(1, 2)


def _waves(n: Tensor, width: int) -> Tensor:
    """Diffusion time [B] in [0, 1] as sines and cosines [B, width]."""
    rates = torch.exp(-math.log(1e4) * torch.arange(width // 2, device=n.device) / (width // 2))
    angles = 1000 * n.unsqueeze(1) * rates
    return torch.cat([angles.sin(), angles.cos()], 1)
