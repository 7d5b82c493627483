"""A benchmark's own protocol: a policy in the simulator alone, from the benchmark's initial states, task by task::

    result = run_protocol("random", "libero_goal", rollouts=20)
    print(result.to_dict()["success_rate"])

No world model takes part. Rollout i of a task begins at the benchmark's initial state i where the suite has such, else
at the seed ``seed + i``, whatever the policy: two policies can be compared in pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dreamgym.bars import progress_bar
from dreamgym.evaluation.policies.decisions import actions_a_decision, check_decision
from dreamgym.evaluation.policies.fingerprint import fingerprint
from dreamgym.evaluation.policies.libraries.options import PolicyOptions
from dreamgym.evaluation.policies.load import BUILT_IN, load_policy, policy_name
from dreamgym.evaluation.statistics.inference import wilson
from dreamgym.fields import check_numbers
from dreamgym.provenance import provenance
from dreamgym.suites import Suite, suite, suites
from dreamgym.suites.base import some_names
from dreamgym.types import ObservationSpec, Policy, WorldModelSpec


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
) -> ProtocolResult:
    """Scores a policy as a benchmark does.

    Args:
        policy: see `load_policy`. It is asked for one env; ``obs`` must be "dict": a sensor's frames uint8 [1, H, W, C]
            by their names, "state" float32 [1, d] (the vector sensors after each other), each vector sensor by its
            name, "proprioception" where the suite has it, and "instruction" [1], the task's place among ``tasks``.
            ``begin`` is told the task.
        suite_name: see `find_tasks`.
        tasks: of the suite; None: all.
        config: how.
        device: where the policy acts.
        options: what a policy of another library must be told, but for the suite.
        name: what to call the policy; None: `policy_name`.
        progress: whether to show a bar.

    Raises:
        ImportError: the simulator is not installed.
        ValueError: an unknown suite, task or policy, one that wants what only a world model can show, or more rollouts
            than the benchmark has initial states.
    """
    config = config or ProtocolConfig()
    found, names = find_tasks(suite_name, tasks)
    if found.initial_states and config.rollouts > found.initial_states:
        raise ValueError(
            f"{found.name} has {found.initial_states} initial states a task, got rollouts={config.rollouts}"
        )
    found.check_installed()
    made_of = fingerprint(policy)
    hashes = {} if made_of is None else {"policy": made_of}
    simulator = dict(config.simulator)
    if found.cameras and "cameras" not in simulator:
        simulator["cameras"] = tuple(found.cameras.values())
    settled = ProtocolConfig(config.rollouts, config.horizon or found.horizon, config.seed, simulator)
    env = found.make(horizon=None, **simulator)
    try:
        rollouts = _Rollouts(env, found, names, settled, torch.device(device))
        actor = load_policy(policy, rollouts.spec, device, replace(options or PolicyOptions(), suite=found))
        rollouts.check(actor)
        steps: dict[str, list[int | None]] = {task: [] for task in names}
        with progress_bar(total=len(names) * config.rollouts, desc=suite_name, unit="episode", shown=progress) as bar:
            for task, taken in rollouts.run(actor):
                steps[task].append(taken)
                bar.update(1)
    finally:
        env.close()
    return ProtocolResult(name or policy_name(policy), suite_name, rollouts.begun, settled, steps, provenance(hashes))


class _Rollouts:
    """One simulator, and a policy's rollouts in it."""

    def __init__(
        self, env: Any, suite_: Suite, tasks: tuple[str, ...], config: ProtocolConfig, device: torch.device
    ) -> None:
        self.env, self.suite, self.tasks, self.config, self.device = env, suite_, tasks, config, device
        images = {k: s.shape for k, s in env.observation_space.items() if len(s.shape) == 3}
        vectors = {k: s.shape for k, s in env.observation_space.items() if len(s.shape) == 1}
        sensors = {k: ObservationSpec("image", (c, h, w)) for k, (h, w, c) in images.items()}
        sensors |= {k: ObservationSpec("vector", shape) for k, shape in vectors.items()}
        self.vectors = tuple(vectors)
        self.spec = WorldModelSpec(
            "simulator", sensors, suite_.action, (), decodable=tuple(sensors), frame_rate=suite_.frame_rate
        )
        self.begun = (
            f"the benchmark's initial states 0 to {config.rollouts - 1} of each task" if suite_.initial_states else
            f"the simulator's resets with seeds {config.seed} to {config.seed + config.rollouts - 1}"
        )  # fmt: skip

    def check(self, policy: Policy) -> None:
        """Raises ValueError for a policy that cannot act here."""
        obs = getattr(policy, "obs", "features")
        if obs != "dict" and type(policy) not in BUILT_IN.values():
            raise ValueError(
                f"the policy wants obs={obs!r}, and without a world model there are only the simulator's sensors: a "
                "policy with obs='dict' gets them"
            )
        if callable(getattr(policy, "bind", None)):
            raise ValueError("the policy plans in a world model: evaluate it with --checkpoint, without --suite")
        actions_a_decision(policy, self.spec)

    def run(self, policy: Policy) -> Iterator[tuple[str, int | None]]:
        """(task, steps to success or None) of each rollout."""
        for place, task in enumerate(self.tasks):
            for index in range(self.config.rollouts):
                seed = int(np.random.default_rng([self.config.seed, place, index]).integers(2**62))
                generator = torch.Generator(self.device).manual_seed(seed)
                yield task, self._rollout(policy, place, index, generator)

    @torch.no_grad()
    def _rollout(self, policy: Policy, place: int, index: int, generator: torch.Generator) -> int | None:
        options = {"task": self.tasks[place]} | ({"init_state": index} if self.suite.initial_states else {})
        sensors, info = self.suite.begin(self.env, self.config.seed + index, options)
        fresh, running = torch.ones(1, dtype=torch.bool, device=self.device), np.ones(1, bool)
        carry = policy.start(1, generator)
        if (begin := getattr(policy, "begin", None)) is not None:
            carry = begin(carry, fresh, [self.tasks[place]])
        chunk, steps = actions_a_decision(policy, self.spec), 0
        while True:
            action, carry = policy.act(self._shown(sensors, place), carry, fresh, generator)
            action = check_decision(action, running, chunk, self.spec.action)
            fresh = torch.zeros_like(fresh)
            for part in self.spec.prepare(action).reshape(-1, self.suite.action.dim).cpu().numpy():
                sensors, _, terminated, _, info = self.env.step(part)
                steps += 1
                if info["is_success"]:
                    return steps
                if terminated or steps == self.config.horizon:
                    return None

    def _shown(self, sensors: Mapping[str, np.ndarray], place: int) -> dict[str, Tensor]:
        shown = {k: torch.from_numpy(np.ascontiguousarray(v))[None].to(self.device) for k, v in sensors.items()}
        shown["state"] = torch.cat([shown[k] for k in self.vectors], -1)
        if self.suite.proprioception in shown:
            shown["proprioception"] = shown[self.suite.proprioception]
        shown["instruction"] = torch.tensor([place], device=self.device)
        return shown
