"""Training an agent, stage by stage; a killed run goes on from its last save.

A run lives in a directory: ``config.json`` (kind, config and what the data is known by), a folder of progress for each
stage (weights, optimizer, average; safetensors and JSON), ``log.jsonl`` (a line an epoch). What epoch i draws is a
function of (seed, stage, i), so a run that was killed goes on along the curve of an unbroken one.
"""

from __future__ import annotations

import json
import logging
import math
import time
import zlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from dreamgym.training.ema import EMA
from dreamgym.training.progress import latest, load_averaged, load_progress, save_progress
from dreamgym.training.stop import Stopped, stop_signals
from dreamgym_agents.warpd.agent import Agent, Stage
from dreamgym_agents.warpd.config import WARPDConfig
from dreamgym_agents.warpd.demonstrations import Demonstrations

_log = logging.getLogger(__name__)

AgentT = TypeVar("AgentT", bound=Agent)


def train(
    agent: AgentT,
    demonstrations: Demonstrations,
    run_dir: str | Path,
    show: bool = True,
    stages: Collection[str] | None = None,
) -> AgentT:
    """Trains in ``run_dir``, or goes on where a run there stopped.

    Args:
        agent: made by its ``for_demonstrations``, the same way when a run goes on.
        demonstrations: what to learn from.
        run_dir: the run.
        show: a progress bar.
        stages: names of the stages to run; all by default. Those before them must be done in ``run_dir``.

    Returns:
        The agent, trained and in eval mode.

    Raises:
        ValueError: the directory holds a run of another agent, config or data, the demonstrations do not fit, or a
            stage is to begin before the one that it builds on is done.
        FloatingPointError: the loss was not finite.
        Stopped: SIGINT or SIGTERM ended the run; its progress is saved.
    """
    agent.check(demonstrations)
    folder = Path(run_dir)
    folder.mkdir(parents=True, exist_ok=True)
    _claim(agent, demonstrations, folder)
    planned = agent.stages()
    if stages is not None and (unknown := set(stages) - {s.name for s in planned}):
        raise ValueError(f"no stages {sorted(unknown)}: a {agent.kind} has {[s.name for s in planned]}")
    left = [s.name for s in planned if stages is None or s.name in stages]
    for stage in planned:
        run = _Run(agent, stage, demonstrations, folder)
        if stage.name in left:
            run.train(show)
            left.remove(stage.name)
        elif not run.restore() and left:
            raise ValueError(
                f"{folder}: {left[0]!r} builds on the stage {stage.name!r}, which is not done: run it first"
            )
    return agent.eval()


def _claim(agent: Agent, demonstrations: Demonstrations, folder: Path) -> None:
    path, data = folder / "config.json", _known_by(agent, demonstrations)
    if not path.exists():
        text = json.dumps({"kind": agent.kind, "config": agent.config.to_dict(), "data": data}, indent=1)
        path.write_text(text, encoding="utf-8")
        return
    held = json.loads(path.read_text(encoding="utf-8"))
    # Of a run of before there was such a field the data tell: their actions are as they were learned.
    held["config"].setdefault("action_origin", agent.config.action_origin)
    # Read and written again, so that fields which came later have their defaults.
    then = {
        "kind": held["kind"],
        "config": WARPDConfig.from_dict(held["config"]).to_dict(),
        "data": held.get("data", data),
    }
    now = _entries({"kind": agent.kind, "config": agent.config.to_dict(), "data": data})
    differ = [
        f"{name} {value!r}, not {now.get(name)!r}" for name, value in _entries(then).items() if value != now.get(name)
    ]
    if differ:
        raise ValueError(
            f"{folder} holds a run with {'; '.join(differ)}: choose another directory, or remove it to begin anew"
        )


