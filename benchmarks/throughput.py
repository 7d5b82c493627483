"""Imagined steps per second of every face, against the bare loop and TorchRL's own WorldModelEnv, and the twin.

    python benchmarks/throughput.py                        # the whole table, about 15 minutes on two cores
    python benchmarks/throughput.py --quick                # a minute, for a look; written only with --out
    python benchmarks/throughput.py --checkpoint playtable --env Dream-PlayTable-v0
    python benchmarks/throughput.py --device cuda          # on to 16,384 envs; written beside, as throughput_cuda.json

Method: one process; threads fixed; for each number of envs every face is timed in turn, and the turns repeated, so that
a busy machine slows all of them alike; the median of the repeats counts. Actions are one fixed random tensor, so no
policy is timed. Everybody runs the same world model, reward and task, under ``torch.no_grad``. What each face is:

    bare    state = model.imagine(state, action); reward.step(...); and model.uncertainty where ``uncertainty`` is true:
            no clipping, no start states, no ends, no observation
    bare_inference   the same in ``torch.inference_mode``, in which a core that shares nothing runs its model: what a
            caller who never learns from the states could have by hand
    core    `DreamCore.step`, same-step autoreset, horizon 64. With reward="success" (the default) an env ends
            when its task succeeds, which a trained classifier finds now and then under random actions; the envs then
            no longer reach the horizon together, and at every second step of 64 envs one or more are reset, which the
            bare loop never does. With "probability" (DiWA's) only the horizon ends episodes, all at once, and core
            and bare do the same work. Both are given.
    vector  gymnasium.make_vec's env, numpy arrays in and out          single   gymnasium.make's env
    sb3     Stable-Baselines3's VecEnv                                 torchrl  EnvBase.rollout over our env
    torchrl_worldmodelenv   EnvBase.rollout over TorchRL's WorldModelEnv around the same two modules
    twin    the real simulator (physics, cameras, filter), one process

The faces themselves are in throughput_faces.py.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from throughput_faces import FACES, PRESETS, Bare, Runner, core_runner, random_checkpoint

from dreamgym.evaluation.policies.setup import checkpoint_hashes
from dreamgym.provenance import provenance
from dreamgym.training.checkpoint import Checkpoint, load

RESULTS = Path(__file__).parent / "results"
NUM_ENVS, MORE = [1, 16, 64, 256, 1024], [4096, 16384]
"""Numbers of envs, and further ones for devices that are idle below."""


def plan(args: argparse.Namespace) -> Iterator[tuple[int, list[tuple[str, bool]]]]:
    """Numbers of envs, and the (face, uncertainty) timed together at each."""
    for num_envs in args.num_envs:
        faces = [(f, u) for f in ("bare", "bare_inference", "core", "core/probability") for u in (False, True)]
        faces += [(f, False) for f in ("vector", "sb3", "torchrl", "torchrl/probability", "torchrl_worldmodelenv")]
        faces += [("single", False)] if num_envs == 1 else []
        faces += [("twin", False)] if num_envs in args.twin_envs else []
        yield num_envs, [(f, u) for f, u in faces if f in args.faces]


def wait(device: str) -> None:
    if torch.device(device).type != "cpu":
        torch.accelerator.synchronize()


CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


def time_steps(run: Runner, steps: int, device: str) -> float:
    wait(device)
    begin = clock()
    run(steps)
    wait(device)
    return clock() - begin


clock: Callable[[], float] = time.perf_counter


def table(checkpoint: Checkpoint, args: argparse.Namespace) -> list[dict[str, Any]]:
    rows = []
    for num_envs, faces in plan(args):
        runners = {(f, u): FACES[f](checkpoint, num_envs, args.device, u) for f, u in faces}
        steps = {}
        for key, run in runners.items():  # warm up, and find how many steps fill the time
            few = 1 if key[0] == "twin" else 8
            run(few)
            seconds = time_steps(run, few, args.device) / few
            steps[key] = max(few, round(args.seconds / seconds))
        rates: dict[tuple[str, bool], list[float]] = {key: [] for key in runners}
        for _ in range(args.repeats):
            for key, run in runners.items():
                rates[key].append(steps[key] * num_envs / time_steps(run, steps[key], args.device))
        for (face, uncertainty), values in rates.items():
            rows.append(
                {
                    "env": args.env,
                    "face": face.split("/")[0],
                    "reward": (face.split("/") + ["success"])[1],
                    "num_envs": num_envs,
                    "threads": torch.get_num_threads(),
                    "device": args.device,
                    "steps_per_s": round(statistics.median(values), 1),
                    "lowest": round(min(values), 1),
                    "highest": round(max(values), 1),
                    "uncertainty": uncertainty,
                }
            )
            rate = statistics.median(values)
            print(f"{face:>22} {num_envs:>6} envs  uncertainty={uncertainty!s:<5} {rate:>12,.0f} steps/s")
    return rows


def ratios(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The figures that the targets are stated in."""
    rate = {(r["face"], r["reward"], r["uncertainty"], r["num_envs"]): r["steps_per_s"] for r in rows}
    pairs = {
        "core_over_bare": (("core", "success", False), ("bare", "success", False)),
        "core_over_bare_with_uncertainty": (("core", "success", True), ("bare", "success", True)),
        "core_over_bare_without_successes": (("core", "probability", False), ("bare", "success", False)),
        "core_over_bare_inference_without_successes": (
            ("core", "probability", False),
            ("bare_inference", "success", False),
        ),
        "core_over_bare_without_successes_with_uncertainty": (
            ("core", "probability", True),
            ("bare", "success", True),
        ),
        "torchrl_over_worldmodelenv": (("torchrl", "success", False), ("torchrl_worldmodelenv", "success", False)),
        "torchrl_over_worldmodelenv_without_successes": (
            ("torchrl", "probability", False),
            ("torchrl_worldmodelenv", "success", False),
        ),
    }
    return {
        name: {
            str(n): round(rate[*over, n] / rate[*under, n], 3)
            for n in sorted({r["num_envs"] for r in rows})
            if (*over, n) in rate and (*under, n) in rate
        }
        for name, (over, under) in pairs.items()
    }


