"""The latent success classifier (DiWA S.2.3, Table S.4): features of a world model in, probability of success out.

All tasks live in one model with stacked weights, so that a batch in which every env has its own task needs no loop
over envs, and a batch of one task costs one plain MLP.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dreamgym.fields import from_json
from dreamgym.nn.stacked import StackedLinear
from dreamgym.rewards.base import Memory, RewardModel
from dreamgym.types import State
from dreamgym.world_models.base import WorldModel


@dataclass(frozen=True)
class SuccessConfig:
    """Sizes of a `SuccessClassifier`.

    Attributes:
        tasks: names of the tasks, one classifier each.
        feature_dim: size of the flattened features of the world model.
        embedding: layer widths of the embedding MLP f; the last one is the embedding.
        head: hidden widths of the classification MLP g; a linear layer to two logits follows.
        temperature: of NT-Xent.
        compare_start: whether the first layer also reads the features at the start of the episode. The paper's
            classifier sees the present alone, but CALVIN's tasks are changes since the start ("opened by 0.12 m").
            The start's share of the first layer is computed once an episode, so a step costs the same.
    """

    tasks: tuple[str, ...]
    feature_dim: int
    embedding: tuple[int, ...] = (512, 512)
    head: tuple[int, ...] = (512, 512)
    temperature: float = 0.5
    compare_start: bool = False

    def __post_init__(self) -> None:
        for name in ("tasks", "embedding", "head"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if not self.tasks or len(set(self.tasks)) != len(self.tasks):
            raise ValueError(f"tasks must be distinct names, at least one, got {self.tasks}")
        if self.feature_dim < 1 or min((*self.embedding, *self.head), default=0) < 1 or not self.embedding:
            raise ValueError(
                f"widths must be at least 1: feature_dim={self.feature_dim}, embedding={self.embedding}, "
                f"head={self.head}"
            )
        if self.temperature <= 0:
            raise ValueError(f"temperature must be positive, got {self.temperature}")

    @classmethod
    def paper(cls, tasks: Sequence[str], feature_dim: int = 2048) -> SuccessConfig:
        """Table S.4: embedding [512, 512], head [512, 512], temperature 0.5."""
        return cls(tuple(tasks), feature_dim)

    @classmethod
    def tiny(cls, tasks: Sequence[str], feature_dim: int) -> SuccessConfig:
        """A megabyte a task at features of 1024; compares with the start (held-out F1 0.91 against 0.90 without)."""
        return cls(tuple(tasks), feature_dim, embedding=(128, 128), head=(64,), compare_start=True)


class SuccessClassifier(RewardModel):
    """Softmax(g(f(z))) for each task: DiWA S.2.3.

    The embedding MLP f has a ReLU between its layers and none after the last, as NT-Xent compares embeddings by
    cosine; g starts from the rectified embedding's own linear layer.

    Args:
        config: sizes.
        thresholds: [N], probability from which a task counts as done; 0.5 where not calibrated yet.

    Attributes:
        reads_freely: whether looking at the tasks of a batch costs nothing; None: on a CPU. Where it is not free, all
            tasks are asked of all rows once they are mixed.
    """

    kind: ClassVar[str] = "success"

    def __init__(self, config: SuccessConfig, thresholds: Tensor | Sequence[float] | None = None) -> None:
        super().__init__()
        self.config = config
        self.tasks = config.tasks
        num = len(config.tasks)
        widths = (config.feature_dim, *config.embedding)
        self.embed_layers = nn.ModuleList(StackedLinear(num, a, b) for a, b in zip(widths, widths[1:], strict=False))
        self.start_layer = StackedLinear(num, config.feature_dim, config.embedding[0]) if config.compare_start else None
        widths = (config.embedding[-1], *config.head, 2)
        self.head_layers = nn.ModuleList(StackedLinear(num, a, b) for a, b in zip(widths, widths[1:], strict=False))
        values = torch.full((num,), 0.5) if thresholds is None else torch.as_tensor(thresholds, dtype=torch.float32)
        if values.shape != (num,):
            raise ValueError(f"thresholds: expected one for each of {num} tasks, got shape {tuple(values.shape)}")
        self.register_buffer("thresholds", values.clone())
        self._plan: tuple[Tensor, int, _Plan] | None = None
        self.reads_freely: bool | None = None

    # -- the RewardModel contract --

    def start(self, model: WorldModel, state: State, task: Tensor) -> Memory:
        """Empty, or the start's share of the first layer, [B, embedding[0]], with ``compare_start``."""
        if self.start_layer is None:
            return {}
        # The few envs that begin must not push out the plan of the whole batch, which the next step asks for.
        plan = self._planned(task, keep=not self._reads_freely(task))
        return {"start": self._by_task(plan, model.features(state).flatten(1), task, self._start_share)}

    def probability(self, model: WorldModel, memory: Memory, state: State, task: Tensor) -> Tensor:
        """[B], DiWA's R = softmax(g(f(z)))[success]."""
        return self.score(model.features(state).flatten(1), memory, task)

    def log_probability(self, model: WorldModel, memory: Memory, state: State, task: Tensor) -> Tensor:
        """[B], the logarithm of `probability`, from the logits: finite and with gradients, however far from success."""
        return self._scored(model.features(state).flatten(1), memory, task, self._log_probability)

    def to_config(self) -> dict[str, Any]:
        """Sizes only; the thresholds travel with the weights."""
        return asdict(self.config)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> SuccessClassifier:
        """Builds an untrained classifier from what `to_config` gave."""
        return cls(from_json(SuccessConfig, config))

    # -- on features --

    def score(self, features: Tensor, memory: Memory, task: Tensor) -> Tensor:
        """Probability [B] from features [B, Z] whose tasks are ``task`` [B]."""
        return self._scored(features, memory, task, self._probability)

    def logits_all(self, features: Tensor, start: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Every task on its own batch, for training.

        Args:
            features: [N, B, Z], row n for task n.
            start: features at the start of the episode, [N, B, Z]; needed with ``compare_start``.

        Returns:
            Embeddings [N, B, E] and logits [N, B, 2] (failure, success).
        """
        share = None
        if self.start_layer is not None:
            if start is None:
                raise ValueError("this classifier compares with the start: pass the features at the start, [N, B, Z]")
            share = self.start_layer.all(start)
        return self._run(features, share, None)

    def _scored(self, features: Tensor, memory: Memory, task: Tensor, score: Any) -> Tensor:
        """``score`` of each row, with what it remembers of its start where this classifier compares."""
        if self.start_layer is None:
            return self._by_task(self._planned(task), features, task, score)
        return self._by_task(self._planned(task), features, task, score, memory["start"])

    def _start_share(self, x: Tensor, i: int | None, _: Tensor | None) -> Tensor:
        assert self.start_layer is not None
        return _apply(self.start_layer, x, i)

    def _probability(self, x: Tensor, i: int | None, share: Tensor | None) -> Tensor:
        return torch.sigmoid(self._logit(x, share, i))

    def _log_probability(self, x: Tensor, i: int | None, share: Tensor | None) -> Tensor:
        return F.logsigmoid(self._logit(x, share, i))

    def _logit(self, x: Tensor, share: Tensor | None, i: int | None) -> Tensor:
        """Of success. A softmax over two logits is the sigmoid of their difference."""
        logits = self._run(x, share, i)[1]
        return logits[..., 1] - logits[..., 0]

    def _run(self, x: Tensor, share: Tensor | None, i: int | None) -> tuple[Tensor, Tensor]:
        """Embedding and logits of task ``i`` on x [B, Z], or of all tasks on x [N, B, Z] where i is None."""
        for k, layer in enumerate(self.embed_layers):
            x = _apply(layer, x if k == 0 else F.relu(x), i)
            if k == 0 and share is not None:
                x = x + share
        embedding = x
        for layer in self.head_layers:
            x = _apply(layer, F.relu(x), i)
        return embedding, x

    # -- which env has which task --

    def _by_task(self, plan: _Plan, x: Tensor, task: Tensor, function: Any, share: Tensor | None = None) -> Tensor:
        """``function(rows, i, share_rows)`` for each row's own task i, in the order of the rows."""
        if plan.single is not None:
            return function(x, plan.single, share)
        if plan.order is None:  # on an accelerator, or while compiling: all tasks on all rows, no host sync
            num = len(self.tasks)
            out = function(x.expand(num, *x.shape), None, None if share is None else share.expand(num, *share.shape))
            return out[task, torch.arange(x.shape[0], device=x.device)]
        rows = x[plan.order].split(plan.counts)
        shares = [None] * len(rows) if share is None else share[plan.order].split(plan.counts)
        parts = [function(r, i, s) for r, i, s in zip(rows, plan.present, shares, strict=True)]
        return torch.cat(parts)[plan.inverse]

    def _reads_freely(self, task: Tensor) -> bool:
        return task.device.type == "cpu" if self.reads_freely is None else self.reads_freely

    def _planned(self, task: Tensor, keep: bool = True) -> _Plan:
        """How to group ``task``; kept while the very same tensor comes back unchanged, as it does between resets."""
        if torch.compiler.is_compiling():
            return _EVERY_TASK
        kept = self._plan  # read once: dreams in other threads may share this reward
        if kept is not None and kept[2] is _EVERY_TASK and not self._reads_freely(task):
            return _EVERY_TASK  # once tasks are mixed, looking again at every reset would make the device wait
        version = -1 if task.is_inference() else task._version
        if kept is not None and kept[0] is task and kept[1] == version >= 0:
            return kept[2]
        plan = _make_plan(task, self._reads_freely(task))
        if keep:
            self._plan = (task, version, plan)
        return plan


@dataclass(frozen=True)
class _Plan:
    """Rows grouped by task: ``single`` where there is one task only, else a sort and its inverse."""

    single: int | None
    order: Tensor | None
    inverse: Tensor | None
    counts: tuple[int, ...]
    present: tuple[int, ...]


_EVERY_TASK = _Plan(None, None, None, (), ())
"""All tasks on all rows."""


@torch.inference_mode(False)  # a plan outlives the mode it was made in, and gradients may need its indices
def _make_plan(task: Tensor, sort: bool) -> _Plan:
    """How rows group by task; ``sort``: mixed tasks too, else all tasks are asked of all rows."""
    if task.numel() == 0:
        return _Plan(0, None, None, (), ())
    first = int(task[0])
    if len(task) == 1 or bool((task == first).all()):
        return _Plan(first, None, None, (), ())
    if not sort:
        return _EVERY_TASK
    order = torch.argsort(task, stable=True)
    present, counts = torch.unique_consecutive(task[order], return_counts=True)
    return _Plan(None, order, torch.argsort(order), tuple(counts.tolist()), tuple(present.tolist()))


def _apply(layer: nn.Module, x: Tensor, i: int | None) -> Tensor:
    assert isinstance(layer, StackedLinear)
    return layer.all(x) if i is None else layer.one(x, i)


def nt_xent(embedding: Tensor, label: Tensor, temperature: float) -> Tensor:
    """NT-Xent (DiWA Eq. 13) over all pairs of successes of each task, a scalar.

    For an anchor i and its partner j, both successes of one task, -log of exp(sim_ij / t) over the sum over k != i of
    exp(sim_ik / t), with cosine similarities; averaged over all such pairs, which is the expectation of Eq. 13 over
    randomly drawn partners.

    Args:
        embedding: [N, B, E], a batch for each of N tasks.
        label: bool [N, B], success.
        temperature: t.
    """
    z = F.normalize(embedding, dim=-1)
    similarity = z @ z.transpose(1, 2) / temperature
    own = torch.eye(z.shape[1], dtype=torch.bool, device=z.device)
    log_share = similarity - similarity.masked_fill(own, -torch.inf).logsumexp(-1, keepdim=True)
    pair = label.unsqueeze(1) & label.unsqueeze(2) & ~own
    return -(log_share * pair).sum() / pair.sum().clamp(min=1)


def success_loss(
    classifier: SuccessClassifier, features: Tensor, start: Tensor | None, label: Tensor
) -> dict[str, Tensor]:
    """DiWA Eq. 14: NT-Xent plus cross-entropy, averaged over tasks.

    Args:
        classifier: the classifier.
        features: [N, B, Z], a batch for each task.
        start: [N, B, Z], or None without ``compare_start``.
        label: bool [N, B].

    Returns:
        "loss" to minimise; "nt_xent" and "cross_entropy", detached.
    """
    embedding, logits = classifier.logits_all(features, start)
    contrast = nt_xent(embedding, label, classifier.config.temperature)
    entropy = F.cross_entropy(logits.flatten(0, 1), label.flatten().long())
    return {"loss": contrast + entropy, "nt_xent": contrast.detach(), "cross_entropy": entropy.detach()}
