"""A vision-only diffusion policy on frames of different timestamps (DVG-WM, section 3.4)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dreamgym_agents.action_expert.config import ExpertConfig

SHIFT = 1 / 16
"""Share of the width by which training shifts the frames of a moment at most, all alike."""


class FrameEncoder(nn.Module):
    """Convolutions of stride 2 down to 4 pixels or fewer, then one linear layer."""

    def __init__(self, image: tuple[int, int, int], depth: int, embed: int) -> None:
        super().__init__()
        channels, (height, width) = image[0], image[1:]
        layers: list[nn.Module] = []
        while max(height, width) > 4:
            layers += [nn.Conv2d(channels, depth, 4, 2, 1), nn.GroupNorm(1, depth), nn.SiLU()]
            channels, depth, height, width = depth, 2 * depth, height // 2, width // 2
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * height * width, embed))

    def forward(self, image: Tensor) -> Tensor:
        """[N, C, H, W] in [0, 1] to [N, embed]."""
        out: Tensor = self.layers(image - 0.5)
        return out


class ActionExpert(nn.Module):
    """Denoises a chunk of actions, given the present frame and frames of the future.

    Each frame is encoded by itself, by one encoder; their embeddings, in order of time, are the condition, and so is
    the task where it is told one.
    """

    low: Tensor
    high: Tensor

    def __init__(self, config: ExpertConfig) -> None:
        super().__init__()
        try:
            from diffusers.models.embeddings import TimestepEmbedding, Timesteps
        except ImportError as error:
            raise ImportError(f'an action expert needs diffusers ({error}): pip install "dreamgym[agents]"') from error

        self.config = config
        flat, width = config.chunk * config.action.dim, config.hidden[0]
        self.encoder = FrameEncoder(config.image, config.depth, config.embed)
        self.waves = Timesteps(64, flip_sin_to_cos=True, downscale_freq_shift=0)
        self.time = TimestepEmbedding(64, width)
        self.condition = nn.Linear(len(config.offsets) * config.embed, width)
        self.told = nn.Embedding(len(config.tasks), width) if config.tasks else None
        self.entry = nn.Linear(flat, width)
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(config.hidden, config.hidden[1:], strict=False))
        self.out = nn.Linear(config.hidden[-1], flat)
        self.register_buffer("low", torch.tensor(config.action.low), persistent=False)
        self.register_buffer("high", torch.tensor(config.action.high), persistent=False)

    def embed(self, frames: Tensor, task: Tensor | None = None) -> Tensor:
        """The condition [B, width] of what it sees.

        Args:
            frames: [B, K, C, H, W] in [0, 1], one for each of ``config.offsets``.
            task: int64 [B], numbers in ``config.tasks``, where it is told them.

        Raises:
            ValueError: another number or size of frames, or no task.
        """
        want = (len(self.config.offsets), *self.config.image)
        if tuple(frames.shape[1:]) != want:
            raise ValueError(f"expected frames [B, {', '.join(map(str, want))}], got {tuple(frames.shape)}")
        each = self.encoder(frames.flatten(0, 1)).unflatten(0, frames.shape[:2])
        out: Tensor = self.condition(F.silu(each.flatten(1)))
        if self.told is None:
            return out
        if task is None:
            raise ValueError(f"this expert is told its task, one of {self.config.tasks}")
        return out + self.told(task)

    def denoise(self, noised: Tensor, step: Tensor, condition: Tensor) -> Tensor:
        """The noise [B, chunk * A] in noised chunks, at diffusion steps [B]."""
        h = self.entry(noised) + self.time(self.waves(step)) + condition
        for layer in self.layers:
            h = h + layer(F.silu(h)) if layer.in_features == layer.out_features else layer(F.silu(h))
        out: Tensor = self.out(F.silu(h))
        return out

    def loss(
        self,
        frames: Tensor,
        actions: Tensor,
        generator: torch.Generator | None = None,
        task: Tensor | None = None,
    ) -> Tensor:
        """Mean squared error of the predicted noise (equation 6).

        Args:
            frames: [B, K, C, H, W] in [0, 1].
            actions: [B, chunk, A], what led from the present frame to the next.
            generator: of noise and diffusion steps.
            task: see `embed`.
        """
        schedule, clean = self.schedule(), self.to_unit(actions).flatten(1)
        noise = torch.randn(clean.shape, generator=generator, device=clean.device)
        step = torch.randint(0, self.config.diffusion_steps, (len(clean),), generator=generator, device=clean.device)
        noised = schedule.add_noise(clean, noise, step)
        return (self.denoise(noised, step, self.embed(frames, task)) - noise).square().mean()

    @torch.no_grad()
    def decide(self, frames: Tensor, generator: torch.Generator | None = None, task: Tensor | None = None) -> Tensor:
        """A chunk of actions [B, chunk, A] within their bounds."""
        schedule, config, condition = self.schedule(), self.config, self.embed(frames, task)
        schedule.set_timesteps(config.sampling_steps)  # the schedule reads its steps: they stay on the host
        shape = (len(frames), config.chunk * config.action.dim)
        x = torch.randn(shape, generator=generator, device=frames.device)
        for step in schedule.timesteps:
            noise = self.denoise(x, step.to(x.device).expand(len(x)), condition)
            x = schedule.step(noise, step, x).prev_sample
        return self.from_unit(x.unflatten(1, (config.chunk, -1)).clamp(-1, 1))

    def schedule(self) -> Any:
        """The noise schedule of diffusion policies: squared cosine, noise predicted."""
        from diffusers import DDIMScheduler

        return DDIMScheduler(
            num_train_timesteps=self.config.diffusion_steps, beta_schedule="squaredcos_cap_v2", clip_sample=True,
            prediction_type="epsilon", timestep_spacing="trailing",
        )  # fmt: skip

    def to_unit(self, actions: Tensor) -> Tensor:
        """Actions [..., A] scaled to [-1, 1]."""
        return 2 * (actions - self.low) / (self.high - self.low) - 1

    def from_unit(self, actions: Tensor) -> Tensor:
        """The inverse of `to_unit`."""
        return self.low + (actions + 1) / 2 * (self.high - self.low)


def seen(present: Tensor, clip: Tensor, now: int, offsets: tuple[int, ...]) -> Tensor:
    """Frames [B, K, C, H, W] that an expert sees.

    Args:
        present: [B, C, H, W], the present frame.
        clip: [B, F + 1, C, H, W], the clip; its frame ``now`` is the present one as it was imagined.
        now: number of the present frame.
        offsets: see `ExpertConfig`.
    """
    last = clip.shape[1] - 1
    return torch.stack([present if k == 0 else clip[:, min(now + k, last)] for k in offsets], 1)


def shifted(frames: Tensor, generator: torch.Generator | None) -> Tensor:
    """Frames [B, K, C, H, W] moved by up to `SHIFT` of their width, those of one moment alike; edges are repeated."""
    height, width = frames.shape[-2:]
    most = round(SHIFT * width)
    dx, dy = torch.randint(0, 2 * most + 1, (2, len(frames)), generator=generator, device=frames.device).tolist()
    padded = F.pad(frames.flatten(1, 2), (most,) * 4, mode="replicate").unflatten(1, frames.shape[1:3])
    moved = [p[..., y : y + height, x : x + width] for p, x, y in zip(padded, dx, dy, strict=True)]
    return torch.stack(moved)