def resident_mib() -> float:
    """Resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def memory(checkpoint: Checkpoint, steps: int, device: str) -> dict[str, Any]:
    """Resident memory along a long run of 64 envs: flat, if nothing is kept."""
    run = core_runner(checkpoint, 64, device, True)
    run(steps // 10)
    trace = [resident_mib()]
    for _ in range(9):
        run(steps // 10)
        trace.append(resident_mib())
    return {
        "num_envs": 64,
        "steps": steps,
        "resident_mib": [round(m, 1) for m in trace],
        "growth_mib": round(trace[-1] - trace[0], 1),
    }


def matmul_share(checkpoint: Checkpoint, num_envs: int, device: str, seconds: float, repeats: int) -> dict[str, Any]:
    """Floating-point rate of an imagined step's matrix products against that of one large product."""
    from torch.utils.flop_counter import FlopCounterMode

    bare = Bare(checkpoint, num_envs, device, False)
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        bare.model.imagine(bare.state, bare.action, bare.generator)
    flops = counter.get_total_flops()
    x = torch.randn(num_envs, 1024, device=device)
    w = torch.randn(1024, 1024, device=device)

    def product(steps: int) -> None:
        for _ in range(steps):
            x @ w

    @torch.no_grad()
    def imagine(steps: int) -> None:
        for _ in range(steps):
            bare.model.imagine(bare.state, bare.action, bare.generator)

    peak, rate = [], []
    for _ in range(repeats):
        for run, work, out in ((product, 2 * num_envs * 1024**2, peak), (imagine, flops, rate)):
            run(2)
            steps = max(2, round(seconds / (time_steps(run, 2, device) / 2)))
            out.append(work * steps / time_steps(run, steps, device) / 1e9)
    return {
        "num_envs": num_envs,
        "gflop_per_step": round(flops / 1e9, 4),
        "matmul_gflops": round(statistics.median(peak), 1),
        "imagine_gflops": round(statistics.median(rate), 1),
        "share": round(statistics.median(rate) / statistics.median(peak), 3),
    }


