"""Operations of a clip at the paper's sizes and at those that are trained here; nothing is run or loaded.

    python benchmarks/dvg/flops.py            # about a minute; writes benchmarks/results/dvg_flops.json

Rows {method, size, parameters, tokens, flops, denoising, refining, encoding, decoding, ratio_to_monolithic}, counted by
torch's FlopCounterMode on the modules themselves, which stand on the meta device; matrix products, convolutions and
attention, 2 FLOPs a multiply-add. "paper": 50 steps of CogVideoX-5B with guidance (two evaluations a step) on 49 frames
of 480 x 720, then 4 steps of CogVideoX-2B on 720 x 1280, against 50 guided steps of 5B on 720 x 1280; the paper's text
names 720p and that its preview is above 360p. Adapters count as merged. "tiny": without guidance.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch

from dreamgym.provenance import provenance
from dreamgym.types import ActionSpec
from dreamgym.world_models.families.video_cascade import VideoCascade, VideoCascadeConfig
from dreamgym.world_models.families.video_cascade.config import FIDELITIES
from dreamgym.world_models.families.video_cascade.cost import clip_cost, num_parameters, num_tokens

RESULTS = Path(__file__).parents[1] / "results" / "dvg_flops.json"
ACTION = ActionSpec((-1.0,) * 7, (1.0,) * 7)


def rows(size: str) -> list[dict[str, Any]]:
    config = getattr(VideoCascadeConfig, size)({"task": ("do it",)}, ACTION)
    with torch.device("meta"):
        model = VideoCascade(config)
    whole = clip_cost(config, "monolithic").total
    out = []
    for method in FIDELITIES:
        cost = clip_cost(config, method)
        used = [model.backbone, model.autoencoder] + ([model.refiner] if method == "refined" else [])
        out.append(
            {
                "method": method,
                "size": size,
                "parameters": sum(num_parameters(part, adapters=method != "monolithic") for part in used),
                "tokens": num_tokens(config, "high" if method == "monolithic" else "low"),
                "flops": cost.total,
                "denoising": cost.denoising,
                "refining": cost.refining,
                "encoding": cost.encoding,
                "decoding": cost.decoding,
                "ratio_to_monolithic": round(whole / cost.total, 3),
            }
        )
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--sizes", nargs="+", default=["tiny", "paper"])
    args = parser.parse_args()
    counted = [row for size in args.sizes for row in rows(size)]
    for row in counted:
        print(f"{row['size']:8}{row['method']:12}{row['flops']:.3e}  {row['ratio_to_monolithic']:.2f}x")
    args.out.write_text(json.dumps({"rows": counted, **provenance()}, indent=1) + "\n")


if __name__ == "__main__":
    main()
