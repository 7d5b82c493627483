"""Any policy on any dream and on its twin, from paired start states: success with intervals, and what it rests on::

    result = evaluate("random", "playtable", "open_drawer", episodes=50)
    print(result.summary()["twin"]["success_rate"])

Episode i begins from the same row of the start bank in both worlds. The rows come from held-out data, so nothing was
trained on them; a seed stands for the same rows whatever the policy, so policies can be compared in pairs.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from dreamgym.envs import make, twin
from dreamgym.envs.simulators import suite_of
from dreamgym.evaluation.policies.bound import BoundCore, is_planner
from dreamgym.evaluation.policies.config import EvaluationConfig
from dreamgym.evaluation.policies.decisions import actions_a_decision
from dreamgym.evaluation.policies.episodes import Episodes
from dreamgym.evaluation.policies.fingerprint import fingerprint, normalizer_hash
from dreamgym.evaluation.policies.keep_episodes import EpisodeKeeper
from dreamgym.evaluation.policies.libraries.settings import check_heeded
from dreamgym.evaluation.policies.load import load_policy, policy_name, read_config
from dreamgym.evaluation.policies.record import DreamRecorder, TwinRecorder, replay
from dreamgym.evaluation.policies.result import Evaluation, file_stem
from dreamgym.evaluation.policies.rollout import RolloutOptions, run_episodes
from dreamgym.evaluation.policies.setup import Setup, checkpoint_hashes, open_world
from dreamgym.evaluation.statistics.comparison import compare
from dreamgym.provenance import provenance
from dreamgym.types import InstructionSpec, Policy

if TYPE_CHECKING:
    from dreamgym.training.checkpoint import Checkpoint

HORIZONS = (1, 5, 10, 25, 50)
LINGER = 5
DREAMS_AT_ONCE = 64
"""A fixed number, since an episode's noise is that of its place among them; more would hardly be faster."""


def evaluate(
    policy: str | Path | Policy | Callable[..., Policy],
    world_model: str | Checkpoint,
    task: str | Sequence[str] = "all",
    config: EvaluationConfig | None = None,
    *,
    device: torch.device | str | None = None,
    clips_to: str | os.PathLike[str] | None = None,
    name: str | None = None,
    progress: bool = False,
    **changes: Any,
) -> Evaluation:
    """Evaluates a policy in a dream and in its twin.

    Args:
        policy: see `load_policy`. What else than ``start`` and ``act`` it may have (``obs``, ``chunk``, ``begin``,
            ``bind``): see `dreamgym.types.Policy`.
        world_model: a checkpoint, its name or folder, or the id of a dream ("Dream-PlayTable-v0").
        task: a task, several, or "all".
        config: see `EvaluationConfig`.
        device: where to dream and act; None: where the model is.
        clips_to: folder for clips (``config.clips`` columns each).
        name: what to call the policy; None: `policy_name`.
        progress: whether to show bars.
        changes: fields of `EvaluationConfig` to change.

    Raises:
        ImportError: the twin's simulator is not installed.
        ValueError: an unknown policy, task or split, a checkpoint without start bank, reward or simulator, or a policy
            whose chunk does not fit the model.
    """
    config = replace(config or EvaluationConfig(), **changes)
    check_heeded([policy], config)
    setup = Setup.of(open_world(world_model), task, config)
    if setup.config.twin and (suite := suite_of(setup.opened.simulator)) is not None:
        suite.check_installed()  # before the dream's episodes, which take their time
    if device is None:
        device = next((p.device for p in setup.opened.model.parameters()), torch.device("cpu"))
    # Before the policy is loaded: if its file is edited meanwhile, this is another version's hash, and nothing is
    # taken for up to date that is not.
    training = _training(policy)
    training |= normalizer_hash(setup.config)
    if setup.config.executor is not None:
        training["executor"] = fingerprint(setup.config.executor)
    actor = load_policy(policy, setup.model.spec, device, setup.policy_options)
    actions_a_decision(actor, setup.model.spec)
    run = _Run(setup, actor, device, *setup.choose_starts(), name or policy_name(policy), progress)
    return run(training, Path(clips_to) if clips_to is not None and setup.config.clips else None)


