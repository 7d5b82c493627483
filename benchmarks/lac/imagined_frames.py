"""LAC-WM, Table 1: imagined roll-outs of eight frames against what happened, on a store's held-out episodes.

    python benchmarks/lac/imagined_frames.py --model LAC-WM=runs/xarm7 --store arms/xarm7_three_finger --robots 3

A run's folder or a checkpoint's is opened; rows {model, robots, split, seed, frames, psnr, ssim, copy_psnr, copy_ssim,
windows} are added to benchmarks/results/lac_rollouts.json, one for each frame of the roll-out and one for all of them.
"copy" repeats the first frame: what a prediction has to beat.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from image_quality import psnr, ssim
from torch import Tensor

from dreamgym.data import EpisodeStore, SequenceSampler
from dreamgym.provenance import provenance
from dreamgym.training import checkpoint
from dreamgym.training.train import load_run
from dreamgym.world_models.base import WorldModel, to_frames

RESULT = Path(__file__).parents[1] / "results" / "lac_rollouts.json"


def opened(path: Path) -> WorldModel:
    """The model of a run, or of a checkpoint."""
    return load_run(path) if (path / "run.json").is_file() else checkpoint.load(path).model


@torch.no_grad()
def measured(model: WorldModel, batch: dict[str, Tensor], frames: int) -> dict[str, Tensor]:
    """[frames] means over the windows of a batch; of a model that begins from one frame."""
    camera, a = model.spec.cameras[0], model.spec.actions_per_frame
    rows = to_frames({k: v for k, v in batch.items() if k != "is_first"}, a)
    truth = rows[camera].float() / 255
    begun = model.start({k: batch[k][:, :1] for k in model.spec.observations})
    out: dict[str, list[float]] = {k: [] for k in ("psnr", "ssim", "copy_psnr", "copy_ssim")}
    for t, state in enumerate(model.unroll(begun, batch["action"][:, : frames * a]), start=1):
        seen = model.decode(state, [camera])[camera]
        for name, value in (("", seen), ("copy_", truth[:, 0])):
            out[f"{name}psnr"].append(float(psnr(value, truth[:, t]).mean()))
            out[f"{name}ssim"].append(float(ssim(value, truth[:, t]).mean()))
    return {k: torch.tensor(v) for k, v in out.items()}


def table(
    model: WorldModel, store: EpisodeStore, split: str, frames: int, windows: int, seed: int
) -> dict[str, Tensor]:
    """[frames] means over ``windows`` windows of the store's episodes of a split."""
    length = frames * model.spec.actions_per_frame + 1
    keys = [*model.spec.observations, "action"]
    sampler = SequenceSampler(store.select(split=split), length, 32, keys, seed)
    batches = [measured(model, sampler.batch(i), frames) for i in range(-(-windows // 32))]
    return {k: torch.stack([b[k] for b in batches]).mean(0) for k in batches[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="NAME=FOLDER")
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--robots", type=int, required=True, help="how many it was pretrained on")
    parser.add_argument("--embodiment", help="robot of the store; the model's own where not given")
    parser.add_argument("--split", default="val")
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--windows", type=int, default=512)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    torch.set_num_threads(1)
    name, _, folder = args.model.partition("=")
    model = opened(Path(folder))
    model = model if args.embodiment is None else model.embody(args.embodiment)
    found = table(model, EpisodeStore.open(args.store), args.split, args.frames, args.windows, args.seed)
    about = {"model": name, "robots": args.robots, "split": args.split, "seed": args.seed, "windows": args.windows}
    rows: list[dict[str, Any]] = [{**about, "frames": "all", **{k: float(v.mean()) for k, v in found.items()}}]
    rows += [{**about, "frames": t + 1, **{k: float(v[t]) for k, v in found.items()}} for t in range(args.frames)]
    kept = json.loads(args.out.read_text())["rows"] if args.out.exists() else []
    kept = [row for row in kept if any(row[k] != about[k] for k in ("model", "robots", "split", "seed"))]
    args.out.write_text(json.dumps({**provenance(), "rows": kept + rows}, indent=1) + "\n")
    print(json.dumps(rows[0], indent=1))


if __name__ == "__main__":
    main()
