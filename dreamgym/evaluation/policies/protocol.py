"""A benchmark's own protocol: a policy in the simulator alone, from the benchmark's initial states, task by task::

    result = run_protocol("random", "libero_goal", rollouts=20)
    print(result.to_dict()["success_rate"])

No world model takes part. Rollout i of a task begins at the benchmark's initial state i where the suite has such, else
at the seed ``seed + i``, whatever the policy: two policies can be compared in pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dreamgym.bars import progress_bar
from dreamgym.evaluation.policies.fingerprint import fingerprint
from dreamgym.evaluation.policies.libraries.options import PolicyOptions
from dreamgym.evaluation.policies.load import policy_name
from dreamgym.evaluation.policies.protocol_rollouts import RolloutPlan, is_operator, run_rollouts
from dreamgym.evaluation.statistics.inference import wilson
from dreamgym.fields import check_numbers
from dreamgym.provenance import provenance
from dreamgym.suites import Suite, suite, suites
from dreamgym.suites.base import some_names
from dreamgym.types import Policy


@dataclass(frozen=True)
class ProtocolConfig:
    """How a policy is scored in a simulator.

    Attributes:
        rollouts: of each task.
        horizon: control steps of a rollout; None: the suite's.
        seed: of the policy's draws, and of rollouts that begin at seeds.
        simulator: options of the suite's simulator, such as {"image_size": 256}; its cameras are on unless they say
            otherwise.
    """

    rollouts: int = 20
    horizon: int | None = None
    seed: int = 0
    simulator: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_numbers(self)
        if self.rollouts < 1 or (self.horizon is not None and self.horizon < 1):
            raise ValueError(f"rollouts and horizon must be at least 1, got {self.rollouts} and {self.horizon}")


@dataclass(frozen=True)
class ProtocolResult:
    """What the rollouts came to.

    Attributes:
        policy: its name.
        suite: name of the suite, or of the set of its tasks.
        begun: from what the rollouts began, in words.
        config: with nothing left open.
        steps: by task, for each rollout the control steps to success, or None.
        provenance: see `dreamgym.provenance`; its hashes tell the policy (see `fingerprint`), where it has files.
    """

    policy: str
    suite: str
    begun: str
    config: ProtocolConfig
    steps: dict[str, list[int | None]]
    provenance: dict[str, Any]

    def rate(self, task: str) -> float:
        """Share of successes at a task."""
        return float(np.mean([n is not None for n in self.steps[task]]))

    @property
    def success_rate(self) -> float:
        """Mean of the tasks' rates: what papers report of a suite."""
        return float(np.mean([self.rate(task) for task in self.steps]))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; intervals are Wilson's at 95%, over the rollouts of a task or of all tasks.

        The tasks are the benchmark's own and not drawn, so rollouts are what varies. Over all of them the interval is
        wider than it must be, for it takes differences between tasks for chance.
        """
        config, counts = self.config, {t: sum(n is not None for n in rows) for t, rows in self.steps.items()}
        tasks = {
            task: {
                "success_rate": self.rate(task), "interval_95": list(wilson(counts[task], len(rows))), "steps": rows,
            }
            for task, rows in self.steps.items()
        }  # fmt: skip
        total = sum(map(len, self.steps.values()))
        return {
            "policy": self.policy, "suite": self.suite, "rollouts": config.rollouts, "horizon": config.horizon,
            "seed": config.seed, "begun": self.begun, "simulator": dict(config.simulator),
            "success_rate": self.success_rate, "interval_95": list(wilson(sum(counts.values()), total)),
            "tasks": tasks, "provenance": self.provenance,
        }  # fmt: skip


def find_tasks(name: str, tasks: Sequence[str] | None = None) -> tuple[Suite, tuple[str, ...]]:
    """The suite of that name, or the one that has a set of tasks of that name, and the tasks.

    Args:
        name: "metaworld", "libero_goal", ...
        tasks: some of them; None: all.

    Raises:
        ValueError: there is no such suite, set or task.
    """
    if name in suites():
        found = suite(name)
        known = found.tasks
    else:
        sets = {key: (one, own) for one in map(suite, suites()) for key, own in one.task_sets.items()}
        if name not in sets:
            raise ValueError(f"unknown suite {name!r}: expected one of {list(suites())}, or of the sets {list(sets)}")
        found, known = sets[name]
    if unknown := [task for task in tasks or () if task not in known]:
        raise ValueError(f"unknown task {unknown}; {name} has {some_names(known, unknown)}")
    return found, tuple(tasks or known)


def run_protocol(
    policy: str | Path | Policy | Callable[..., Policy],
    suite_name: str,
    tasks: Sequence[str] | None = None,
    config: ProtocolConfig | None = None,
    *,
    device: torch.device | str = "cpu",
    options: PolicyOptions | None = None,
    name: str | None = None,
    progress: bool = False,
    num_workers: int = 0,
    record: str | Path | None = None,
) -> ProtocolResult:
    """Scores a policy as a benchmark does.

    Args:
        policy: see `load_policy`. It is asked for one env; ``obs`` must be "dict": a sensor's frames uint8 [1, H, W, C]
            by their names, "state" float32 [1, d] (the vector sensors after each other), each vector sensor by its
            name, "proprioception" where the suite has it, and "instruction" [1], the task's place among ``tasks``.
            ``begin`` is told the task. "operator:NAME" is one of the suite's scripted operators, which sees the
            simulator itself: how far a score can go.
        suite_name: see `find_tasks`.
        tasks: of the suite; None: all.
        config: how.
        device: where the policy acts.
        options: what a policy of another library must be told, but for the suite.
        name: what to call the policy; None: `policy_name`.
        progress: whether to show a bar.
        num_workers: processes, each with a policy and a simulator of its own; 0: this one. It changes no result.
        record: episode store that every rollout is appended to; None: none.

    Raises:
        ImportError: the simulator is not installed.
        ValueError: an unknown suite, task or policy, one that wants what only a world model can show, or more rollouts
            than the benchmark has initial states; or a policy that cannot be sent to processes.
    """
    config = config or ProtocolConfig()
    found, names = find_tasks(suite_name, tasks)
    if found.initial_states and config.rollouts > found.initial_states:
        raise ValueError(
            f"{found.name} has {found.initial_states} initial states a task, got rollouts={config.rollouts}"
        )
    found.check_installed()
    made_of = None if is_operator(policy) else fingerprint(policy)
    hashes = {} if made_of is None else {"policy": made_of}
    simulator = dict(config.simulator)
    if found.cameras and "cameras" not in simulator:
        simulator["cameras"] = tuple(found.cameras.values())
    settled = ProtocolConfig(config.rollouts, config.horizon or found.horizon, config.seed, simulator)
    plan = RolloutPlan(
        found, names, policy, name or policy_name(policy), settled.horizon or found.horizon, settled.seed, simulator,
        str(device), options or PolicyOptions(), None if record is None else Path(record),
    )  # fmt: skip
    jobs = [(place, index) for place in range(len(names)) for index in range(settled.rollouts)]
    steps: dict[tuple[int, int], int | None] = {}
    with progress_bar(total=len(jobs), desc=suite_name, unit="episode", shown=progress) as bar:
        for job, taken in run_rollouts(plan, jobs, num_workers):
            steps[job] = taken
            bar.update(1)
    by_task = {task: [steps[place, index] for index in range(settled.rollouts)] for place, task in enumerate(names)}
    return ProtocolResult(plan.name, suite_name, _begun(found, settled), settled, by_task, provenance(hashes))


def _begun(suite_: Suite, config: ProtocolConfig) -> str:
    """From what the rollouts begin, in words."""
    if suite_.initial_states:
        return f"the benchmark's initial states 0 to {config.rollouts - 1} of each task"
    return f"the simulator's resets with seeds {config.seed} to {config.seed + config.rollouts - 1}"
