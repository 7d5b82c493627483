"""Numbers that depend on (seed, env, episode) alone: what one env draws never depends on when another was reset."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def _signed(value: int) -> int:
    """A 64-bit constant as the int64 that torch multiplies with (products wrap, as the hash wants)."""
    return value - (1 << 64) if value >= 1 << 63 else value


_STRIDES = tuple(_signed(c) for c in (0x9E3779B97F4A7C15, 0xD1B54A32D192ED03, 0x8CB92BA72F3D8DD7, 0xA24BAED4963EE407))
_MIX = tuple(_signed(c) for c in (0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


def _shift(x: Tensor, bits: int) -> Tensor:
    """Logical right shift: torch's own keeps the sign."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def uniform(seed: int, env: Tensor, episode: Tensor, stream: int = 0) -> Tensor:
    """Uniform numbers in [0, 1), one an env: the splitmix64 finaliser of a counter.

    Args:
        seed: the env's seed.
        env: [K] int64, env numbers.
        episode: [K] int64, how many episodes that env has begun.
        stream: which of several independent numbers of an episode.

    Returns:
        [K] float64.
    """
    offset = (stream * _STRIDES[2] + seed * _STRIDES[3]) % (1 << 63)
    if env.device.type == "cpu":
        return torch.from_numpy(_uniform_numpy(env.numpy(), episode.numpy(), offset))
    x = env * _STRIDES[0] + episode * _STRIDES[1] + offset
    for constant, bits in zip(_MIX, (30, 27), strict=True):
        x = (x ^ _shift(x, bits)) * constant
    x = x ^ _shift(x, 31)
    return _shift(x, 11).double() * 2.0**-53


_SHIFTS = tuple(np.uint64(bits) for bits in (30, 27, 31, 11))
_WRAPPED = tuple(np.uint64(c % (1 << 64)) for c in (*_STRIDES[:2], *_MIX))


def _uniform_numpy(env: np.ndarray, episode: np.ndarray, offset: int) -> np.ndarray:
    """The same numbers: for the few envs that end at a step, calling torch costs more than the arithmetic."""
    env_stride, episode_stride, *mix = _WRAPPED
    x = env.view(np.uint64) * env_stride + episode.view(np.uint64) * episode_stride + np.uint64(offset)
    for constant, bits in zip(mix, _SHIFTS[:2], strict=True):
        x = (x ^ (x >> bits)) * constant
    values: np.ndarray = ((x ^ (x >> _SHIFTS[2])) >> _SHIFTS[3]) * 2.0**-53
    return values