def matmul_precision(checkpoint: Checkpoint, args: argparse.Namespace) -> dict[str, float]:
    """How many times faster the bare loop is with bfloat16 matrix products, by number of envs."""
    gain = {}
    for num_envs in args.num_envs:
        run = Bare(checkpoint, num_envs, args.device, False)
        rates: dict[str, list[float]] = {"highest": [], "medium": []}
        for _ in range(args.repeats):
            for precision, found in rates.items():
                torch.set_float32_matmul_precision(precision)
                run(4)
                steps = max(4, round(args.seconds / (time_steps(run, 4, args.device) / 4)))
                found.append(steps / time_steps(run, steps, args.device))
        torch.set_float32_matmul_precision("highest")
        gain[str(num_envs)] = round(statistics.median(rates["medium"]) / statistics.median(rates["highest"]), 2)
    return gain


def machine() -> dict[str, Any]:
    cpu = platform.processor()
    info = Path("/proc/cpuinfo")
    if info.exists():
        cpu = next((line.split(":")[1].strip() for line in info.read_text().splitlines() if "model name" in line), cpu)
    load = os.getloadavg()[0]
    versions = {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__}
    return {"cpu": cpu, "cores": os.cpu_count(), "load_before": round(load, 2), **versions}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", help="a checkpoint; without it an RSSM of random weights")
    parser.add_argument("--preset", default="tiny", choices=tuple(PRESETS), help="size of the random RSSM")
    parser.add_argument("--env", help="how the rows name the env")
    parser.add_argument("--num-envs", type=int, nargs="+", help=f"{NUM_ENVS}, on other devices than the CPU {MORE} too")
    parser.add_argument("--twin-envs", type=int, nargs="*", default=[1])
    parser.add_argument("--faces", nargs="+", default=list(FACES), choices=list(FACES))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    clocks = "cpu: processor time of this process, for one thread on a busy machine"
    parser.add_argument("--clock", default="wall", choices=tuple(CLOCKS), help=clocks)
    parser.add_argument("--seconds", type=float, default=1.0, help="of one timing")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--memory-steps", type=int, default=10_000)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    kind = torch.device(args.device).type
    args.num_envs = args.num_envs or (NUM_ENVS if kind == "cpu" else NUM_ENVS + MORE)
    if args.quick:
        args.seconds, args.repeats, args.memory_steps = 0.1, 7, 500
    torch.set_num_threads(args.threads)
    global clock
    clock = CLOCKS[args.clock]
    checkpoint = load(args.checkpoint) if args.checkpoint else random_checkpoint(args.preset)
    args.env = args.env or args.checkpoint or f"rssm-{args.preset}-random"
    how = {"clock": args.clock, "seconds": args.seconds, "repeats": args.repeats, "seed": 0}
    result: dict[str, Any] = {**provenance(checkpoint_hashes(checkpoint)), "machine": machine(), **how}
    result["rows"] = table(checkpoint, args)
    result["ratios"] = ratios(result["rows"])
    if args.memory_steps:
        result["memory"] = memory(checkpoint, args.memory_steps, args.device)
    result["bare_medium_over_highest_precision"] = matmul_precision(checkpoint, args)
    result["model_step"] = matmul_share(checkpoint, 1024, args.device, args.seconds, args.repeats)
    print(json.dumps({k: v for k, v in result.items() if k != "rows"}, indent=1))
    name = "throughput.json" if kind == "cpu" else f"throughput_{kind}.json"
    out = args.out or (None if args.quick else RESULTS / name)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
