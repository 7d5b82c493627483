"""Trains the guided policy on demonstrations as a world model sees them, with and without imagined frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dreamgym.data.store import EpisodeView
from dreamgym.fields import check_numbers
from dreamgym.nn.decoupled import attenuate
from dreamgym.rewards.encode import episode_batches, load_episodes
from dreamgym.suites.facts import store_facts
from dreamgym.training.ema import EMA
from dreamgym.training.runs import data_digest
from dreamgym.types import State
from dreamgym.world_models.base import WorldModel
from dreamgym.world_models.filtering import filtered
from dreamgym_agents.common.runs import StageRun, run_stages
from dreamgym_agents.common.settings import keep_settings, weights_id
from dreamgym_agents.refinement.policy import GuidedPolicy

DRAWS = 4
"""Draws of what follows the demonstrated actions, which are imagined once and not in every update."""
AT_ONCE = 64
"""Decisions that are imagined at a time."""


@dataclass(frozen=True)
class GuidedTraining:
    """How the policy is trained.

    Attributes:
        updates: in all.
        batch_size: decisions an update (the paper: 24).
        lr: peak rate of Adam; it falls to nought along half a cosine.
        ema: decay of the average that is kept.
        imagined: what the imagined frames are in training, which the paper leaves open. "own": what the world model
            imagines of the policy's own first decision, most of an update's time; "recorded": what it imagines of
            the demonstrated actions, `DRAWS` times; "future": the frames that followed in the demonstration.
        shown: share of decisions that are shown them, so that refinement 0, 1, 2, ... is an argument.
        seed: of weights, batches and noise.
        save_every: seconds between saves of progress.
    """

    updates: int = 5000
    batch_size: int = 24
    lr: float = 5e-4
    ema: float = 0.995
    imagined: Literal["own", "recorded", "future"] = "own"
    shown: float = 0.5
    seed: int = 0
    save_every: float = 120.0

    def __post_init__(self) -> None:
        check_numbers(self)
        if self.updates < 1 or self.batch_size < 1 or self.lr <= 0 or not 0 <= self.shown <= 1:
            raise ValueError(f"updates, batch_size and lr must be positive and shown a share, got {self}")
        if self.imagined not in ("own", "recorded", "future"):
            raise ValueError(f"imagined is 'own', 'recorded' or 'future', got {self.imagined!r}")


@dataclass
class Decisions:
    """Every frame of some demonstrations at which a whole chunk was still ahead.

    Attributes:
        state: the world model's filtered states, rows [N, ...].
        history: features of the last l frames, the first of an episode repeated, [N, l, Z]; proprioception after them
            where the policy reads it.
        future: features of the k frames that followed, [N, k, Z].
        action: the recorded chunk, prepared, [N, T, A].
        task: [N] int64.
    """

    state: State
    history: Tensor
    future: Tensor
    action: Tensor
    task: Tensor

    def __len__(self) -> int:
        return len(self.task)


@torch.no_grad()
def decisions(
    model: WorldModel, view: EpisodeView, policy: GuidedPolicy, batch_size: int = 16, seed: int = 0
) -> Decisions:
    """Filters whole demonstrations and cuts a decision at every frame.

    Raises:
        ValueError: a task that the policy does not know, a sensor that is missing, data without the proprioception
            that it reads, or no episode as long as a chunk.
    """
    config, a = policy.config, model.spec.actions_per_frame
    generator = torch.Generator().manual_seed(seed)
    parts: list[Decisions] = []
    entries = list(config.proprioception)
    body = _body(view, entries)
    for indices in episode_batches(view, batch_size):
        data, lengths = load_episodes(view, indices, [*dict.fromkeys([*model.spec.observations, *body, "action"])])
        states = list(filtered(model, data, generator))
        features = torch.stack([model.features(s).flatten(1) for s in states], 1)
        seen = torch.cat([features, *(data[k][:, ::a][:, : len(states), entries] for k in body)], -1)
        action = model.spec.control.prepare(data["action"])
        task = policy.index([str(view.metas[i].get("task", config.tasks[0])) for i in indices])
        for t, state in enumerate(states[: -config.frames]):
            rows = (t * a + config.chunk < lengths).nonzero().flatten()
            known = torch.arange(t - config.history + 1, t + 1).clamp(min=0)
            parts.append(
                Decisions(
                    {k: v[rows] for k, v in state.items()},
                    seen[rows][:, known],
                    features[rows, t + 1 : t + 1 + config.frames],
                    action[rows, t * a : t * a + config.chunk],
                    torch.tensor(task)[rows],
                )
            )
    if not parts or not sum(len(p) for p in parts):
        raise ValueError(f"no demonstration in {view.path} has more than the {config.chunk} steps of a chunk")
    state = {k: torch.cat([p.state[k] for p in parts]) for k in parts[0].state}
    joined = [torch.cat([getattr(p, name) for p in parts]) for name in ("history", "future", "action", "task")]
    return Decisions(state, *joined)


def _body(view: EpisodeView, entries: Sequence[int]) -> tuple[str, ...]:
    """The sensor whose entries are read, if any are.

    Raises:
        ValueError: the store's suite names none, or it has fewer.
    """
    if not entries:
        return ()
    suite = store_facts(view).suite
    name = None if suite is None else suite.proprioception
    if name is None or name not in view.keys or view.keys[name][0][0] <= max(entries):
        raise ValueError(
            f"{view.path} has no proprioception with the entries {list(entries)}: its suite's is {name!r}, the store "
            f"has {sorted(view.keys)}"
        )
    return (name,)


def train(
    policy: GuidedPolicy,
    model: WorldModel,
    view: EpisodeView,
    training: GuidedTraining,
    run_dir: str | Path,
    show: bool = True,
) -> GuidedPolicy:
    """Trains the policy in place, or goes on with the run in ``run_dir``; returns it with averaged weights.

    Args:
        policy: fresh; its statistics are set here, its instructions are not.
        model: the frozen world model whose features it reads.
        view: demonstrations.
        training: how.
        run_dir: the run.
        show: a progress bar.

    Raises:
        ValueError: see `decisions`; or a run that was begun with other settings, another model or other data.
        Stopped: a signal came before all was done; progress is saved.
    """
    run_dir = Path(run_dir)
    model = model.eval().requires_grad_(False)
    asked: dict[str, Any] = {"policy": policy.config.to_dict(), "training": asdict(training)}
    asked |= {"world_model": f"{model.spec.family} {weights_id(model)}", "demonstrations": data_digest(view)}
    keep_settings(run_dir / "settings.json", asked)
    data = decisions(model, view, policy, seed=training.seed)
    run = _Run(policy, model, data, training)
    run_stages([run], run_dir, save_every_s=training.save_every, show=show)
    return policy.eval().requires_grad_(False)


class _Run(StageRun):
    """Update i draws from (seed, i)."""

    name, unit = "cloning", "update"

    def __init__(self, policy: GuidedPolicy, model: WorldModel, data: Decisions, training: GuidedTraining) -> None:
        self.module: nn.Module = policy
        self.policy, self.model, self.data, self.training = policy, model, data, training
        self.budget = training.updates
        self.optimizer = torch.optim.AdamW(policy.parameters(), lr=training.lr, weight_decay=1e-4)

    def begin(self, fresh: bool) -> None:
        if fresh:
            features = self.data.history.flatten(0, 1)
            self.policy.mean.copy_(features.mean(0))
            self.policy.std.copy_(features.std(0).clamp(min=1e-3))
        self.ema = EMA(self.policy, self.training.ema)
        if self.training.imagined == "recorded":
            self.recorded = self._recorded()

    def step(self) -> Mapping[str, float]:
        """One update; its loss every twenty."""
        training = self.training
        generator = torch.Generator().manual_seed(training.seed * 1_000_003 + self.count)
        rows = torch.randint(len(self.data), (training.batch_size,), generator=generator)
        share = 0.5 * (1 + torch.cos(torch.tensor(torch.pi * self.count / self.budget)))
        for group in self.optimizer.param_groups:
            group["lr"] = training.lr * float(share)
        loss = self.loss(rows, generator)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.policy.parameters(), 1.0)
        self.optimizer.step()
        if self.ema is not None:
            self.ema.update(self.policy)
        return {"loss": float(loss.detach())} if self.count % 20 == 0 else {}

    def loss(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """Squared errors of chunk and noise, at a random diffusion time."""
        policy, data = self.policy, self.data
        history, task, action = data.history[rows], data.task[rows], data.action[rows]
        shown = torch.rand(len(rows), generator=generator) < self.training.shown
        imagined = self._imagined(rows, generator)
        clean = policy.scale_action(action)
        noise = torch.randn(clean.shape, generator=generator)
        n = torch.rand(len(rows), generator=generator).clamp(min=1e-3)
        value, eta = policy.network(
            attenuate(clean, n, noise),
            n,
            policy.scaled(history),
            policy.instructions[task],
            policy.scaled(imagined),
            shown,
        )
        return F.mse_loss(value, clean) + F.mse_loss(eta, noise)

    @torch.no_grad()
    def _imagined(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """Features [B, k, Z] of the frames ahead."""
        kind, data = self.training.imagined, self.data
        if kind == "future":
            return data.future[rows]
        if kind == "recorded":
            draw = torch.randint(DRAWS, (len(rows),), generator=generator)
            return self.recorded[draw, rows].float()
        plan = self.policy.decide(data.history[rows], data.task[rows], None, generator)
        return self._ahead(rows, plan, generator)

    @torch.no_grad()
    def _recorded(self) -> Tensor:
        """`DRAWS` of the features ahead of every decision along its demonstration's actions, [D, N, k, Z] float16.

        A function of the model, the data and the seed, so that a run that goes on has the same.
        """
        generator, data = torch.Generator().manual_seed(self.training.seed), self.data
        parts = torch.arange(len(data)).split(AT_ONCE)
        return torch.stack(
            [
                torch.cat([self._ahead(rows, data.action[rows], generator).half() for rows in parts])
                for _ in range(DRAWS)
            ]
        )

    def _ahead(self, rows: Tensor, plan: Tensor, generator: torch.Generator) -> Tensor:
        """Features [B, k, Z] of the frames that plans [B, T, A] lead through."""
        states = self.model.unroll({k: v[rows] for k, v in self.data.state.items()}, plan, generator)
        return torch.stack([self.model.features(s).flatten(1) for s in states], 1)
