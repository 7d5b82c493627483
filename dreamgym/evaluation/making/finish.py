"""From a trained world model to a checkpoint that ships: probe, rewards, start bank, fidelity, twin rollouts, card.

python -m dreamgym.evaluation.making.finish --run runs/play --play data/play --demonstrations data/demos --out
checkpoints/play
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dreamgym.data import EpisodeStore, EpisodeView, SequenceSampler
from dreamgym.envs.core.starts import StartBank
from dreamgym.evaluation.making.card import write_card
from dreamgym.evaluation.making.fidelity import FidelityConfig, measure_fidelity
from dreamgym.evaluation.making.rollouts import (
    Rollouts,
    choose_sequences,
    demo_rollouts,
    expert_rollouts,
    judge,
    success_agreement,
)
from dreamgym.evaluation.pages.demo import sequence_tensors
from dreamgym.evaluation.statistics.comparison import Sequences
from dreamgym.provenance import machine
from dreamgym.rewards import DecodedStateReward, RewardModel, SuccessConfig
from dreamgym.rewards.fit import SuccessFitConfig, fit_success
from dreamgym.rewards.samples import tasks_of
from dreamgym.suites.calvin.play import PlayConfig
from dreamgym.training import checkpoint
from dreamgym.training.bank import BankConfig, build_starts
from dreamgym.training.packing import round_weights
from dreamgym.training.progress import latest
from dreamgym.training.train import load_run, training_episodes
from dreamgym.world_models.base import WorldModel
from dreamgym.world_models.families.rssm.config import ROBOT_OBS, SCENE_OBS
from dreamgym.world_models.probe import StateProbe, fit_probe

WEIGHTS = {"int8": torch.int8, "float16": torch.float16, "float32": torch.float32}
VECTORS = {"robot_obs": ROBOT_OBS, "scene_obs": SCENE_OBS}
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FinishConfig:
    """How much is spent on finishing; the defaults take about ten minutes on two cores for a tiny RSSM.

    Attributes:
        probe_steps: batches of 16 windows of 32 frames that the probe is trained on.
        rewards: training of the success classifier.
        bank: the start bank.
        fidelity: the open-loop evaluation.
        twin_per_task: rollouts a task of scripted experts in the simulator; 0 for none (and no demo sequences).
        demo_sequences: held-out action sequences that ship with the checkpoint.
        weights: the type that parameters are stored in, "int8" (the world model's matrices; the rest as float16),
            "float16" or "float32". What is measured is measured with the world model's weights so rounded.
        seed: of everything that does not have its own.
    """

    probe_steps: int = 300
    rewards: SuccessFitConfig = field(default_factory=SuccessFitConfig.tiny)
    bank: BankConfig = field(default_factory=BankConfig)
    fidelity: FidelityConfig = field(default_factory=FidelityConfig)
    twin_per_task: int = 16
    demo_sequences: int = 8
    weights: str = "int8"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.weights not in WEIGHTS:
            raise ValueError(f"weights must be one of {sorted(WEIGHTS)}, got {self.weights!r}")

    @classmethod
    def quick(cls) -> FinishConfig:
        """A minute or two: to see that everything works, not to ship."""
        return cls(
            probe_steps=40,
            rewards=replace(SuccessFitConfig.tiny(), epochs=5, demo_passes=1, play_windows=32),
            bank=BankConfig(num_train=32, num_val=8),
            fidelity=FidelityConfig(windows=32),
            twin_per_task=2,
        )


def finish_checkpoint(
    run_dir: str | Path,
    play_store: str | Path,
    demo_store: str | Path,
    out: str | Path,
    config: FinishConfig | None = None,
    *,
    attempts_store: str | Path | None = None,
    command: str = "",
    progress: bool = True,
) -> Path:
    """Turns a training run into a complete checkpoint folder.

    Args:
        run_dir: a run of `dreamgym.training.train.train`.
        play_store: play, with meta "split" "train" and "val" and a "snapshot" key.
        demo_store: marked demonstrations and failed attempts of the same scene, likewise.
        out: the checkpoint folder; replaced if it is one.
        config: see `FinishConfig`.
        attempts_store: clumsy attempts (`dreamgym.suites.calvin.attempts`), near misses for the reward model; or None.
        command: how the run was trained, for the card.
        progress: whether to show progress bars.

    Raises:
        ValueError: no trained run, or data that lack a task, a split or a sensor.
    """
    run_dir = Path(run_dir)
    model = load_run(run_dir)
    training = json.loads((run_dir / "run.json").read_text())
    reached = latest(run_dir)
    training["updates"] = int(reached.name.removeprefix("step_")) if reached is not None else 0
    play, demos = EpisodeStore.open(play_store), EpisodeStore.open(demo_store)
    attempts = None if attempts_store is None else EpisodeStore.open(attempts_store)
    metrics = {"training": training, "command": command, "run": run_dir.name}
    return finish_model(model, play, demos, out, config, attempts=attempts, metrics=metrics, progress=progress)


def finish_model(
    model: WorldModel,
    play: EpisodeView,
    demos: EpisodeView,
    out: str | Path,
    config: FinishConfig | None = None,
    *,
    attempts: EpisodeView | None = None,
    metrics: Mapping[str, Any] | None = None,
    progress: bool = True,
) -> Path:
    """`finish_checkpoint` for a model of any family that is at hand."""
    config = FinishConfig() if config is None else config
    began, clock = time.monotonic(), _Clock()
    model.eval().requires_grad_(False)
    round_weights(model, WEIGHTS[config.weights])
    tasks = tasks_of(demos)
    train, held_out = training_episodes(play), play.select(split="val")
    probe = _probe(model, train, config)
    clock.lap("probe")
    rewards, reward_metrics = _rewards(model, probe, train, demos, attempts, tasks, config, progress)
    clock.lap("rewards")
    starts, starts_meta = build_starts(model, [play, demos], tasks, config.bank, progress)
    clock.lap("starts")
    fidelity = measure_fidelity(model, held_out, train, config.fidelity, probe, progress)
    model.spec = model.spec.with_uncertainty_limit(fidelity.uncertainty["p99"])
    clock.lap("fidelity")
    simulator = simulator_of(play)
    found: dict[str, Any] = {
        **(metrics or {}),
        "model": _describe(model),
        "data": {"play": _data(play), "demonstration": _data(demos)}
        | ({} if attempts is None else {"attempt": _data(attempts)}),
        "fidelity": fidelity.to_dict(),
        "rewards": reward_metrics,
        "starts": {**starts_meta, "snapshots": "snapshot" in starts},
        "seed": config.seed,
        "machine": machine(),
    }
    sequences = None
    if config.twin_per_task and simulator is not None and "snapshot" in starts:
        found["twin"], sequences = _twin(model, rewards["success"], starts, tasks, simulator, config, progress)
        clock.lap("twin")
    found["finish_seconds"] = {**clock.laps, "all": round(time.monotonic() - began, 1)}
    _log.info("finished in %s s", found["finish_seconds"])
    return checkpoint.save(
        out,
        model,
        rewards=rewards,
        starts=starts,
        probe=probe,
        simulator=simulator,
        metrics=found,
        card=write_card(Path(out).name, found),
        starts_meta=starts_meta,
        attachments={} if sequences is None else {"demo": sequence_tensors(sequences)},
        dtype=WEIGHTS[config.weights],
    )


def _twin(
    model: WorldModel,
    success: RewardModel,
    starts: Mapping[str, Tensor],
    tasks: tuple[str, ...],
    simulator: Mapping[str, Any],
    config: FinishConfig,
    progress: bool,
) -> tuple[dict[str, Any], Sequences]:
    """How the classifier does on rollouts in the simulator, and the held-out sequences that the demo plays."""
    bank = StartBank.from_tensors(starts, tasks)
    rollouts = _twin_rollouts(bank, tasks, simulator, model, config, progress)
    judged = judge(model, success, bank, rollouts, seed=config.seed)
    metrics = {"tasks": success_agreement(success, rollouts, judged), "per_task": config.twin_per_task}
    each = -(-config.demo_sequences // len(tasks))
    # Twice as many as are shown: a demo should show successes where there are any.
    candidates = demo_rollouts(bank, tasks, simulator["kwargs"]["scene"], 2 * each, config.seed + 1)
    return metrics, choose_sequences(candidates, config.demo_sequences)


class _Clock:
    """Seconds of each part."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.monotonic()

    def lap(self, name: str) -> None:
        now = time.monotonic()
        self.laps[name] = round(now - self._last, 1)
        self._last = now
        _log.info("%s: %.0f s", name, self.laps[name])


def _round_small(module: nn.Module, config: FinishConfig) -> None:
    """Rounds what is fitted on the world model as it will be stored."""
    round_weights(module, torch.float32 if config.weights == "float32" else torch.float16)


def _probe(model: WorldModel, train: EpisodeView, config: FinishConfig) -> StateProbe:
    keys = [k for k in dict.fromkeys([*model.spec.observations, *VECTORS, "action"]) if k in train.keys]
    sampler = SequenceSampler(train, length=32, batch_size=16, keys=keys, seed=config.seed)
    vectors = {k: v for k, v in VECTORS.items() if k in train.keys}
    probe = fit_probe(model, sampler, config.probe_steps, vectors, seed=config.seed)
    _round_small(probe, config)
    return probe


def _rewards(
    model: WorldModel,
    probe: StateProbe,
    train: EpisodeView,
    demos: EpisodeView,
    attempts: EpisodeView | None,
    tasks: tuple[str, ...],
    config: FinishConfig,
    progress: bool,
) -> tuple[dict[str, RewardModel], dict[str, Any]]:
    sizes = SuccessConfig.tiny(tasks, int(np.prod(model.spec.feature_shape)))
    classifier, metrics = fit_success(model, demos, train, sizes, config.rewards, progress, attempts)
    _round_small(classifier, config)
    decodes = "scene_obs" in model.spec.decodable
    return {
        "success": classifier,
        "decoded": DecodedStateReward("calvin", tasks, probe=None if decodes else probe),
    }, metrics


def simulator_of(play: EpisodeView) -> dict[str, Any] | None:
    """What the checkpoint's twin is, from the play it was learned from."""
    recorded = play.metas[0].get("config") if len(play) else None
    if not recorded or "scene" not in recorded:
        return None
    kwargs = {k: recorded[k] for k in ("scene", "image_size", "visuals") if k in recorded}
    return {"id": "calvin", "kwargs": {**kwargs, "cameras": list(recorded.get("cameras", ()))}}


def _twin_rollouts(
    bank: StartBank,
    tasks: tuple[str, ...],
    simulator: Mapping[str, Any],
    model: WorldModel,
    config: FinishConfig,
    progress: bool,
) -> Rollouts:
    kwargs = dict(simulator["kwargs"])
    used = {f"rgb_{c}" for c in kwargs["cameras"]} & set(model.spec.observations)
    kwargs["cameras"] = tuple(c for c in kwargs["cameras"] if f"rgb_{c}" in used)  # frames that nobody reads cost most
    return expert_rollouts(
        bank, tasks, PlayConfig(**kwargs), per_task=config.twin_per_task, seed=config.seed, progress=progress
    )


def _describe(model: WorldModel) -> dict[str, Any]:
    config = getattr(model, "config", None)
    return {
        "family": model.spec.family,
        "variant": getattr(config, "variant", "custom"),
        "parameters": sum(p.numel() for p in model.parameters()),
        "features": int(np.prod(model.spec.feature_shape)),
        "uncertainty_unit": model.spec.uncertainty_unit,
    }


def _data(view: EpisodeView) -> dict[str, Any]:
    held_out = sum(meta.get("split") == "val" for meta in view.metas)
    scene = view.metas[0].get("scene", "") if len(view) else ""
    return {"episodes": len(view), "steps": int(view.num_steps), "note": f"scene {scene}, {held_out} episodes held out"}


def main(argv: list[str] | None = None) -> None:
    """The command line of this module."""
    parser = argparse.ArgumentParser(prog="python -m dreamgym.evaluation.making.finish", description=__doc__)
    for name in ("--run", "--play", "--demonstrations", "--out"):
        parser.add_argument(name, required=True)
    parser.add_argument("--attempts", default=None, help="store of clumsy attempts, for the reward model")
    parser.add_argument("--quick", action="store_true", help="everything small: to see that it works")
    parser.add_argument("--twin-per-task", type=int, default=None)
    parser.add_argument("--windows", type=int, default=None, help="held-out windows for fidelity")
    parser.add_argument("--command", default="", help="how the run was trained, for the card")
    options = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    config = FinishConfig.quick() if options.quick else FinishConfig()
    if options.twin_per_task is not None:
        config = replace(config, twin_per_task=options.twin_per_task)
    if options.windows is not None:
        config = replace(config, fidelity=replace(config.fidelity, windows=options.windows))
    _log.info("%s", json.dumps(asdict(config)))
    stores = options.run, options.play, options.demonstrations
    finish_checkpoint(*stores, options.out, config, attempts_store=options.attempts, command=options.command)


if __name__ == "__main__":
    main()
