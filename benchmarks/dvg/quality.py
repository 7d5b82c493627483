"""Clips of a video cascade beside what really followed: sharpness, likeness, the right piece of furniture, time.

    python benchmarks/dvg/quality.py --run RUN --clips CLIPS --split val --limit 32
    python benchmarks/dvg/quality.py --run RUN --clips CLIPS --autoencoder      # reconstructions alone

RUN is a run of ``dreamgym fit --family video_cascade``, CLIPS a clip store whose rows hold the scene's state. Writes
rows {method, refinement_steps, seed, psnr, ssim, frechet, object_accuracy, seconds_per_clip, clips} into
benchmarks/results/dvg_quality.json (one file; a row of the same method, steps and seed is replaced).

- psnr, ssim: of every frame but the first, means over frames and clips, range [0, 1]; "copy" repeats the first frame.
- frechet: the distance of Gaussians fitted to features of the frames, in our own autoencoder's latents averaged over
  4 x 4 places; no pretrained video network can be had here, so it is no FVD and compares only within this file.
- object_accuracy: a ridge regression from features reads the scene's state off the last frame, and the piece of
  furniture (drawer, slider, bulb, LED) that changed most, in units of how far it moves when it is the task, is the one
  that was asked for. "recorded": the same, read off the recorded frames.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dreamgym.data import EpisodeStore
from dreamgym.provenance import provenance
from dreamgym.suites.facts import store_facts
from dreamgym.training.train import load_run
from dreamgym.world_models.families.video_cascade import VideoCascade

RESULTS = Path(__file__).parents[1] / "results" / "dvg_quality.json"
OBJECTS = {"drawer": "drawer", "slider": "slider", "lightbulb": "bulb", "led": "led"}
"""What a task's name holds, and the measure of it."""


def ssim(a: Tensor, b: Tensor) -> Tensor:
    """[N] of frames [N, C, H, W] in [0, 1]: Gaussian window of 11 pixels, deviation 1.5 (Wang et al., 2004)."""
    axis = torch.arange(11.0) - 5
    line = torch.exp(-axis.square() / 4.5)
    window = (line[:, None] * line / line.sum() ** 2)[None, None]

    def blur(x: Tensor) -> Tensor:
        return F.conv2d(x.flatten(0, 1).unsqueeze(1), window).unflatten(0, x.shape[:2]).squeeze(2)

    mean_a, mean_b = blur(a), blur(b)
    var_a, var_b = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2
    both = blur(a * b) - mean_a * mean_b
    top = (2 * mean_a * mean_b + 1e-4) * (2 * both + 9e-4)
    return (top / ((mean_a**2 + mean_b**2 + 1e-4) * (var_a + var_b + 9e-4))).flatten(1).mean(1)


def frechet(a: Tensor, b: Tensor) -> float:
    """Fréchet distance of Gaussians fitted to two sets of features [N, Z]."""
    a, b = a.double().numpy(), b.double().numpy()
    cov_a, cov_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = np.linalg.eigvals(cov_a @ cov_b)
    covered = np.sqrt(np.clip(root.real, 0, None)).sum()
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(cov_a) + np.trace(cov_b) - 2 * covered)


class Recorded:
    """Clips of one split in memory: frames [N, F + 1, C, H, W] in [0, 1], scene [N, F + 1, d], tasks."""

    def __init__(self, store: EpisodeStore, model: VideoCascade, split: str, limit: int | None) -> None:
        config, view = model.config, store.select(split=split)
        order = np.random.default_rng(0).permutation(len(view))[: limit or len(view)]
        rows = [view.episode(int(i), [config.camera, "scene_obs"]) for i in order]
        a = config.actions_per_frame
        frames = np.stack([r[config.camera][::a] for r in rows])
        self.frames = torch.from_numpy(frames).movedim(-1, 2).float() / 255
        self.scene = torch.from_numpy(np.stack([r["scene_obs"][::a] for r in rows]))
        self.tasks = [view.metas[int(i)]["task"] for i in order]


@torch.no_grad()
def pooled(model: VideoCascade, frames: Tensor) -> Tensor:
    """Features [N, Z * 16] of frames [N, C, H, W]: latents of single frames, averaged over 4 x 4 places."""
    latents = torch.cat([model.autoencoder.encode(f.unsqueeze(1)) for f in frames.split(32)])
    return F.adaptive_avg_pool2d(latents[:, 0], 4).flatten(1)


class ObjectProbe:
    """Reads off features which piece of furniture changed most between two frames of a clip."""

    def __init__(self, model: VideoCascade, clips: Recorded, measures: dict[str, tuple[int, float]]) -> None:
        self.model, self.measures = model, measures
        x = self._features(clips.frames[:, ::4].flatten(0, 1))
        y = clips.scene[:, ::4].flatten(0, 1)[:, [m[0] for m in measures.values()]].double()
        self.weights = torch.linalg.solve(x.T @ x + 1.0 * len(x) / 100 * torch.eye(x.shape[1]).double(), x.T @ y)

    def _features(self, frames: Tensor) -> Tensor:
        with torch.no_grad():
            latents = torch.cat([self.model.autoencoder.encode(f.unsqueeze(1)) for f in frames.split(32)])
        flat = latents.flatten(1).double()
        return torch.cat([flat, torch.ones(len(flat), 1, dtype=torch.double)], 1)

    def __call__(self, first: Tensor, last: Tensor) -> list[str]:
        change = (self._features(last) - self._features(first)) @ self.weights
        scale = torch.tensor([m[1] for m in self.measures.values()]).double()
        names = list(self.measures)
        return [names[i] for i in (change.abs() / scale).argmax(1).tolist()]


