"""Sizes of the policies (DiWA Table S.3)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from dreamgym.types import ActionSpec

SAMPLERS = ("ddpm", "ddim")


@dataclass(frozen=True)
class PolicyConfig:
    """What both kinds of policy share.

    Attributes:
        feature_dim: Z, size of the world model's features, flattened.
        action_low, action_high: bounds of an action; the networks work on actions scaled to [-1, 1].
        chunk: actions a decision holds, all of them executed (T_p = T_a = 4); a multiple of ``actions_per_frame``.
        actions_per_frame: control actions between two frames of the world model.
        hidden: widths of the MLP.
        tuned_steps: K', the last denoising steps that have a tunable copy of the network; 0 before fine-tuning. A
            Gaussian policy has one step.
        min_std: least standard deviation while exploring, and in every log-probability, in units of scaled actions.
            Table S.5 leaves it out; 0.1 is what the DPPO paper found to explore well.
    """

    feature_dim: int
    action_low: tuple[float, ...]
    action_high: tuple[float, ...]
    chunk: int = 4
    hidden: tuple[int, ...] = (512, 512, 512)
    tuned_steps: int = 0
    min_std: float = 0.1
    actions_per_frame: int = 1

    def __post_init__(self) -> None:
        for name in ("action_low", "action_high", "hidden"):  # JSON has lists
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if len(self.action_low) != len(self.action_high) or not self.action_low:
            raise ValueError(f"action bounds need one length, got {self.action_low} and {self.action_high}")
        if self.feature_dim < 1 or self.chunk < 1 or not self.hidden:
            raise ValueError(f"feature_dim, chunk and hidden must not be empty, got {self}")
        if self.actions_per_frame < 1 or self.chunk % self.actions_per_frame:
            raise ValueError(
                f"chunk must be a multiple of the {self.actions_per_frame} actions of a frame, got {self.chunk}"
            )
        if self.min_std <= 0:
            raise ValueError(f"min_std must be positive, got {self.min_std}: a step without noise has no likelihood")

    @property
    def action_dim(self) -> int:
        """A."""
        return len(self.action_low)

    @property
    def flat_dim(self) -> int:
        """D = chunk x A, a flattened chunk."""
        return self.chunk * self.action_dim

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return asdict(self)

    @staticmethod
    def sizes(feature_dim: int, action: ActionSpec, actions_per_frame: int = 1) -> dict[str, Any]:
        """The fields that a world model decides; a chunk is the shortest of whole frames that Table S.3's fits into."""
        chunk = -(-PolicyConfig.chunk // actions_per_frame) * actions_per_frame
        return {
            "feature_dim": feature_dim,
            "action_low": action.low,
            "action_high": action.high,
            "chunk": chunk,
            "actions_per_frame": actions_per_frame,
        }


@dataclass(frozen=True)
class DiffusionConfig(PolicyConfig):
    """Configures a `DiffusionPolicy` (DiWA S.2.2, Table S.3).

    Attributes:
        steps: K, denoising steps.
        schedule: noise schedule, a name of diffusers' ``beta_schedule``; "squaredcos_cap_v2" is the cosine of Nichol
            and Dhariwal and needs no diffusers.
        time_dim: size of the sinusoidal embedding of k.
        sampler: how ``act`` samples: "ddpm", or "ddim" (deterministic, in fewer steps).
        ddim_steps: denoising steps of the DDIM sampler.
    """

    steps: int = 20
    schedule: str = "squaredcos_cap_v2"
    time_dim: int = 32
    sampler: str = "ddpm"
    ddim_steps: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sampler not in SAMPLERS:
            raise ValueError(f"sampler must be one of {SAMPLERS}, got {self.sampler!r}")
        if not 0 <= self.tuned_steps <= self.steps:
            raise ValueError(f"tuned_steps must lie in [0, {self.steps}], got {self.tuned_steps}")
        if not 1 <= self.ddim_steps <= self.steps:
            raise ValueError(f"ddim_steps must lie in [1, {self.steps}], got {self.ddim_steps}")

    @classmethod
    def paper(cls, feature_dim: int, action: ActionSpec, actions_per_frame: int = 1) -> DiffusionConfig:
        """Table S.3."""
        return cls(**cls.sizes(feature_dim, action, actions_per_frame))

    @classmethod
    def tiny(cls, feature_dim: int, action: ActionSpec, actions_per_frame: int = 1) -> DiffusionConfig:
        """Half the width: a quarter of the work of a denoising step."""
        return cls(**cls.sizes(feature_dim, action, actions_per_frame), hidden=(256, 256, 256))


@dataclass(frozen=True)
class GaussianConfig(PolicyConfig):
    """Configures a `GaussianPolicy` (DiWA S.5.3): a mean and a diagonal covariance.

    Attributes:
        initial_std: standard deviation before training, in scaled actions.
        sample: whether ``act`` draws from the Gaussian or takes its mean.
    """

    initial_std: float = 0.3
    sample: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.tuned_steps not in (0, 1):
            raise ValueError(f"a Gaussian policy has one step: tuned_steps must be 0 or 1, got {self.tuned_steps}")

    @classmethod
    def paper(cls, feature_dim: int, action: ActionSpec, actions_per_frame: int = 1) -> GaussianConfig:
        """The diffusion policy's MLP."""
        return cls(**cls.sizes(feature_dim, action, actions_per_frame))

    @classmethod
    def tiny(cls, feature_dim: int, action: ActionSpec, actions_per_frame: int = 1) -> GaussianConfig:
        """Half the width."""
        return cls(**cls.sizes(feature_dim, action, actions_per_frame), hidden=(256, 256, 256))
