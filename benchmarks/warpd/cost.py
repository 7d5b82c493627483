"""What WARPD costs, measured side by side: generation, a step of each policy, an update of each training.

    python benchmarks/warpd/cost.py                 # a few minutes on one thread; writes results/warpd_cost.json
    python benchmarks/warpd/cost.py --repeats 3     # for a look

Method: one process, one thread, batch 1 for acting and 32 for training, networks of random weights at the paper's
Metaworld sizes (policies 256 x 2, decoder xs, denoiser m, 100 steps; diffusion policies xs and m on chunks of 32).
Every turn times each thing once, and turns are repeated, so that a busy machine slows all alike; the median counts, and
what is compared is the ratio. Process time, not wall time: other processes on the machine do not count.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import flops
import torch
from dreamgym_agents.warpd import (
    WARPD,
    Demonstrations,
    DenoiserConfig,
    DiffusionBaseline,
    MLPPolicy,
    WorldModelDynamics,
)
from rows import RESULTS, Rows

from dreamgym.types import ActionSpec
from dreamgym.world_models.families.mlp import MLPConfig, MLPWorldModel

BATCH = 32


def seconds(run: Callable[[], Any]) -> float:
    """Of one call: as many calls as 50 ms hold, at least one."""
    start, calls = time.process_time(), 0
    while calls == 0 or time.process_time() - start < 0.05:
        run()
        calls += 1
    return (time.process_time() - start) / calls


def things(training: bool) -> dict[str, Callable[[], Any]]:
    """What is timed, by name; an update is a forward and a backward pass and a step of Adam."""
    torch.manual_seed(0)
    config = flops.config()
    arm = ActionSpec((-1.0,) * flops.ACTION_DIM, (1.0,) * flops.ACTION_DIM)
    rows = [
        (torch.randn(config.length, flops.OBS_DIM), torch.randn(config.length, flops.ACTION_DIM)) for _ in range(BATCH)
    ]
    names = [flops.TASKS[i % len(flops.TASKS)] for i in range(BATCH)]
    demos = Demonstrations.from_episodes(rows, names, flops.TASKS)
    world = WorldModelDynamics(MLPWorldModel(MLPConfig.paper(flops.OBS_DIM, arm)))
    warpd, mlp = WARPD(config, dynamics=world), MLPPolicy(config)
    chunked = replace(config, length=32, horizon=16)
    policies = {
        f"diffusion_policy_{s}": DiffusionBaseline(
            replace(chunked, diffusion=replace(config.diffusion, denoiser=DenoiserConfig.unet(s)))
        )
        for s in ("xs", "m")
    }
    obs, task = torch.randn(1, flops.OBS_DIM), torch.zeros(1, dtype=torch.long)
    theta = warpd.plan(obs.unsqueeze(1), task, None).detach()

    def acting(run: Callable[[], Any]) -> Callable[[], Any]:
        return torch.no_grad()(run)

    out: dict[str, Callable[[], Any]] = {
        "mlp.step": acting(lambda: mlp.follow(task, obs, task)),
        "warpd.step": acting(lambda: warpd.follow(theta, obs, task)),
        "warpd.decode": acting(lambda: warpd.vae.decode(torch.zeros(1, config.vae.latent))),
        "warpd.generation": acting(lambda: warpd.plan(obs.unsqueeze(1), task, None)),
    }
    for name, policy in policies.items():
        history = obs.unsqueeze(1).expand(-1, policy.history, -1)
        out[f"{name}.generation"] = acting(lambda p=policy, h=history: p.plan(h, task, None))
    if training:
        agents = {"warpd": warpd, "mlp": mlp, **policies}
        for name, agent in agents.items():
            for stage in agent.stages():
                generator = torch.Generator().manual_seed(0)
                length = agent.config.length + stage.lead
                batch = next(demos.epoch(length, BATCH, generator))
                optimizer = torch.optim.Adam(stage.groups, fused=True)  # type: ignore[arg-type]  # as training has it

                def update(s: Any = stage, b: Any = batch, o: Any = optimizer, g: Any = generator) -> None:
                    o.zero_grad(set_to_none=True)
                    s.loss(b, g, 99)["loss"].backward()
                    o.step()

                out[f"{name}.{stage.name}.update"] = update
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--no-training", action="store_true")
    parser.add_argument("--out", type=Path, default=RESULTS / "warpd_cost.json")
    args = parser.parse_args()
    torch.set_num_threads(1)
    timed, runs = things(not args.no_training), {}
    for run in timed.values():
        run()
    for _ in range(args.repeats):
        for name, run in timed.items():
            runs.setdefault(name, []).append(seconds(run))
    median = {name: statistics.median(each) for name, each in runs.items()}
    rows = Rows(args.out, ("what",), {"method": (__doc__ or "").strip().split("Method: ")[1], "repeats": args.repeats})
    for name, value in median.items():
        rows.put(what=name, ms=float(f"{1000 * value:.4g}"), of_mlp_step=float(f"{value / median['mlp.step']:.4g}"),
                 of_dp_m_generation=float(f"{value / median['diffusion_policy_m.generation']:.4g}"))  # fmt: skip
        print(rows.data["rows"][-1])


if __name__ == "__main__":
    main()
