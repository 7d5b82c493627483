"""Configuration of the imagination-guided diffusion policy."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from dreamgym.fields import from_json
from dreamgym.types import ActionSpec

TINY: dict[str, Any] = {"width": 64, "encoder_layers": 2, "decoder_layers": 2, "heads": 4}
"""Sizes for CPU cores."""


@dataclass(frozen=True)
class GuidedConfig:
    """Configures `GuidedPolicy`; defaults are LaDi-WM's (appendix A, Table 10).

    Attributes:
        feature_dim: Z of the world model.
        action: one control action.
        tasks: what it was shown; a task's vector stands for its instruction.
        actions_per_frame: a, of the world model.
        chunk: control actions T of a decision, a whole number of frames.
        execute: how many of them are carried out before the next decision; the paper carries out one.
        instruction_dim: numbers of a task's vector.
        history: l, frames of features that it reads.
        tokens: into how many tokens the features of a frame are divided.
        proprioception: which entries of the suite's proprioception it reads beside the features, a token a frame
            (Table 11: those of the joints or of the end effector); none: features alone.
        width, heads: of the transformer.
        encoder_layers, decoder_layers: of the transformer.
        denoising_steps: of a decision (Table 10: two do).
    """

    feature_dim: int
    action: ActionSpec
    tasks: tuple[str, ...]
    actions_per_frame: int = 1
    chunk: int = 6
    execute: int = 1
    instruction_dim: int = 16
    history: int = 4
    tokens: int = 1
    proprioception: tuple[int, ...] = ()
    width: int = 256
    heads: int = 8
    encoder_layers: int = 6
    decoder_layers: int = 4
    denoising_steps: int = 2

    def __post_init__(self) -> None:
        sizes = (
            "feature_dim",
            "actions_per_frame",
            "chunk",
            "execute",
            "instruction_dim",
            "history",
            "tokens",
            "width",
        )
        for name in (*sizes, "heads", "encoder_layers", "decoder_layers", "denoising_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if len(set(self.proprioception)) < len(self.proprioception) or min(self.proprioception, default=0) < 0:
            raise ValueError(f"proprioception: expected entries, each once, from 0 on; got {self.proprioception}")
        if not self.tasks:
            raise ValueError("tasks: a policy needs one at least")
        if self.chunk % self.actions_per_frame or self.execute % self.actions_per_frame or self.execute > self.chunk:
            raise ValueError(
                f"chunk and execute must be whole frames of {self.actions_per_frame} actions, and no more executed "
                f"than decided; got {self.chunk} and {self.execute}"
            )
        if self.feature_dim % self.tokens or self.width % (2 * self.heads):
            raise ValueError(
                f"features of {self.feature_dim} must divide into {self.tokens} tokens, and a width of {self.width} "
                f"into {self.heads} heads of an even number"
            )

    @property
    def frames(self) -> int:
        """k, frames that a chunk leads through."""
        return self.chunk // self.actions_per_frame

    @property
    def seen_dim(self) -> int:
        """Numbers of a frame that it sees: features, then proprioception."""
        return self.feature_dim + len(self.proprioception)

    def tiny(self) -> GuidedConfig:
        """The same at a size for CPU cores."""
        return replace(self, **TINY)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; `from_dict` reads it back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> GuidedConfig:
        """Reads what `to_dict` (through JSON) wrote."""
        return from_json(cls, data)
