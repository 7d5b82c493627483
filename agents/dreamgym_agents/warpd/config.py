"""Configuration of WARPD and of the baselines it is compared with: the paper's sizes and small ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from typing import Any, TypeVar, get_type_hints

from dreamgym_agents.common.demonstrations import UNNAMED, check_origin

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

CONDITIONS = ("state", "task", "state+task")
ACTIVATIONS = ("relu", "tanh", "silu")
SUITES = ("metaworld", "pusht", "robosuite", "locomotion", "adroit")

ConfigT = TypeVar("ConfigT")


def _positive(config: object, *names: str) -> None:
    for name in names:
        if getattr(config, name) <= 0:
            raise ValueError(f"{name} must be positive, got {getattr(config, name)}")


def _choice(name: str, value: str, choices: tuple[str, ...]) -> None:
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
        _positive(self, "obs_dim", "action_dim")
        _choice("activation", self.activation, ACTIVATIONS)
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
        if isinstance(self.decoder, str):
            _choice("decoder", self.decoder, tuple(DECODERS))
            object.__setattr__(self, "decoder", DECODERS[self.decoder])
        _positive(self, "latent", "rollout_steps")
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
        _choice("kind", self.kind, ("unet", "transformer"))
        _positive(self, "step_embed", "kernel", "groups")
        if not self.channels or (self.kind == "transformer" and (self.layers < 1 or self.heads < 1)):
            raise ValueError(f"channels (and a transformer's layers and heads) must be given, got {self}")
        if self.kind == "unet" and any(c % self.groups for c in self.channels):
            raise ValueError(f"channels {self.channels} must divide into {self.groups} groups")
        if self.kind == "transformer" and self.channels[0] % self.heads:
            raise ValueError(f"a width of {self.channels[0]} does not divide into {self.heads} heads")

    @classmethod
    def unet(cls, size: str = "m") -> DenoiserConfig:
        """A row of Table 6: xs, s, m, l or xl."""
        _choice("size", size, tuple(UNETS))
        step_embed, channels, kernel = UNETS[size]
        return cls(step_embed=step_embed, channels=channels, kernel=kernel)

    @classmethod
    def transformer(cls, size: str = "m") -> DenoiserConfig:
        """A row of Table 7: xs, s, m, l or xl."""
        _choice("size", size, tuple(TRANSFORMERS))
        step_embed, width, layers, heads = TRANSFORMERS[size]
        return cls("transformer", step_embed, (width,), layers=layers, heads=heads)

    @property
    def multiple(self) -> int:
        """What the length of a sequence must be a multiple of: a U-Net halves it between levels."""
        return 2 ** (len(self.channels) - 1) if self.kind == "unet" else 1


@dataclass(frozen=True)
class DiffusionConfig:
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
        _positive(self, "latent_channels", "steps", "inference_steps")
        if self.inference_steps > self.steps:
            raise ValueError(f"inference_steps {self.inference_steps} exceeds the {self.steps} steps of training")
        if not 0 <= self.ema < 1:
            raise ValueError(f"ema must lie in [0, 1), got {self.ema}")


@dataclass(frozen=True)
class TrainConfig:
    """How to train.

    Attributes:
        vae_epochs, diffusion_epochs: of the two stages; baselines of one stage take the second.
        snippets: random snippets of each trajectory that make an epoch; 1, as for the paper's VAE. A
            baseline that predicts short chunks sees as many windows as Chi et al.'s with trajectory length / chunk.
        batch_size: snippets a batch (Table 9: 32).
        vae_lr: Adam's rate for encoder and decoder. Section 4 says 1e-4 "for all experiments", Table 9 says 3e-4 for
            the VAE: the table is taken, because it is the more specific and Tables 10-12 build on it.
        lr: Adam's rate for everything else (diffusion, world model, baselines), where only the text speaks: 1e-4.
        decay: whether every rate rises over the first epoch of a stage and falls to nought along half a cosine (Chi et
            al. do the like, WARPD does not say). A hypernetwork moves all weights of a policy at once: at one rate it
            begins with a leap and ends in noise.
        grad_clip: largest gradient norm; None for none, as in the paper.
        seed: of snippets, noise and initial weights.
        save_every_s: seconds between saves of progress; the end of a stage is always saved.
    """

    vae_epochs: int = 150
    diffusion_epochs: int = 200
    snippets: int = 1
    batch_size: int = 32
    vae_lr: float = 3e-4
    lr: float = 1e-4
    decay: bool = False
    grad_clip: float | None = None
    seed: int = 0
    save_every_s: float = 60.0

    def __post_init__(self) -> None:
        _positive(self, "vae_epochs", "diffusion_epochs", "snippets", "batch_size", "vae_lr", "lr")


@dataclass(frozen=True)
class WARPDConfig:
    """WARPD, or a baseline of the same sizes; see `paper` and `tiny`.

    Attributes:
        obs_dim, action_dim: entries of observation and action.
        length: T, steps of the snippet that is encoded; for chunk policies, actions predicted at once.
        horizon: steps between two generations (the paper's action horizon).
        tasks: names of the tasks, in the order of the one-hot condition.
        condition: what generation is conditioned on: "state", "task" or "state+task"; with several tasks "task" must be
            among it.
        hidden, activation: of the generated policy (and of the MLP baseline), see `PolicyShape`.
        vae, diffusion, train: see there.
        obs_history: observations that a diffusion policy on action chunks is conditioned on (Chi et al.: 2).
        action_origin: entries of the observation that actions are counted from, one for each entry of the action, as in
            `Demonstrations.counted_from`; () where they are learned as they are.
    """

    obs_dim: int
    action_dim: int
    length: int
    horizon: int
    tasks: tuple[str, ...] = (UNNAMED,)
    condition: str = "state"
    hidden: tuple[int, ...] = (256, 256)
    activation: str = "relu"
    vae: VAEConfig = VAEConfig()
    diffusion: DiffusionConfig = DiffusionConfig()
    train: TrainConfig = field(default_factory=TrainConfig)
    obs_history: int = 2
    action_origin: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        _positive(self, "obs_dim", "action_dim", "horizon", "obs_history")
        object.__setattr__(self, "action_origin", tuple(self.action_origin))
        check_origin(self.action_origin, self.obs_dim, self.action_dim)
        _choice("condition", self.condition, CONDITIONS)
        if self.length < 2:
            raise ValueError(f"length must be at least 2 (a step has to follow another), got {self.length}")
        if not self.tasks or len(set(self.tasks)) < len(self.tasks):
            raise ValueError(f"tasks must be distinct names, at least one; got {self.tasks}")
        if len(self.tasks) > 1 and "task" not in self.condition:
            raise ValueError(
                f"condition {self.condition!r} tells nothing of which of {len(self.tasks)} tasks is meant: take "
                '"task" or "state+task", or demonstrations of one task'
            )
        latent, channels = self.vae.latent, self.diffusion.latent_channels
        if latent % (channels * self.diffusion.denoiser.multiple):
            raise ValueError(
                f"a latent of {latent} as {channels} channels must have a length that is a multiple of "
                f"{self.diffusion.denoiser.multiple} for this denoiser: change latent_channels or the latent"
            )

    @property
    def policy_shape(self) -> PolicyShape:
        """The generated policy."""
        return PolicyShape(self.obs_dim, self.action_dim, self.hidden, self.activation)

    @classmethod
    def paper(cls, suite: str, obs_dim: int, action_dim: int, **changes: Any) -> WARPDConfig:
        """The paper's sizes for a suite.

        Args:
            suite: "metaworld" (Table 12), "pusht" or "robosuite" (11), "locomotion" (9) or "adroit" (10).
            obs_dim, action_dim: of the suite.
            changes: fields of this class. ``horizon`` sets ``length`` too where that is not given and the suite is
                conditioned on the state: section 4.1.1 encodes "snippets of length equal to the action horizon".

        Raises:
            ValueError: no such suite.
        """
        _choice("suite", suite, SUITES)
        if suite in ("pusht", "robosuite"):
            # Table 11 prints a trajectory length of 256, section 4.1.1 snippets as long as the horizon, 16 to 128: the
            # text is taken, as it is what Fig. 3 varies. The table's diffusion size and decoder size read "1", an l in
            # print; for the diffusion the text and A.8.4 both say medium, which is taken; the decoder is large.
            base: dict[str, Any] = {
                "horizon": 64, "condition": _told(changes),
                "vae": VAEConfig(decoder=DECODERS["l"], kl_weight=1e-10),
                "train": TrainConfig(vae_epochs=1000, diffusion_epochs=1000),
            }  # fmt: skip
        elif suite == "metaworld":
            # The decoder size reads "x8" in our copy of Table 12: xs in print, as Fig. 9 and A.4 recommend for
            # trajectories of 500.
            base = {
                "length": 500, "horizon": 500, "condition": "task", "vae": VAEConfig(decoder=DECODERS["xs"]),
                "train": TrainConfig(vae_epochs=100, diffusion_epochs=100),
            }  # fmt: skip
        elif suite == "adroit":
            base = {
                "length": 128, "horizon": 128, "condition": "task",
                "train": TrainConfig(vae_epochs=20, diffusion_epochs=10),
            }  # fmt: skip
        else:
            base = {"length": 1000, "horizon": 1000, "condition": "task"}
        values = {**base, **changes}
        values.setdefault("length", values["horizon"])
        return cls(obs_dim=obs_dim, action_dim=action_dim, **values)

    @classmethod
    def tiny(cls, obs_dim: int, action_dim: int, length: int, **changes: Any) -> WARPDConfig:
        """Trains in minutes on two CPU cores: a latent of 32 as 4 steps of 8 channels, a decoder of 32 x 2."""
        values: dict[str, Any] = {
            "horizon": length, "hidden": (64, 64), "condition": _told(changes),
            "vae": VAEConfig(latent=32, encoder=(256, 256), decoder=(32, 32)),
            "diffusion": DiffusionConfig(
                DenoiserConfig(step_embed=64, channels=(32, 64, 64), kernel=3), latent_channels=8, steps=50,
                inference_steps=50, ema=0.99,
            ),
            "train": TrainConfig(vae_epochs=100, diffusion_epochs=200, vae_lr=1e-3, lr=1e-3, grad_clip=10.0),
        }  # fmt: skip
        return cls(obs_dim=obs_dim, action_dim=action_dim, length=length, **{**values, **changes})

    def without_world_model(self) -> WARPDConfig:
        """The paper's "WARPD w/o WM": behaviour cloning and KL alone."""
        return replace(self, vae=replace(self.vae, rollout_after=None))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; `from_dict` reads it back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> WARPDConfig:
        """Reads what `to_dict` (through JSON) wrote."""
        return _read(cls, data)


def _told(changes: Mapping[str, Any]) -> str:
    """What generation is told where an episode is planned more than once: the state, and which of several tasks."""
    return "state+task" if len(changes.get("tasks", ())) > 1 else "state"


def _read(cls: type[ConfigT], data: Mapping[str, Any]) -> ConfigT:
    hints = get_type_hints(cls)
    unknown = sorted(set(data) - {f.name for f in fields(cls)})  # type: ignore[arg-type]
    if unknown:
        raise ValueError(f"{cls.__name__} has no field {unknown}: this config was written by another version")
    values: dict[str, Any] = {}
    for name, value in data.items():
        if is_dataclass(hints[name]) and isinstance(value, Mapping):
            values[name] = _read(hints[name], value)
        else:
            values[name] = tuple(value) if isinstance(value, list) else value
    return cls(**values)
