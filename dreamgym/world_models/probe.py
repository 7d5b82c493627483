"""The state probe: what a world model's features say about the simulator's state, so that drift is stated in metres."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from dreamgym.fields import convert
from dreamgym.nn.blocks import mlp
from dreamgym.nn.vectors import VectorCodec
from dreamgym.world_models.base import WorldModel
from dreamgym.world_models.filtering import filtered, imagined


class StateProbe(nn.Module):
    """A small network from features to vector sensors, apart from the model: nothing it learns reaches the model.

    Args:
        feature_dim: Z.
        vectors: sensors and their layouts (see `dreamgym.nn.vectors`).
        units, layers: size of each sensor's network.
        linear: whether a linear map stands beside each network, which then learns what the map leaves.
    """

    def __init__(
        self,
        feature_dim: int,
        vectors: Mapping[str, Sequence[tuple[str, int]]],
        units: int = 256,
        layers: int = 2,
        linear: bool = True,
    ) -> None:
        super().__init__()
        self.feature_dim, self.units, self.layers = feature_dim, units, layers
        self.codecs = nn.ModuleDict({k: VectorCodec(v) for k, v in vectors.items()})
        self.heads = nn.ModuleDict({k: mlp(feature_dim, units, layers, self._codec(k).dim) for k in vectors})
        self.linear = nn.ModuleDict({k: nn.Linear(feature_dim, self._codec(k).dim) for k in vectors if linear})

    def _codec(self, name: str) -> VectorCodec:
        codec = self.codecs[name]
        assert isinstance(codec, VectorCodec)
        return codec

    def _read(self, name: str, features: Tensor) -> Tensor:
        """One sensor in its codec's space, [N, e]."""
        out: Tensor = self.heads[name](features)
        return out + self.linear[name](features) if name in self.linear else out

    @property
    def keys(self) -> tuple[str, ...]:
        """Sensors that the probe reads off."""
        return tuple(self.heads)

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        """Features [..., Z] to sensors [..., d] in their own layout and units (lights as probabilities)."""
        flat = features.detach().flatten(0, -2) if features.dim() > 2 else features.detach()
        out = {}
        for name in self.heads:
            value = self._codec(name).decode(self._read(name, flat))
            out[name] = value.view(*features.shape[:-1], value.shape[-1])
        return out

    def loss(self, features: Tensor, targets: Mapping[str, Tensor]) -> Tensor:
        """Mean negative log-likelihood; features [N, Z], targets [N, d] each."""
        losses = [
            self._codec(name).loss(self._read(name, features.detach()), targets[name].float(), 0.1, 0.3, 10.0).mean()
            for name in self.heads
        ]
        return torch.stack(losses).sum()

    def fit_statistics(self, vectors: Mapping[str, Tensor]) -> None:
        """Sets the standardisation from training data, [N, d] each."""
        for name in self.keys:
            self._codec(name).fit_statistics(vectors[name])

    @torch.no_grad()
    def solve_linear(self, features: Tensor, targets: Mapping[str, Tensor], ridge: float = 5e-3) -> None:
        """Sets the linear maps by ridge regression and the networks' outputs to zero.

        Args:
            features: [N, Z].
            targets: [N, d] each, raw.
            ridge: penalty a row, in units of the targets' own spread.
        """
        x = features.double()
        centre = x.mean(0)
        x = x - centre
        gram = x.T @ x + ridge * len(x) * torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
        for name, head in self.heads.items():
            codec, linear = self._codec(name), self.linear[name]
            assert isinstance(head, nn.Sequential) and isinstance(linear, nn.Linear)
            last = head[-1]
            assert isinstance(last, nn.Linear)
            # A light's logit is to be far from zero: 2 on one side, -2 on the other.
            y = codec.encode(targets[name].float()).double() * torch.where(codec.two_valued, 2, 1)
            weight = torch.linalg.solve(gram, x.T @ (y - y.mean(0)))
            linear.weight.copy_(weight.T)
            linear.bias.copy_(y.mean(0) - centre @ weight)
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def to_config(self) -> dict[str, Any]:
        """JSON-ready constructor arguments."""
        layouts = {k: [list(s) for s in self._codec(k).layout] for k in self.keys}
        return {
            "feature_dim": self.feature_dim,
            "vectors": layouts,
            "units": self.units,
            "layers": self.layers,
            "linear": len(self.linear) > 0,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> StateProbe:
        """Builds what `to_config` described; KeyError or ValueError where a field is missing or of another type."""
        # Probes of the first checkpoints had no linear maps.
        told = {"linear": False, **config}
        vectors = dict[str, tuple[tuple[str, int], ...]]
        kinds = {"feature_dim": int, "vectors": vectors, "units": int, "layers": int, "linear": bool}
        return cls(*(convert(told[name], kind, name) for name, kind in kinds.items()))


class Batches(Protocol):
    """Gives batch i as a function of i."""

    def batch(self, step: int) -> dict[str, Tensor]:
        """Tensors [B, T, ...]."""
        ...


@dataclass(frozen=True)
class ProbeFitConfig:
    """How a probe is trained.

    Attributes:
        steps: batches drawn from the sampler, whose features are held in memory in half precision.
        lr: Adam's rate, falling linearly to nothing.
        units: width.
        imagined: share of each window, at its end, that is imagined rather than filtered.
        reuse: gradient steps a batch drawn: features cost more than steps.
        batch_size: frames a gradient step.
        seed: of weights and noise.
    """

    steps: int
    lr: float = 1e-3
    units: int = 256
    imagined: float = 0.5
    reuse: int = 10
    batch_size: int = 512
    seed: int = 0


def fit_probe(
    model: WorldModel,
    sampler: Batches,
    vectors: Mapping[str, Sequence[tuple[str, int]]],
    config: ProbeFitConfig,
    told: Callable[[int], Sequence[str] | None] | None = None,
    progress: Callable[[int, float], None] | None = None,
) -> StateProbe:
    """Trains a probe on filtered and on open-loop imagined features: a ridge regression, and a network for the rest.

    Imagined features are labelled with what really happened: where the dream has drifted the label is noise, which a
    probe trained on both averages out, and where it has not, the probe learns to read dreams and not only filtered
    states.

    Args:
        model: frozen; any family.
        sampler: windows of *training* episodes with the sensors of ``vectors``, the model's own and "action".
        vectors: sensors to read off, with layouts.
        config: how.
        told: (number of a batch) -> what a model that is told something is told of each of its windows.
        progress: called with (gradient step, loss).

    Returns:
        The probe, in eval mode.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        probe = StateProbe(model.spec.feature_shape[0], vectors, config.units)
    device = next(model.parameters()).device
    generator = torch.Generator(device).manual_seed(config.seed)
    features, targets = _frames(model, sampler, config, tuple(vectors), generator, told or (lambda step: None))
    probe.to(device).train()
    probe.fit_statistics(targets)
    probe.solve_linear(features, targets)
    optimizer = torch.optim.Adam(probe.parameters(), lr=config.lr)
    updates = config.steps * config.reuse
    for step in range(updates):
        rows = torch.randint(len(features), (config.batch_size,), generator=generator, device=device)
        for group in optimizer.param_groups:
            group["lr"] = config.lr * (1 - step / updates)
        loss = probe.loss(features[rows].float(), {k: v[rows] for k, v in targets.items()})
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        if progress is not None:
            progress(step, float(loss.detach()))
    return probe.eval()


def _frames(
    model: WorldModel,
    sampler: Batches,
    config: ProbeFitConfig,
    names: tuple[str, ...],
    generator: torch.Generator,
    told: Callable[[int], Sequence[str] | None],
) -> tuple[Tensor, dict[str, Tensor]]:
    """Features [N, Z] float16 of the frames of all batches, and what they are to be read as, [N, d] each."""
    features: list[Tensor] = []
    targets: dict[str, list[Tensor]] = {k: [] for k in names}
    for step in range(config.steps):
        batch = {k: v.to(generator.device) for k, v in sampler.batch(step).items()}
        seen, frames = window_features(model, batch, config.imagined, generator, told(step))
        features.append(seen.flatten(0, 1).half())
        for name in names:
            targets[name].append(batch[name][:, frames].flatten(0, 1))
    return torch.cat(features), {k: torch.cat(v) for k, v in targets.items()}


@torch.no_grad()
def window_features(
    model: WorldModel,
    batch: Mapping[str, Tensor],
    ahead: float,
    generator: torch.Generator | None = None,
    told: Sequence[str] | None = None,
) -> tuple[Tensor, slice]:
    """Features of windows: filtered first, then imagined with the real actions.

    Args:
        model: any family.
        batch: see `dreamgym.world_models.filtering.filtered`.
        ahead: share of the window's frames, at its end, to imagine.
        generator: source of randomness.
        told: B sentences, for models that are told something.

    Returns:
        Features [B, F - H + 1, Z] and the slice of rows they belong to (H = ``spec.history``).
    """
    context, a = model.spec.history, model.spec.actions_per_frame
    length = (batch["action"].shape[1] - 1) // a + 1
    stop = length - round(ahead * (length - context))
    features = []
    for state in filtered(model, batch, generator, stop, told, seen=context):
        features.append(model.features(state))
    actions = batch["action"][:, (stop - 1) * a : (length - 1) * a]
    features += [model.features(s) for s in imagined(model, state, actions, generator, told)]
    return torch.stack(features, dim=1), slice((context - 1) * a, (length - 1) * a + 1, a)
