"""LAC-WM, Table 1: imagined roll-outs of eight frames against what happened, with objects that training never saw.

    python benchmarks/lac/imagined_rollouts.py --work WORK --stores STORES  # of what `models.py` has trained

Reads STORES/held_out_instances and STORES/held_out_categories, stores of the held-out robot, and the held-out episodes
of its own ("val", with objects of training). A row, kept in WORK/rows: {model, robots, split, seed, psnr, ssim,
frechet, copy_psnr, copy_ssim, psnr_by_frame, windows} and what ``--networks`` gives. "copy" repeats the first frame:
what a prediction has to beat. ``frechet`` is in the features of our own encoder and compares only within this table.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from likeness import by_networks, features
from models import VARIANTS, Models, add_options, told
from torch import Tensor

from dreamgym.data import EpisodeStore, EpisodeView, SequenceSampler
from dreamgym.evaluation.making.likeness import frechet, psnr, ssim
from dreamgym.sims.robosuite_arms.embodiments import HELD_OUT
from dreamgym.world_models.base import WorldModel, to_frames
from dreamgym.world_models.families.latent_action import LatentActionModel

SPLITS = {"instances": "held_out_instances", "categories": "held_out_categories"}
"""Stores by split."""
BATCH = 32


@torch.no_grad()
def imagined(model: WorldModel, batch: dict[str, Tensor], frames: int) -> tuple[Tensor, Tensor]:
    """Frames [B, T, 3, H, W] that a model imagines from the first of a window, and the window's [B, T + 1, 3, H, W]."""
    camera, a = model.spec.cameras[0], model.spec.actions_per_frame
    real = to_frames({k: v for k, v in batch.items() if k != "is_first"}, a)[camera].float() / 255
    state = model.start({k: batch[k][:, :1] for k in model.spec.observations})
    ahead = model.unroll(state, batch["action"][:, : frames * a])
    return torch.stack([model.decode(state, [camera])[camera] for state in ahead], 1), real


def measured(
    model: LatentActionModel, batches: list[dict[str, Tensor]], frames: int, files: dict[str, Path]
) -> dict[str, Any]:
    """Means over windows and frames, PSNR frame by frame, and what the networks of ``files`` say."""
    made, real = (torch.cat(each) for each in zip(*(imagined(model, b, frames) for b in batches), strict=True))
    after, copied = real[:, 1:], real[:, :1].expand_as(made)
    found = [[metric(x.flatten(0, 1), after.flatten(0, 1)) for metric in (psnr, ssim)] for x in (made, copied)]
    names = ("psnr", "ssim", "copy_psnr", "copy_ssim")
    out: dict[str, Any] = dict(zip(names, (float(x.mean()) for pair in found for x in pair), strict=True))
    out["psnr_by_frame"] = found[0][0].unflatten(0, made.shape[:2]).mean(0).tolist()
    sets = [features(torch.cat([model.encode(part) for part in x.flatten(0, 1).split(256)])) for x in (made, after)]
    return {**out, "frechet": frechet(*sets), "windows": len(made), **by_networks(made, after, files)}


def view_of(models: Models, split: str) -> EpisodeView:
    """The episodes of a split."""
    if split in ("train", "val"):
        return EpisodeStore.open(models.store(HELD_OUT)).select(split=split)
    return EpisodeStore.open(models.options.stores / SPLITS[split])


def main(args: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    parser.add_argument("--splits", nargs="+", default=["val", *SPLITS], choices=["val", *SPLITS])
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--windows", type=int, default=256)
    parser.add_argument("--networks", nargs="*", default=[], help="NAME=FILE of lpips, fid and fvd, TorchScript")
    options = parser.parse_args(args)
    torch.set_num_threads(1)
    models, files = Models(options), {k: Path(v) for k, _, v in (w.partition("=") for w in options.networks)}
    for seed in options.seeds:
        for name in (n for n in options.models if VARIANTS[n].adapted):
            for split in options.splits:

                def make(name: str = name, seed: int = seed, split: str = split) -> dict[str, Any]:
                    model = models.opened(name, seed)
                    length = options.frames * model.spec.actions_per_frame + 1
                    keys = [*model.spec.observations, "action"]
                    sampler = SequenceSampler(view_of(models, split), length, BATCH, keys, 0)  # the same for all
                    batches = [sampler.batch(i) for i in range(-(-options.windows // BATCH))]
                    found = measured(model, batches, options.frames, files)
                    return {"robots": VARIANTS[name].robots, **found, **told(model)}

                models.row("rollouts", make, model=name, split=split, seed=seed)


if __name__ == "__main__":
    main()