def _entries(tree: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """A nested dict as one of dotted names."""
    out: dict[str, Any] = {}
    for name, value in tree.items():
        out |= _entries(value, f"{above}{name}.") if isinstance(value, Mapping) else {f"{above}{name}": value}
    return out


def _known_by(agent: Agent, demonstrations: Demonstrations) -> dict[str, Any]:
    """What tells one training set from another: its sizes, its scales, its rows and how they are cut."""
    return {"scales": f"{_checksum(*agent.scaling.state_dict().values()):08x}", **fingerprint(demonstrations)}


def fingerprint(demonstrations: Demonstrations) -> dict[str, Any]:
    """What tells these demonstrations from others: their sizes, their rows and how they are cut; JSON-ready."""
    return {
        "trajectories": len(demonstrations),
        "rows": len(demonstrations.obs),
        "values": f"{_checksum(demonstrations.obs, demonstrations.action):08x}",
        "layout": f"{_checksum(demonstrations.lengths, demonstrations.task):08x}",
        "trail": demonstrations.trail,
    }


def _checksum(*tensors: Tensor) -> int:
    total = 0
    for tensor in tensors:
        total = zlib.crc32(tensor.detach().cpu().contiguous().numpy().tobytes(), total)
    return total


def finished(stage: Stage, folder: Path) -> Path | None:
    """The last progress in a stage's folder of a run, if all of its epochs are done."""
    last = latest(folder)
    return None if last is None or int(last.name.removeprefix("step_")) < stage.epochs else last


class _Run:
    """One stage in its folder."""

    def __init__(self, agent: Agent, stage: Stage, demonstrations: Demonstrations, folder: Path) -> None:
        self.agent, self.stage, self.log = agent, stage, folder / "log.jsonl"
        self.folder = folder / stage.name
        self.demonstrations = demonstrations.led(stage.lead) if stage.lead else demonstrations
        self.length = agent.config.length + stage.lead
        self.optimizer = torch.optim.Adam(stage.groups, fused=True)  # a sixth of the time on networks of many parts
        self.parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        self.rates = [group["lr"] for group in self.optimizer.param_groups]
        self.ema: EMA | None = None
        self.epoch = 0

    def train(self, show: bool) -> None:
        """Runs the epochs that are left, then puts the averaged weights in place."""
        from tqdm.auto import tqdm

        stage = self.stage
        self._begin()
        stage.module.train()
        bar = tqdm(total=stage.epochs, initial=self.epoch, desc=stage.name, disable=not show, unit="epoch")
        saved = time.monotonic()
        with stop_signals() as stop, bar:
            while self.epoch < stage.epochs:
                metrics = self._run_epoch()
                self.epoch += 1
                self._write(metrics)
                bar.update()
                bar.set_postfix({k: f"{v:.3g}" for k, v in metrics.items()})
                due = time.monotonic() - saved > self.agent.config.train.save_every_s
                if due or stop.is_set() or self.epoch == stage.epochs:
                    save_progress(self.folder, self.epoch, stage.module, self.optimizer, self.ema, {})
                    saved = time.monotonic()
                if stop.is_set():
                    raise Stopped(f"stopped after epoch {self.epoch} of {self.folder}", stop)
        stage.module.eval()
        self.restore()

    def restore(self) -> bool:
        """Puts the averaged weights of the finished stage in place; False where it is not finished."""
        done = finished(self.stage, self.folder)
        if done is not None:
            load_averaged(done, self.stage.module)
        return done is not None

    def _begin(self) -> None:
        progress, stage = latest(self.folder), self.stage
        if progress is None and stage.prepare is not None:
            stage.prepare(self.demonstrations, self._generator(-1))
        if stage.ema is not None:
            self.ema = EMA(stage.module, stage.ema)
        if progress is not None:
            self.epoch, _ = load_progress(progress, stage.module, self.optimizer, self.ema)
            _log.info("going on with %s at epoch %d", self.folder, self.epoch)
        _drop_lines(self.log, stage.name, self.epoch)

    def _run_epoch(self) -> dict[str, float]:
        config, generator = self.agent.config.train, self._generator(self.epoch)
        totals: dict[str, float] = {}
        batches = 0
        device = self.agent.scaling.obs_mean.device
        count = -(-len(self.demonstrations) * config.snippets // config.batch_size)
        for batch in self.demonstrations.epoch(self.length, config.batch_size, generator, config.snippets):
            self._set_rates(batches / count, count)
            losses = self.stage.loss({k: v.to(device) for k, v in batch.items()}, generator, self.epoch)
            if not losses["loss"].isfinite():
                parts = {k: round(v.item(), 4) for k, v in losses.items()}
                raise FloatingPointError(
                    f"epoch {self.epoch + 1} of {self.stage.name}: {parts}; lower the learning rate or set grad_clip"
                )
            self.optimizer.zero_grad(set_to_none=True)
            losses["loss"].backward()
            if config.grad_clip is not None:
                nn.utils.clip_grad_norm_(self.parameters, config.grad_clip)
            self.optimizer.step()
            if self.ema is not None:
                self.ema.update(self.stage.module)
            batches += 1
            for name, value in losses.items():
                totals[name] = totals.get(name, 0.0) + value.item()
        return {name: value / batches for name, value in totals.items()}

    def _set_rates(self, of_epoch: float, count: int) -> None:
        """For the update that begins when the share ``of_epoch`` of an epoch of ``count`` of them is over."""
        share, done = 1.0, self.epoch + of_epoch
        if self.agent.config.train.decay:
            share = min(1.0, done + 1 / count) * 0.5 * (1 + math.cos(math.pi * done / self.stage.epochs))
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * share

    def _generator(self, epoch: int) -> torch.Generator:
        seed = (self.agent.config.train.seed * 1_000_003 + zlib.crc32(self.stage.name.encode()) + epoch * 7_919) % 2**63
        return torch.Generator().manual_seed(seed)

    def _write(self, metrics: dict[str, float]) -> None:
        line = {"stage": self.stage.name, "epoch": self.epoch, **metrics}
        with self.log.open("a", encoding="utf-8") as handle:
            handle.write(json.dumps(line) + "\n")


def _drop_lines(path: Path, stage: str, epoch: int) -> None:
    """Drops what a killed run wrote of a stage after its last save, so that the log holds one curve."""
    if not path.exists():
        return
    kept = []
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            continue  # the line that the kill cut short
        if line["stage"] != stage or line["epoch"] <= epoch:
            kept.append(text + "\n")
    temporary = path.with_suffix(".tmp")
    temporary.write_text("".join(kept), encoding="utf-8")
    temporary.replace(path)