def asked(task: str) -> str:
    """The measure of the piece of furniture that a task is about."""
    return next(measure for word, measure in OBJECTS.items() if word in task)


def furniture(store: EpisodeStore) -> dict[str, tuple[int, float]]:
    """Entry of the scene's state and usual change of each piece, from the suite and the recorded clips of its tasks."""
    suite, train = store_facts(store).suite, store.select(split="train")
    assert suite is not None
    out = {}
    for measure in suite.measures:
        if measure.name in OBJECTS.values():
            (entry,) = measure.entries
            rows = [i for i, m in enumerate(train.metas) if asked(m["task"]) == measure.name]
            ends = [train.episode(i, ["scene_obs"])["scene_obs"][[0, -1], entry] for i in rows]
            out[measure.name] = (entry, float(np.abs(np.diff(ends, axis=1)).mean()))
    return out


def measured(made: Tensor, clips: Recorded, model: VideoCascade, probe: ObjectProbe) -> dict[str, float]:
    """Figures of clips [N, F, C, H, W] that were made from the recorded ones' first frames."""
    real = clips.frames[:, 1:]
    error = (made - real).square().flatten(2).mean(2)
    chosen = probe(clips.frames[:, 0], made[:, -1])
    right = [got == asked(task) for got, task in zip(chosen, clips.tasks, strict=True)]
    return {
        "psnr": float((-10 * error.clamp(min=1e-10).log10()).mean()),
        "ssim": float(ssim(made.flatten(0, 1), real.flatten(0, 1)).mean()),
        "frechet": frechet(pooled(model, made.flatten(0, 1)), pooled(model, real.flatten(0, 1))),
        "object_accuracy": float(np.mean(right)),
    }


@torch.no_grad()
def imagined(model: VideoCascade, clips: Recorded, seed: int, batch: int) -> tuple[Tensor, float]:
    """Clips from the recorded first frames, told the first sentence of each task, and seconds a clip."""
    sentences, tasks = model.config.sentences, model.config.tasks
    told = torch.tensor([sentences.index(tasks[t][0]) for t in clips.tasks])
    generator, begun, out = torch.Generator().manual_seed(seed), time.perf_counter(), []
    for frames, each in zip(clips.frames[:, 0].split(batch), told.split(batch), strict=True):
        out.append(model.clip(frames, each, generator).frames)
    return torch.cat(out), (time.perf_counter() - begun) / len(told)


@torch.no_grad()
def reconstructions(model: VideoCascade, clips: Recorded) -> dict[str, float]:
    """PSNR of the autoencoder at both resolutions."""
    out = {}
    for name, frames in (("high", clips.frames), ("low", model.autoencoder.shrink(clips.frames))):
        made = torch.cat([model.autoencoder.decode(model.autoencoder.encode(f)) for f in frames.split(4)])
        error = (made - frames).square().flatten(2).mean(2)
        out[f"psnr_{name}"] = float((-10 * error.log10()).mean())
    return out


def methods(model: VideoCascade, steps: list[int]) -> list[tuple[str, int, VideoCascade]]:
    """Name, refinement steps and view of each way of making clips."""
    out = [(name, 0, model.at_fidelity(name)) for name in ("preview", "monolithic")]
    for n in steps:
        view = model.at_fidelity("refined")
        view.config = type(model.config).from_dict({**model.config.to_dict(), "refiner_steps": n})
        out.append(("refined", n, view))
    return out


def put(path: Path, row: dict[str, Any]) -> None:
    """Replaces the row of the same method, steps, seed and split in the file."""
    kept = json.loads(path.read_text())["rows"] if path.exists() else []
    key = ("method", "refinement_steps", "seed", "split")
    kept = [r for r in kept if any(r.get(k) != row.get(k) for k in key)]
    path.write_text(json.dumps({"rows": [*kept, row], **provenance()}, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--split", default="val")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 2, 4, 8], help="of the refinement")
    parser.add_argument("--only", nargs="+", help="methods: recorded, copy, preview, refined, monolithic")
    parser.add_argument("--autoencoder", action="store_true", help="reconstructions alone; writes nothing")
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    model, store = load_run(args.run), EpisodeStore.open(args.clips)
    assert isinstance(model, VideoCascade)
    clips = Recorded(store, model, args.split, args.limit)
    if args.autoencoder:
        print(reconstructions(model, clips))
        return
    probe = ObjectProbe(model, Recorded(store, model, "train", 200), furniture(store))
    real = clips.frames[:, 1:]
    plain = [("recorded", 0, real), ("copy", 0, clips.frames[:, :1].expand_as(real))]
    for name, steps, made in [*plain, *methods(model, args.steps)]:
        if args.only and name not in args.only:
            continue
        frames, seconds = (
            imagined(made, clips, args.seed, args.batch) if isinstance(made, VideoCascade) else (made, 0.0)
        )
        row = {"method": name, "refinement_steps": steps, "seed": args.seed, "split": args.split, "clips": len(frames)}
        row |= measured(frames, clips, model, probe) | {"seconds_per_clip": seconds}
        print(row, flush=True)
        put(args.out, row)


if __name__ == "__main__":
    main()
