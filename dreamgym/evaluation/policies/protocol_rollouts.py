"""Rollouts of a benchmark's protocol: a policy in a simulator, in this process or in several, kept where asked for."""

from __future__ import annotations

import pickle
import signal
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dreamgym.data import EpisodeStore
from dreamgym.evaluation.policies.decisions import actions_a_decision, check_decision
from dreamgym.evaluation.policies.libraries.options import PolicyOptions
from dreamgym.evaluation.policies.load import BUILT_IN, load_policy
from dreamgym.suites import Suite
from dreamgym.types import ObservationSpec, Policy, WorldModelSpec

OPERATOR = "operator:"
"""Before the name of one of a suite's scripted operators: it is scored as a policy is, and sees the simulator."""

Job = tuple[int, int]
"""Place of the task, and number of the rollout."""
Sensors = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class RolloutPlan:
    """What rollouts need, as it is sent to the processes that run them.

    Attributes:
        suite: of the simulator.
        tasks: their names.
        policy: see `load_policy`, or "operator:NAME".
        name: what it is called.
        horizon: control steps of a rollout.
        seed: of the policy's draws, and of rollouts that begin at seeds.
        simulator: options of the simulator.
        device: where the policy acts.
        options: what a policy of another library must be told.
        record: episode store that rollouts are appended to; None: none.
    """

    suite: Suite
    tasks: tuple[str, ...]
    policy: Any
    name: str
    horizon: int
    seed: int
    simulator: Mapping[str, Any]
    device: str
    options: PolicyOptions
    record: Path | None = None


def run_rollouts(plan: RolloutPlan, jobs: list[Job], num_workers: int = 0) -> Iterator[tuple[Job, int | None]]:
    """Each rollout, as it ends, and the control steps to its success or None.

    What comes of a rollout depends on the plan and on its job alone, so the number of processes changes nothing but the
    time. Each process loads the policy and makes a simulator.

    Args:
        plan: what is rolled out.
        jobs: which rollouts.
        num_workers: processes; 0: this one.

    Raises:
        ValueError: see `Rollouts`; or a policy or suite that cannot be sent to another process.
    """
    if not num_workers:
        rollouts = Rollouts(plan)
        try:
            for job in jobs:
                yield job, rollouts.run(*job)
        finally:
            rollouts.close()
        return
    try:
        pickle.dumps(plan)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise ValueError(
            f"the policy or its suite cannot be sent to the processes ({error}): define both at the top of a module or "
            "script and name the policy as path/to/file.py:factory, or leave num_workers out"
        ) from error
    begin = (plan, torch.get_num_threads())
    pool = ProcessPoolExecutor(min(num_workers, len(jobs)), get_context("spawn"), _begin_worker, begin)
    try:
        futures = [pool.submit(_run_in_worker, job) for job in jobs]
        for done in as_completed(futures):
            yield done.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


_worker: tuple[RolloutPlan, list[Rollouts]]
"""Of a process that runs rollouts: the plan, and what runs it once it is made."""


def _begin_worker(plan: RolloutPlan, threads: int) -> None:
    global _worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to the whole group; the parent decides
    torch.set_num_threads(threads)
    _worker = (plan, [])


def _run_in_worker(job: Job) -> tuple[Job, int | None]:
    plan, made = _worker
    if not made:  # here and not at the beginning: errors of making it are then answers
        made.append(Rollouts(plan))
    return job, made[0].run(*job)


