"""Sizes of WARPD's networks: the paper's tables, and what can be chosen of them."""

from __future__ import annotations

from dataclasses import dataclass

from dreamgym.fields import check_numbers

# Table 8: hidden layers of the hypernetwork decoder. The sizes the paper states beside them (3.9M, 7.8M, 15.6M, 31.2M)
# are met for a generated policy 39-256-256-4, which pins the architecture: see `dreamgym_agents.warpd.hypernetwork`.
DECODERS: dict[str, tuple[int, ...]] = {"xs": (50, 50), "s": (100, 100), "m": (200, 200), "l": (400, 400)}

# Table 6: width of the diffusion-step embedding, channels by level, kernel. Its first column is misprinted ("extra-
# small (s)", "large (m)"); the rows are xs to xl in order.
UNETS: dict[str, tuple[int, tuple[int, ...], int]] = {
    "xs": (64, (16, 32, 64), 5),
    "s": (256, (32, 64, 128), 5),
    "m": (256, (128, 256, 256), 5),
    "l": (256, (256, 512, 1024), 5),
    "xl": (512, (512, 1024, 2048), 5),
}

# Table 7: width of the diffusion-step embedding, width of the model, layers, heads.
TRANSFORMERS: dict[str, tuple[int, int, int, int]] = {
    "xs": (64, 64, 3, 2),
    "s": (128, 128, 4, 4),
    "m": (256, 256, 6, 8),
    "l": (256, 512, 8, 8),
    "xl": (512, 768, 12, 12),
}

ACTIVATIONS = ("relu", "tanh", "silu")


def check_positive(config: object, *names: str) -> None:
    """Raises ValueError where a field is not above nought."""
    for name in names:
        if getattr(config, name) <= 0:
            raise ValueError(f"{name} must be positive, got {getattr(config, name)}")


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Raises ValueError where ``value`` is none of the choices."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {choices}, got {value!r}")


@dataclass(frozen=True)
class PolicyShape:
    """The multilayer perceptron that a policy is: what a hypernetwork has to give the weights of.

    Attributes:
        obs_dim: O, entries of the observation.
        action_dim: A, entries of the action.
        hidden: widths of the hidden layers (section 4: two of 256; 128 and 512 in Fig. 6).
        activation: between layers. The paper does not say which; hypnettorch's default is ReLU.
    """

    obs_dim: int
    action_dim: int
    hidden: tuple[int, ...] = (256, 256)
    activation: str = "relu"

    def __post_init__(self) -> None:
        check_positive(self, "obs_dim", "action_dim")
        check_choice("activation", self.activation, ACTIVATIONS)
        if not self.hidden or min(self.hidden) < 1:
            raise ValueError(f"hidden must name at least one positive width, got {self.hidden}")

    @property
    def layers(self) -> list[tuple[int, int]]:
        """(inputs, outputs) of each layer."""
        dims = [self.obs_dim, *self.hidden, self.action_dim]
        return list(zip(dims[:-1], dims[1:], strict=True))

    @property
    def num_parameters(self) -> int:
        """P: weights and biases."""
        return sum(i * o + o for i, o in self.layers)


@dataclass(frozen=True)
class VAEConfig:
    """The trajectory encoder and the hypernetwork decoder (section 3.2, A.8.2, A.8.3), and their loss (equation 5).

    Attributes:
        latent: dimension of z.
        encoder: hidden widths of the trajectory encoder.
        decoder: hidden widths of the hypernetwork, or a size of Table 8.
        kl_weight: beta of equation 5.
        rollout_after: epochs before the rollout loss joins (section 4: 10); None leaves the world model out altogether
            (the paper's "w/o WM").
        rollout_steps: imagined steps that the rollout loss follows the generated policy from each recorded state.
            1 is equation 12 as printed; more is what Fig. 2 draws (the policy acts on states that it led to).
        rollout_weight: of the rollout loss; equation 5 has 1.
    """

    latent: int = 256
    encoder: tuple[int, ...] = (512, 512, 512)
    decoder: tuple[int, ...] = DECODERS["s"]
    kl_weight: float = 1e-6
    rollout_after: int | None = 10
    rollout_steps: int = 1
    rollout_weight: float = 1.0

    def __post_init__(self) -> None:
        check_numbers(self)
        if isinstance(self.decoder, str):
            check_choice("decoder", self.decoder, tuple(DECODERS))
            object.__setattr__(self, "decoder", DECODERS[self.decoder])
        check_positive(self, "latent", "rollout_steps")
        if not self.encoder or not self.decoder:
            raise ValueError("encoder and decoder need at least one hidden layer each")
        if self.kl_weight < 0 or self.rollout_weight < 0:
            raise ValueError(f"weights must not be negative, got {self.kl_weight} and {self.rollout_weight}")
        if self.rollout_after is not None and self.rollout_after < 0:
            raise ValueError(f"rollout_after counts epochs, or is None for no world model; got {self.rollout_after}")


