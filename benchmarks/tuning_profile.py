"""Where the time of a fine-tuning iteration goes, and how fast it is beside the twin.

    python benchmarks/tuning_profile.py             # the shipped policy in its dream, 256 envs; a minute
    python benchmarks/tuning_profile.py --quick     # seconds, for a look; written only with --out

Method: one thread, whole iterations of `dreamgym_agents.diffusion_ppo.tune` (collect, advantages, PPO). Two passes:

    shares   the processor time of each part, without the parts called from it: the world model (imagining and its
             uncertainty), the reward model, the policy while it acts, the env's core (the rest of a step), and learning
             (critic, likelihoods, gradients, optimizer); "rest" is what no part claims. Processor time of one thread
             does not see other programs.
    python   the same iteration under torch.profiler: time of a part outside any operator of torch. What the profiler
             itself costs for each operator counts as Python here, so the share is an upper bound.

The twin is timed with the same policy in the real simulator: physics, two cameras, the filter; one process.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from dreamgym_agents.diffusion_ppo import ChunkPolicy, TuneConfig, load_policy, read_policy_config
from dreamgym_agents.diffusion_ppo.recipes import make_env
from dreamgym_agents.diffusion_ppo.rollout import score
from dreamgym_agents.diffusion_ppo.shipped import shipped_policies
from torch.profiler import ProfilerActivity, profile, record_function

from dreamgym.evaluation.policies.setup import open_world
from dreamgym.provenance import provenance
from dreamgym.training.checkpoint import Checkpoint

tuning: Any = importlib.import_module("dreamgym_agents.diffusion_ppo.tune")  # the package names its function so
RESULT = Path(__file__).parent / "results" / "tuning_profile.json"
PARTS = ("world_model", "reward", "policy", "env_core", "learning", "rest")
clock = time.process_time


class Stopwatch:
    """Adds up the time of nested parts; what an inner part takes is not the outer one's."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.open: list[str] = []
        self.since = clock()

    def __call__(self, part: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """``call``, timed as ``part``."""

        def timed(*args: Any, **kwargs: Any) -> Any:
            self._switch()
            self.open.append(part)
            try:
                with record_function(f"part:{part}"):
                    return call(*args, **kwargs)
            finally:
                self._switch()
                self.open.pop()

        return timed

    def _switch(self) -> None:
        now = clock()
        if self.open:
            self.seconds[self.open[-1]] += now - self.since
        self.since = now


def watch(stopwatch: Stopwatch, checkpoint: Checkpoint) -> None:
    """Times the calls of the world model and of its rewards; before an env is made of them."""
    objects = [("world_model", checkpoint.model, ("imagine", "uncertainty"))]
    objects += [("reward", r, ("start", "step", "succeeded")) for r in checkpoint.rewards.values()]
    for part, target, names in objects:
        for name in names:
            setattr(target, name, stopwatch(part, getattr(target, name)))


class Iterations:
    """Fine-tuning iterations of a run that has just begun, with a clock on each part."""

    def __init__(self, policy: ChunkPolicy, checkpoint: Checkpoint, task: str, num_envs: int, horizon: int) -> None:
        self.stopwatch = Stopwatch()
        watch(self.stopwatch, checkpoint)
        env = make_env("Dream-v0", task, policy.config.chunk, checkpoint=checkpoint, num_envs=num_envs, horizon=horizon)
        config = replace(TuneConfig.tiny(), critic_warmup=0, bc_weight=0.1)
        self.folder = tempfile.TemporaryDirectory()
        self.run = tuning.Tuning(policy, env, config, Path(self.folder.name), {"task": task, "world_model": None})
        core, acting = env.unwrapped.core, self.run.policy
        core.step = self.stopwatch("env_core", core.step)
        core.reset = self.stopwatch("env_core", core.reset)
        for name in ("draw_noise", "sample_chain", "to_actions"):
            setattr(acting, name, self.stopwatch("policy", getattr(acting, name)))
        self.learning = {name: getattr(tuning, name) for name in ("prepare", "update")}

    def __call__(self) -> dict[str, float]:
        """One iteration; the run's own log of it."""
        for name, call in self.learning.items():
            setattr(tuning, name, self.stopwatch("learning", call))
        try:
            return dict(self.stopwatch("rest", self.run.iterate)())
        finally:
            for name, call in self.learning.items():
                setattr(tuning, name, call)


def shares(iterations: Iterations, repeats: int) -> dict[str, Any]:
    """Processor seconds of an iteration, their shares by part, and env steps a second."""
    iterations()  # warm up
    iterations.stopwatch.seconds.clear()
    begun = iterations.run.steps
    passes = [iterations()["passes"] for _ in range(repeats)]
    steps = iterations.run.steps - begun
    seconds = {part: iterations.stopwatch.seconds[part] for part in PARTS}
    total = sum(seconds.values())
    imagining = total - seconds["learning"]
    return {
        "seconds_per_iteration": round(total / repeats, 3),
        "env_steps_per_iteration": steps // repeats,
        "passes": round(statistics.mean(passes), 1),
        "share": {part: round(value / total, 4) for part, value in seconds.items()},
        "tuning_steps_per_s": round(steps / total),
        "imagined_steps_per_s_with_policy": round(steps / imagining),
        "imagined_steps_per_s": round(steps / (imagining - seconds["policy"])),
    }


def python_share(iterations: Iterations) -> dict[str, Any]:
    """The share of an iteration outside torch's operators, in all and by part."""
    with profile(activities=[ProfilerActivity.CPU], acc_events=True) as profiler:
        iterations()
    inside: dict[str, float] = defaultdict(float)
    whole: dict[str, float] = defaultdict(float)
    for event in profiler.events():
        owner = part_of(event)
        took = event.time_range.elapsed_us()
        if event.name.startswith("part:"):
            whole[event.name[5:]] += took
            if owner is not None:
                whole[owner] -= took
        elif owner is not None and is_operator(event.name) and not under_operator(event):
            inside[owner] += took
    total = sum(whole.values())
    return {
        "share": round(1 - sum(inside.values()) / total, 4),
        "share_of_iteration_by_part": {p: round((whole[p] - inside[p]) / total, 4) for p in PARTS},
    }


def is_operator(name: str) -> bool:
    return name.startswith(("aten::", "autograd::", "torch::autograd"))


def under_operator(event: Any) -> bool:
    """Whether an operator of torch called it."""
    above = event.cpu_parent
    while above is not None and not above.name.startswith("part:"):
        if is_operator(above.name):
            return True
        above = above.cpu_parent
    return False


def part_of(event: Any) -> str | None:
    """The innermost part around an event."""
    above = event.cpu_parent
    while above is not None:
        if above.name.startswith("part:"):
            return str(above.name[5:])
        above = above.cpu_parent
    return None


def twin_rate(policy: ChunkPolicy, name: str, task: str, real_id: str, num_envs: int, horizon: int) -> float:
    """Steps a second of the twin under the policy, resets included."""
    env = make_env(real_id, task, policy.config.chunk, checkpoint=name, num_envs=num_envs, horizon=horizon)
    try:
        generator = torch.Generator().manual_seed(0)
        env.reset(seed=0)
        begin = clock()
        found = score(env, policy, generator, 0)
        return found["steps"] / (clock() - begin)
    finally:
        env.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--policy", type=Path, help="folder of a cloned policy; else the one that ships")
    parser.add_argument("--real", default="Real-PlayTable-v0", help="the twin; '' for none")
    parser.add_argument("--num-envs", type=int, default=256)
    parser.add_argument("--horizon", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=3, help="iterations timed, after one that warms up")
    parser.add_argument("--quick", action="store_true", help="a small look, not to be kept")
    parser.add_argument("--out", type=Path, help=f"file to write; {RESULT.name} where not given")
    args = parser.parse_args()
    if args.quick:
        args.num_envs, args.horizon, args.repeats = 16, 8, 1
    torch.set_num_threads(1)
    folder = args.policy or next(iter(shipped_policies().values()))
    about, policy = read_policy_config(folder), load_policy(folder)
    task, world = about["task"], about["world_model"]
    load = round(os.getloadavg()[0], 2)
    told: dict[str, Any] = {**provenance(), "load_before": load, "clock": "process_time"}
    told |= {
        "policy": folder.name,
        "world_model": world,
        "task": task,
        "num_envs": args.num_envs,
        "horizon": args.horizon,
    }
    twin = twin_rate(policy, world, task, args.real, 4, args.horizon) if args.real else None
    iterations = Iterations(policy, open_world(world), task, args.num_envs, args.horizon)
    told |= shares(iterations, args.repeats)
    told["python"] = python_share(iterations)
    if twin is not None:
        told["twin_steps_per_s"] = round(twin, 1)
        told["imagined_over_twin"] = round(told["imagined_steps_per_s_with_policy"] / twin, 1)
    text = json.dumps(told, indent=1)
    print(text)
    out = args.out or (None if args.quick else RESULT)
    if out is not None:
        out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