@dataclass(frozen=True)
class _Run:
    """One evaluation under way."""

    setup: Setup
    policy: Policy
    device: torch.device | str
    row: np.ndarray
    task: np.ndarray
    name: str
    progress: bool

    def __call__(self, training: dict[str, Any], clips_to: Path | None) -> Evaluation:
        """Dream, twin, and what follows from both."""
        setup, config, reward = self.setup, self.setup.config, self.setup.reward
        dream, dream_kept = self._dream(clips_to is not None) if config.dream else (None, None)
        twin_, twin_kept = self._twin(clips_to is not None) if config.twin else (None, None)
        result = Evaluation(
            self.name, setup.opened.path.name, tuple(reward.tasks), config, dream, twin_,
            training=training, provenance=provenance(checkpoint_hashes(setup.opened)),
        )  # fmt: skip
        if twin_ is None or twin_kept is None:
            return result
        reliability = twin_kept.reliability(reward.thresholds.cpu().numpy()[twin_.task])
        clips = []
        if clips_to is not None and dream is not None and dream_kept is not None and twin_kept.camera is not None:
            from dreamgym.evaluation.pages.clips import write_clips  # needs the report extra

            clips = write_clips(clips_to, file_stem(self.name), dream, twin_, dream_kept, twin_kept, config.clips)
        return replace(result, reliability=reliability, drift=self._drift(twin_, twin_kept), clips=clips)

    def _drift(self, side: Episodes, kept: TwinRecorder) -> dict[str, Any] | None:
        """The dream along the twin's actions, at a few horizons; None where actions are instructions."""
        setup, opened = self.setup, self.setup.opened
        if isinstance(setup.model.spec.action, InstructionSpec):
            return None
        sequences = kept.sequences(setup.reward.tasks, side.row, side.task)
        chunk = actions_a_decision(self.policy, setup.model.spec)
        imagined = replay(setup.model, setup.reward, setup.bank, sequences, opened.probe, setup.config.seed, chunk)
        longest = int(sequences.length.max())
        horizons = [h for h in HORIZONS if h < longest] + [longest]
        agreement = compare(kept.trajectories(), imagined, sequences, setup.measures)
        drift: dict[str, Any] = agreement.to_dict(horizons)["horizons"]
        return drift

    def _options(self, num_envs: int) -> dict[str, Any]:
        config = self.setup.config
        options: dict[str, Any] = {"num_envs": num_envs, "horizon": config.horizon, "reward": "probability"}
        options |= {"autoreset_mode": "disabled", "split": None, "device": self.device}
        options |= {"chunk": getattr(self.policy, "chunk", None), "embodiment": config.embodiment}
        return options | {"obs": getattr(self.policy, "obs", "features"), "reward_model": config.reward_model}

    def _bound(self, num_envs: int) -> BoundCore | None:
        """A planner's own core."""
        if not is_planner(self.policy):
            return None
        core = make.make_core(self.setup.opened, **{**self._options(num_envs), "obs": "features", "chunk": None})
        return BoundCore(core, self.policy, self.setup.config.seed)

    def _running(self, world: str, linger: int = 0) -> RolloutOptions:
        return RolloutOptions(self.setup.config.seed, linger, f"{self.name}, {world}" if self.progress else None)

    def _dream(self, keep: bool) -> tuple[Episodes, DreamRecorder | None]:
        core = make.make_core(self.setup.opened, **self._options(min(len(self.row), DREAMS_AT_ONCE)))
        recorder = DreamRecorder(core, self.setup.config.episodes) if keep else None
        found = run_episodes(
            core, self.policy, self.row, self.task, self._running("dream"), bound=self._bound(core.num_envs),
            watch=recorder,
        )  # fmt: skip
        return found, recorder

    def _twin(self, keep: bool) -> tuple[Episodes, TwinRecorder]:
        setup, config, n = self.setup, self.setup.config, self.setup.config.episodes
        options = self._options(min(n, config.simulators))
        if not keep and config.record is None:
            options["simulator_kwargs"] = self._cameras_read()
        core = twin.make_core(
            setup.opened, num_workers=config.num_workers, engine=config.engine, address=config.address,
            executor=self._executor(), trust_simulator=config.trust_simulator, **options,
        )  # fmt: skip
        try:
            shown = [c for c in setup.opened.spec.cameras if c in core.sims.cameras]
            states = dict.fromkeys(m.key for m in setup.measures)
            recorder = TwinRecorder(core, n, shown[0] if keep and shown else None, states)
            keeper = None if config.record is None else self._keeper(core, config.record)
            found = run_episodes(
                core, self.policy, self.row[:n], self.task[:n], self._running("twin", LINGER),
                bound=self._bound(core.num_envs), watch=recorder if keeper is None else keeper.beside(recorder),
            )  # fmt: skip
            if keeper is not None:
                keeper.close()
        finally:
            core.close()
        return found, recorder

    def _keeper(self, core: twin.TwinCore, path: str) -> EpisodeKeeper:
        split, suite = self.setup.config.split, suite_of(self.setup.opened.simulator)
        return EpisodeKeeper(core, path, self.name, self.task, split, suite)

    def _executor(self) -> Policy | None:
        """Who carries instructions out: it sends the robot's own actions."""
        if self.setup.config.executor is None:
            return None
        spec = self.setup.model.spec
        spec = replace(spec, action=spec.control)
        return load_policy(self.setup.config.executor, spec, self.device, self.setup.policy_options)

    def _cameras_read(self) -> dict[str, Any]:
        """The simulator's cameras that the model or the policy reads: frames that nobody reads cost most of a step."""
        opened = self.setup.opened
        suite, recorded = suite_of(opened.simulator), (opened.simulator or {}).get("kwargs", {}).get("cameras")
        if suite is None or recorded is None or getattr(self.policy, "obs", "features") != "features":
            return {}
        read = [camera for sensor, camera in suite.cameras.items() if sensor in opened.spec.observations]
        return {"cameras": tuple(c for c in recorded if c in read or c not in suite.cameras.values())}


def _training(policy: Any) -> dict[str, Any]:
    """What the folder of a saved policy says of its training, as far as it says anything."""
    if not isinstance(policy, str | Path) or not Path(policy).is_dir():
        code = fingerprint(policy)
        return {} if code is None else {"fingerprint": code}
    folder = Path(policy)
    config = read_config(folder)
    told: dict[str, Any] = {}
    for part in (config.get("metrics"), config.get("training"), config):
        told |= part if isinstance(part, dict) else {}
    out: dict[str, Any] = {
        k: told[k] for k in ("iteration", "dream_steps", "sim_steps", "seed", "variant") if k in told
    }
    out["fingerprint"] = fingerprint(policy)
    place = folder.resolve()
    digits = re.search(r"(\d+)$", place.name)
    if "iteration" not in out and digits and place.parent.name == "policies":
        out["iteration"] = int(digits[1])
    return out
