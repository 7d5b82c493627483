"""From a trained world model to a checkpoint that ships: probe, rewards, start bank, fidelity, twin rollouts, card.

The same for every family and suite. `plan` refuses what can be refused before any work; `kept_parts` keeps what was
made, so that the same command goes on where it was stopped.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dreamgym.data import EpisodeStore, EpisodeView, SequenceSampler
from dreamgym.envs.core.starts import StartBank
from dreamgym.evaluation.making.card import write_card
from dreamgym.evaluation.making.describe import describe_data, describe_model
from dreamgym.evaluation.making.fidelity import as_recorded, measure_fidelity
from dreamgym.evaluation.making.kept_parts import Part, Parts, fingerprint, store_key
from dreamgym.evaluation.making.plan import Plan, can_act, make_plan
from dreamgym.evaluation.making.rollouts import (
    RolloutConfig,
    choose_sequences,
    demo_rollouts,
    operator_rollouts,
    score_rollouts,
    success_agreement,
)
from dreamgym.evaluation.making.settings import WEIGHTS, FinishConfig, Settings
from dreamgym.evaluation.policies.fingerprint import outside_code
from dreamgym.provenance import machine
from dreamgym.rewards import DecodedStateReward, RewardModel, SuccessClassifier
from dreamgym.rewards.fit import fit_success
from dreamgym.suites.trials import open_trials
from dreamgym.training import checkpoint
from dreamgym.training.bank import build_starts
from dreamgym.training.packing import round_weights
from dreamgym.training.progress import latest
from dreamgym.training.runs import held, read_json
from dreamgym.training.train import load_run, training_episodes
from dreamgym.world_models.base import WorldModel
from dreamgym.world_models.instructions import told_of
from dreamgym.world_models.probe import ProbeFitConfig, StateProbe, fit_probe

_log = logging.getLogger(__name__)


def finish_run(
    run_dir: str | Path,
    stores: Sequence[str | Path],
    out: str | Path,
    config: FinishConfig | None = None,
    *,
    tasks: Sequence[str] = (),
    beginnings: Sequence[str | Path] = (),
    notes: Mapping[str, Any] | None = None,
    progress: bool = True,
) -> Path:
    """Turns a training run into a complete checkpoint folder; what is made is kept in ``run_dir/finish``.

    Args:
        run_dir: a run of `dreamgym fit`.
        stores: data of one suite or of the user's own: play, demonstrations, clumsy attempts (see `plan.make_plan`),
            with meta "split" "train", "val" and, if there is to be such a bank, "test".
        out: the checkpoint folder; replaced if it is one.
        config: see `FinishConfig`.
        tasks: some of the tasks that the stores have; () for all.
        beginnings: further stores whose episodes only begin dreams, were they but two rows long.
        notes: what else the card is to say, by section: "command", how the run was trained; "scripted".
        progress: whether to show progress bars.

    Returns:
        The folder.

    Raises:
        ValueError, ImportError: no trained run, or what `plan.make_plan` refuses.
    """
    checkpoint.check_target(out)
    run_dir = Path(run_dir)
    model = load_run(run_dir)
    training = read_json(run_dir / "run.json")
    reached = latest(run_dir)
    training["updates"] = 0 if reached is None else int(reached.name.removeprefix("step_"))
    with held(run_dir / "finish"):
        return finish_model(
            model, [EpisodeStore.open(s) for s in stores], out, config, tasks=tasks,
            beginnings=[EpisodeStore.open(s) for s in beginnings], parts=Parts(run_dir / "finish", progress),
            metrics={"training": training, "run": run_dir.name, **(notes or {})},
        )  # fmt: skip


def finish_model(
    model: WorldModel,
    stores: Sequence[EpisodeView],
    out: str | Path,
    config: FinishConfig | None = None,
    *,
    tasks: Sequence[str] = (),
    beginnings: Sequence[EpisodeView] = (),
    parts: Parts | None = None,
    metrics: Mapping[str, Any] | None = None,
) -> Path:
    """`finish_run` for a model that is at hand, whose weights are rounded as they will be stored.

    Args:
        parts: where parts under way are kept; None: nowhere.
        metrics: what else to write into the checkpoint's metrics.
        model, stores, out, config, tasks, beginnings: see `finish_run`.
    """
    config = FinishConfig() if config is None else config
    plan = make_plan(model, stores, Path(out), tasks, beginnings, twin=config.twin_per_task > 0)
    return _Finish(model, plan, config, parts or Parts()).save(Path(out), metrics or {})


class _Finish:
    """One checkpoint being made: every part from those before it."""

    def __init__(self, model: WorldModel, plan: Plan, config: FinishConfig, parts: Parts) -> None:
        self.plan, self.config, self.parts, self.progress = plan, config, parts, parts.progress
        self.settings = Settings.of(config, model, plan.tasks)
        model.eval().requires_grad_(False)
        round_weights(model, WEIGHTS[self.settings.weights])
        # The data are one robot's: so is the view of the model that they are encoded with.
        self.whole, self.model = model, as_recorded(model, plan.facts)
        self._base = {
            "model": fingerprint(model.state_dict()), "spec": model.spec.to_dict(), "tasks": plan.tasks,
            "stores": {role: store_key(store) for role, store in plan.by_role.items()}, "seed": config.seed,
        }  # fmt: skip
        if (code := outside_code(type(model))) is not None:
            self._base["code"] = code

    def save(self, out: Path, metrics: Mapping[str, Any]) -> Path:
        """Makes what is not there yet, and writes the checkpoint."""
        plan, model, measured = self.plan, self.whole, self.plan.measured
        probe = self._probe()
        rewards, reward_metrics = self._rewards(probe)
        starts, starts_meta = self._starts()
        fidelity = self._fidelity(probe)
        model.spec = model.spec.with_uncertainty_limit(fidelity["uncertainty"]["p99"])
        data = {role: describe_data(store) for role, store in plan.by_role.items()}
        if plan.beginnings:
            data["beginning"] = {"episodes": sum(len(store) for store in plan.beginnings)}
        found: dict[str, Any] = {
            **metrics, "model": describe_model(model), "data": data, "fidelity": fidelity,
            "starts": {**starts_meta, "snapshots": "snapshot" in starts},
            "seed": self.config.seed, "machine": machine(),
        }  # fmt: skip
        if reward_metrics:
            found["rewards"] = reward_metrics
        attachments: dict[str, dict[str, Tensor]] = {}
        if self.config.twin_per_task and can_act(plan) and "success" in rewards:
            sequences, found["twin"] = self._twin(rewards["success"], starts)
            attachments["demo"] = sequences
        found["finish_seconds"] = {**self.parts.seconds, "all": round(sum(self.parts.seconds.values()), 1)}
        _log.info("finished %s from %s", out, measured.path)
        return checkpoint.save(
            out, model, rewards, starts, probe=probe, simulator=plan.simulator, metrics=found,
            card=write_card(out.name, found), starts_meta=starts_meta, attachments=attachments,
            dtype=WEIGHTS[self.settings.weights],
        )  # fmt: skip

    def _part(self, name: str, make: Callable[[], Part], **key: Any) -> Part:
        return self.parts(name, {**self._base, **key}, make)

    def _round(self, module: nn.Module) -> None:
        """Rounds what is fitted on the world model as it will be stored."""
        round_weights(module, torch.float32 if self.settings.weights == "float32" else torch.float16)

    def _probe(self) -> StateProbe | None:
        """Reads those vectors off the features that the model does not decode; None where it decodes them all."""
        layouts = self.plan.facts.layouts
        vectors = {k: v for k, v in layouts.items() if k not in self.model.spec.decodable}
        if not vectors:
            return None

        def make() -> Part:
            train = training_episodes(self.plan.measured)
            keys = [*dict.fromkeys([*self.model.spec.observations, *vectors, "action"])]
            length = min(32, int(train.lengths.max()))
            sampler = SequenceSampler(train, length=length, batch_size=16, keys=keys, seed=self.config.seed)
            how = ProbeFitConfig(self.config.probe_steps, seed=self.config.seed)
            spec = self.model.spec
            probe = fit_probe(self.model, sampler, vectors, how, lambda n: told_of(spec, train, sampler.episodes(n)))
            self._round(probe)
            return probe.state_dict(), probe.to_config()

        tensors, told = self._part("probe", make, steps=self.config.probe_steps)
        probe = StateProbe.from_config(told)
        probe.load_state_dict(tensors)
        return probe.to(self._device).eval().requires_grad_(False)

    def _rewards(self, probe: StateProbe | None) -> tuple[dict[str, RewardModel], dict[str, Any]]:
        """The success classifier where there are marked episodes, and the suite's rules on decoded state."""
        plan, out = self.plan, {}
        marked = [s for s in (plan.demonstrations, plan.attempts) if s is not None]
        figures: dict[str, Any] = {}
        if marked:
            classifier, figures = self._classifier(marked)
            out["success"] = classifier
        rules = None if plan.suite is None else plan.suite.rules
        if rules is not None and plan.suite is not None and self._can_read(rules(plan.tasks, "cpu").keys, probe):
            decodes = all(k in self.model.spec.decodable for k in rules(plan.tasks, "cpu").keys)
            out["decoded"] = DecodedStateReward(plan.suite.name, plan.tasks, probe=None if decodes else probe)
        if not out:
            raise ValueError("no reward: no marked episodes, and the model decodes nothing that the suite's rules read")
        return out, figures

    def _can_read(self, keys: Sequence[str], probe: StateProbe | None) -> bool:
        return all(k in self.model.spec.decodable for k in keys) or (
            probe is not None and all(k in probe.keys for k in keys)
        )

    def _classifier(self, marked: Sequence[EpisodeView]) -> tuple[RewardModel, dict[str, Any]]:
        settings, plan = self.settings, self.plan

        def make() -> Part:
            labels = plan.suite is not None and plan.suite.succeeded is not None and plan.suite.startable is not None
            play = training_episodes(plan.play) if plan.play is not None and labels else None
            attempts = marked[1] if len(marked) > 1 else None
            made, figures = fit_success(
                self.model, marked[0], play, settings.classifier, settings.rewards, self.progress, attempts
            )
            self._round(made)
            return made.state_dict(), figures

        key = {"classifier": asdict(settings.classifier), "fit": asdict(settings.rewards)}
        tensors, figures = self._part("rewards", make, **key)
        classifier = SuccessClassifier(settings.classifier)
        classifier.load_state_dict(tensors)
        return classifier.to(self._device).eval().requires_grad_(False), figures

    def _starts(self) -> Part:
        plan = self.plan
        # An attempt begins where a demonstration does.
        sources = [s for role, s in plan.by_role.items() if role != "attempt" or plan.demonstrations is None]
        sources += plan.beginnings
        more = [store_key(s) for s in self.plan.beginnings]
        bank = self.settings.bank
        return self._part(
            "starts", lambda: build_starts(self.model, sources, self.plan.tasks, bank, self.progress),
            bank=asdict(bank), beginnings=more,
        )  # fmt: skip

    def _fidelity(self, probe: StateProbe | None) -> dict[str, Any]:
        measured, config = self.plan.measured, self.settings.fidelity

        def make() -> Part:
            held_out, train = measured.select(split="val"), training_episodes(measured)
            return {}, measure_fidelity(self.model, held_out, train, config, probe, self.progress).to_dict()

        key = {"fidelity": asdict(config), "probe": None if probe is None else fingerprint(probe.state_dict())}
        return self._part("fidelity", make, **key)[1]

    def _twin(self, success: RewardModel, starts: Mapping[str, Tensor]) -> Part:
        """Action sequences for the demo, and how the classifier does on rollouts in the simulator."""
        plan, config = self.plan, self.config
        assert plan.suite is not None and plan.simulator is not None
        suite, simulator, tasks = plan.suite, plan.simulator["kwargs"], plan.tasks

        def make() -> Part:
            bank = StartBank.from_tensors(starts, tasks)
            split = bank.reported_split(tasks)
            how = RolloutConfig(config.twin_per_task, horizon=suite.horizon, split=split, seed=config.seed)
            trials = open_trials(suite, tuple(self.model.spec.observations), **simulator)
            try:
                rollouts = operator_rollouts(bank, tasks, trials, how, self.progress)
            finally:
                trials.close()
            scores = score_rollouts(self.model, success, bank, rollouts, config.seed)
            figures = {"tasks": success_agreement(success, rollouts, scores), "per_task": config.twin_per_task}
            figures |= {"split": split}
            trials = open_trials(suite, **simulator)
            try:
                # Twice as many as are shown: a demo should show successes where there are any.
                each = 2 * -(-config.demo_sequences // len(tasks))
                candidates = demo_rollouts(bank, tasks, trials, each, config.seed + 1)
            finally:
                trials.close()
            return choose_sequences(candidates, config.demo_sequences).to_tensors(), figures

        key = {"per_task": config.twin_per_task, "sequences": config.demo_sequences, "simulator": simulator}
        return self._part("twin", make, **key, rewards=fingerprint(success.state_dict()), starts=fingerprint(starts))

    @property
    def _device(self) -> torch.device:
        return next(self.model.parameters()).device