class Rollouts:
    """One simulator and a policy's rollouts in it.

    Args:
        plan: what is rolled out.

    Raises:
        ValueError: an unknown policy or operator, or a policy that wants what only a world model can show.
        ImportError: a library is missing.
    """

    def __init__(self, plan: RolloutPlan) -> None:
        self.plan, self.device = plan, torch.device(plan.device)
        self.env: Any = plan.suite.make(horizon=None, **plan.simulator)
        try:
            spaces: Any = self.env.observation_space
            images = {k: s.shape for k, s in spaces.items() if len(s.shape) == 3}
            vectors = {k: s.shape for k, s in spaces.items() if len(s.shape) == 1}
            sensors = {k: ObservationSpec("image", (c, h, w)) for k, (h, w, c) in images.items()}
            sensors |= {k: ObservationSpec("vector", shape) for k, shape in vectors.items()}
            self._vectors = tuple(vectors)
            self.spec = WorldModelSpec(
                "simulator", sensors, plan.suite.action, (), decodable=tuple(sensors),
                frame_rate=plan.suite.frame_rate,
            )  # fmt: skip
            self._decider = self._operator() if is_operator(plan.policy) else self._policy()
        except BaseException:
            self.env.close()
            raise

    def _operator(self) -> Callable[[int, torch.Generator], Callable[[Sensors], np.ndarray]]:
        """What begins an episode of one of the suite's operators: from sensors to actions [1, A]."""
        suite, name = self.plan.suite, self.plan.policy.removeprefix(OPERATOR)
        if name not in suite.operators:
            raise ValueError(f"unknown operator {name!r}; {suite.name} has {list(suite.operators)}")

        def begin(place: int, generator: torch.Generator) -> Callable[[Sensors], np.ndarray]:
            act = suite.operators[name](self.env, np.random.default_rng(generator.initial_seed()))
            return lambda sensors: np.asarray(act(dict(sensors)))[None]

        return begin

    def _policy(self) -> Callable[[int, torch.Generator], Callable[[Sensors], np.ndarray]]:
        """What begins an episode of the policy: from sensors to the control actions [k, A] of one decision."""
        plan, spec = self.plan, self.spec
        policy = load_policy(plan.policy, spec, self.device, replace(plan.options, suite=plan.suite))
        _check(policy)
        chunk = actions_a_decision(policy, spec)

        def begin(place: int, generator: torch.Generator) -> Callable[[Sensors], np.ndarray]:
            fresh, carry = torch.ones(1, dtype=torch.bool, device=self.device), policy.start(1, generator)
            if (told := getattr(policy, "begin", None)) is not None:
                carry = told(carry, fresh, [plan.tasks[place]])

            def decide(sensors: Sensors) -> np.ndarray:
                nonlocal carry, fresh
                action, carry = policy.act(self._shown(sensors, place), carry, fresh, generator)
                fresh = torch.zeros_like(fresh)
                action = check_decision(action, np.ones(1, bool), chunk, spec.action)
                return spec.prepare(action).reshape(-1, plan.suite.action.dim).cpu().numpy()

            return decide

        return begin

    @torch.no_grad()
    def run(self, place: int, index: int) -> int | None:
        """Control steps to the success of rollout ``index`` of the task at ``place``; None without one."""
        plan, suite = self.plan, self.plan.suite
        seed = int(np.random.default_rng([plan.seed, place, index]).integers(2**62))
        options = {"task": plan.tasks[place]} | ({"init_state": index} if suite.initial_states else {})
        sensors, info = suite.begin(self.env, plan.seed + index, options)
        decide = self._decider(place, torch.Generator(self.device).manual_seed(seed))
        rows, steps, done, over = [], 0, False, False
        while not over:
            for action in decide(sensors):
                rows.append((sensors, action, done))
                sensors, _, terminated, _, info = self.env.step(action)
                steps, done = steps + 1, bool(info["is_success"])
                over = bool(done or terminated or steps == plan.horizon)
                if plan.record is None:
                    rows.clear()
                if over:
                    break
        if plan.record is not None:
            self._keep(place, index, [*rows, (sensors, rows[-1][1], done)])
        return steps if done else None

    def _keep(self, place: int, index: int, rows: list[tuple[Sensors, np.ndarray, bool]]) -> None:
        """Appends an episode: sensors before each action, the action, and whether the task had been done by then."""
        plan, suite = self.plan, self.plan.suite
        episode = {k: np.stack([row[0][k] for row in rows]) for k in rows[0][0]}
        episode |= {
            "action": np.stack([row[1] for row in rows]).astype(np.float32),
            "success": np.array([row[2] for row in rows]),
        }
        begun = {"init_state": index} if suite.initial_states else {"reset_seed": plan.seed + index}
        meta = {
            "kind": "evaluation", "policy": plan.name, "task": plan.tasks[place], **begun, "split": "test",
            "instruction": suite.instruction(plan.tasks[place]), "success": rows[-1][2],
        }  # fmt: skip
        simulator = {k: v for k, v in plan.simulator.items() if k != "robot"}
        info = {
            "suite": suite.name, "action": asdict(suite.action), "frame_rate": suite.frame_rate,
            "tasks": list(plan.tasks), "settings": {"simulator": simulator},
            **{k: v for k, v in plan.simulator.items() if k == "robot"},
        }  # fmt: skip
        keys = {k: (v.shape[1:], "float32" if v.dtype.kind == "f" else v.dtype.name) for k, v in episode.items()}
        assert plan.record is not None
        EpisodeStore.create(plan.record, keys, info).append([(episode, meta)])

    def _shown(self, sensors: Sensors, place: int) -> dict[str, Tensor]:
        shown = {k: torch.from_numpy(np.ascontiguousarray(v))[None].to(self.device) for k, v in sensors.items()}
        shown["state"] = torch.cat([shown[k] for k in self._vectors], -1)
        if self.plan.suite.proprioception in shown:
            shown["proprioception"] = shown[self.plan.suite.proprioception]
        shown["instruction"] = torch.tensor([place], device=self.device)
        return shown

    def close(self) -> None:
        """Closes the simulator."""
        self.env.close()


def is_operator(policy: Any) -> bool:
    """Whether it names a scripted operator."""
    return isinstance(policy, str) and policy.startswith(OPERATOR)


def _check(policy: Policy) -> None:
    """Raises ValueError for a policy that cannot act without a world model."""
    obs = getattr(policy, "obs", "features")
    if obs != "dict" and type(policy) not in BUILT_IN.values():
        raise ValueError(
            f"the policy wants obs={obs!r}, and without a world model there are only the simulator's sensors: a "
            "policy with obs='dict' gets them"
        )
    if callable(getattr(policy, "bind", None)):
        raise ValueError("the policy plans in a world model: evaluate it with --checkpoint, without --suite")
