"""How fast candidates are imagined and ranked: LAC-WM's planning step, at the sizes that train on two cores.

    python benchmarks/lac/speed.py                 # a minute; weights are random, which changes no time

Writes benchmarks/results/lac_speed.json, rows {candidates, frames, precision, seconds, flops, matmul_share}: a frame is
encoded once, all candidates are imagined in one batch and their last features compared with a goal's. ``seconds`` is
processor time on one thread, the best of several; ``matmul_share`` relates the operations a second (of matrix products,
as torch counts them) to those of a square product of 1,024 in the same precision, measured in the same run; "bf16" is
autocast. Paper: 10 candidates x 8 frames of 256 x 256 in 0.1 s on an L40S.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from dreamgym_agents.action_selection import SelectionConfig
from selection import Chooser
from torch.utils.flop_counter import FlopCounterMode

from dreamgym.provenance import provenance
from dreamgym.sims.robosuite_arms.embodiments import EMBODIMENTS, HELD_OUT
from dreamgym.world_models.families.latent_action import LatentActionConfig, LatentActionModel
from dreamgym.world_models.registry import recipe

RESULTS = Path(__file__).parents[1] / "results" / "lac_speed.json"
CASES = ((10, 8), (64, 6))
"""(candidates, frames)."""
SIDE = 1024
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}


def best(work: Callable[[], Any], times: int) -> float:
    """The shortest of several, s."""
    spent = []
    for _ in range(times):
        begun = time.process_time()
        work()
        spent.append(time.process_time() - begun)
    return min(spent)


def measured(model: LatentActionModel, candidates: int, frames: int, times: int, precision: str) -> dict[str, Any]:
    """A row."""
    chooser = Chooser(model, SelectionConfig("rank", candidates, frames, min(3, candidates)))
    image = np.zeros((*model.config.image[1:], 3), np.uint8)
    plans = torch.rand(candidates, frames * model.spec.actions_per_frame, model.spec.control.dim) * 2 - 1
    goal = torch.zeros(model.spec.feature_shape)
    square = torch.rand(SIDE, SIDE, dtype=PRECISIONS[precision])
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        with FlopCounterMode(display=False) as counter:
            chooser.choose(image, plans, goal)
        seconds = best(lambda: chooser.choose(image, plans, goal), times)
    rate = 2 * SIDE**3 / best(lambda: square @ square, 5 * times)
    flops = counter.get_total_flops()
    row = {"candidates": candidates, "frames": frames, "precision": precision, "seconds": seconds, "flops": flops}
    return {**row, "matmul_share": flops / seconds / rate}


def main(args: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args(args)
    torch.set_num_threads(1)
    sizes = recipe("latent_action").preset("tiny").model
    model = LatentActionModel(LatentActionConfig(robots={HELD_OUT: EMBODIMENTS[HELD_OUT].action}, **sizes)).eval()
    rows = [measured(model, *case, options.times, precision) for precision in PRECISIONS for case in CASES]
    options.out.write_text(json.dumps({**provenance(), "rows": rows}, indent=1) + "\n")
    for row in rows:
        print(row)


if __name__ == "__main__":
    main()