@dataclass(frozen=True)
class DenoiserConfig:
    """The network that predicts the noise: ConditionalUnet1D or, as in the ablation A.3, a transformer.

    Attributes:
        kind: "unet" or "transformer".
        step_embed: width of the diffusion-step embedding.
        channels: channels by level of the U-Net; for a transformer, its one width.
        kernel: of the U-Net's convolutions.
        layers, heads: of the transformer.
        groups: of the U-Net's group norms (Chi et al.: 8).
    """

    kind: str = "unet"
    step_embed: int = 256
    channels: tuple[int, ...] = (128, 256, 256)
    kernel: int = 5
    layers: int = 0
    heads: int = 0
    groups: int = 8

    def __post_init__(self) -> None:
        check_choice("kind", self.kind, ("unet", "transformer"))
        check_positive(self, "step_embed", "kernel", "groups")
        if not self.channels or (self.kind == "transformer" and (self.layers < 1 or self.heads < 1)):
            raise ValueError(f"channels (and a transformer's layers and heads) must be given, got {self}")
        if self.kind == "unet" and any(c % self.groups for c in self.channels):
            raise ValueError(f"channels {self.channels} must divide into {self.groups} groups")
        if self.kind == "transformer" and self.channels[0] % self.heads:
            raise ValueError(f"a width of {self.channels[0]} does not divide into {self.heads} heads")

    @classmethod
    def unet(cls, size: str = "m") -> DenoiserConfig:
        """A row of Table 6: xs, s, m, l or xl."""
        check_choice("size", size, tuple(UNETS))
        step_embed, channels, kernel = UNETS[size]
        return cls(step_embed=step_embed, channels=channels, kernel=kernel)

    @classmethod
    def transformer(cls, size: str = "m") -> DenoiserConfig:
        """A row of Table 7: xs, s, m, l or xl."""
        check_choice("size", size, tuple(TRANSFORMERS))
        step_embed, width, layers, heads = TRANSFORMERS[size]
        return cls("transformer", step_embed, (width,), layers=layers, heads=heads)

    @property
    def multiple(self) -> int:
        """What the length of a sequence must be a multiple of: a U-Net halves it between levels."""
        return 2 ** (len(self.channels) - 1) if self.kind == "unet" else 1


@dataclass(frozen=True)
class DenoisingConfig:
    """The denoising diffusion (section 4: a DDPM scheduler, EMA).

    Attributes:
        denoiser: the network.
        latent_channels: a latent z of D entries is given to the network as a sequence of ``D / latent_channels`` steps
            of so many channels. The paper does not say how. By its own FLOPs (3.99 G a generation on PushT, 500 x
            0.0227 G on Metaworld, against 2.4, 4.4, 8.4, 16.5 and 128.8 counted at 64, 32, 16, 8 and 1 channels) it
            must be near 16, the default.
        steps: denoising steps K of training.
        inference_steps: denoising steps of sampling; at most ``steps``.
        schedule: of the noise (diffusers' name; Chi et al.: "squaredcos_cap_v2").
        ema: decay of the weights' moving average.
    """

    denoiser: DenoiserConfig = DenoiserConfig()
    latent_channels: int = 16
    steps: int = 100
    inference_steps: int = 100
    schedule: str = "squaredcos_cap_v2"
    ema: float = 0.9999

    def __post_init__(self) -> None:
        check_positive(self, "latent_channels", "steps", "inference_steps")
        if self.inference_steps > self.steps:
            raise ValueError(f"inference_steps {self.inference_steps} exceeds the {self.steps} steps of training")
        if not 0 <= self.ema < 1:
            raise ValueError(f"ema must lie in [0, 1), got {self.ema}")
