"""Clips of a video cascade beside what really followed: likeness, the right piece of furniture, time.

    python benchmarks/dvg/quality.py --run RUN --store CLIPS --split test --limit 64
    python benchmarks/dvg/quality.py --run RUN --store CLIPS --split test --limit 64 \
        --variants pixel_degradation=RUN2 naive_cascading=RUN3          # the ablations' own runs
    python benchmarks/dvg/quality.py ... --sheet sheet.png              # and pictures to look at

RUN is a run of ``dreamgym fit --family video_cascade``, CLIPS a clip store whose rows hold the scene's state. Writes
rows {method, refinement_steps, seed, split, psnr, ssim, frechet, object_accuracy, task_accuracy, seconds_per_clip,
clips, updates} into benchmarks/results/dvg_quality.json: one file, in which a row of the same method, steps, seed and
split is replaced. ``seed`` is of the sampling; one training is measured.

Methods: "monolithic", the backbone at high resolution; "preview", the low resolution enlarged; "refined", the preview
and N steps of the flow; "refine_only", the flow from the repeated first frame, without a preview. Controls: "recorded"
(what the object probe says of the true clip), "reconstructed" (the autoencoder of the true clip: the bound of all
PSNR), "first_frame" (repeated), "mean_clip" (of the task's training clips) and "nearest_clip" (the training clip of the
task with the most similar first frame, from its second frame on).

- psnr, ssim: torchmetrics', of every frame but the first, means over frames and clips, range [0, 1].
- frechet: torchmetrics' distance of Gaussians, in our own autoencoder's latents of clips (4 frames each) averaged over
  4 x 4 places; no pretrained video network can be had here, so it is no FVD and compares only within this file.
- object_accuracy, task_accuracy: `metrics.ObjectProbe` reads off the first and the last frame which piece (drawer,
  slider, bulb, LED) moved; it is the one that was asked for, and moved the way that was asked for.
- doubt_correlation: of the model's uncertainty with the error, among clips at one frame number (rank correlation).
- seconds_per_clip: processor time on one thread; a refined clip's holds its preview's.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from dreamgym_agents.common.settings import weights_id
from metrics import Clips, ObjectProbe, doubt_correlation, encoded, furniture, measured
from torch import Tensor

from dreamgym.data import EpisodeStore
from dreamgym.provenance import provenance
from dreamgym.training.progress import latest, read_state
from dreamgym.training.train import load_run
from dreamgym.world_models.families.video_cascade import VideoCascade

RESULTS = Path(__file__).parents[1] / "results" / "dvg_quality.json"
SHOWN = (0, 4, 8, 12, 16)
"""Frames of a clip on a sheet."""


class Made(NamedTuple):
    """Clips [N, F, C, H, W] of one method, and processor seconds a clip."""

    method: str
    steps: int
    frames: Tensor
    seconds: float
    doubt: Tensor | None = None
    """The model's own uncertainty [N, F], where it has one."""


class Clock:
    """Adds up processor time by name."""

    def __init__(self) -> None:
        self.spent: dict[Any, float] = {}

    def __call__(self, name: Any, work: Any) -> Any:
        """The result of ``work()``, whose time counts for ``name``."""
        begun = time.process_time()
        result = work()
        self.spent[name] = self.spent.get(name, 0.0) + time.process_time() - begun
        return result


def changed(model: VideoCascade, fidelity: str = "refined", **fields: Any) -> VideoCascade:
    """A view of a model with other fields of its config, such as refiner_steps."""
    view = model.at_fidelity(fidelity)
    view.config = type(model.config).from_dict({**model.config.to_dict(), **fields})
    return view


def told(model: VideoCascade, tasks: Sequence[str]) -> Tensor:
    """The number of each task's first sentence, int64 [N]."""
    sentences, known = model.config.sentences, model.config.tasks
    return torch.tensor([sentences.index(known[t][0]) for t in tasks])


@torch.no_grad()
def cascade(model: VideoCascade, clips: Clips, seed: int, steps: Sequence[int], batch: int) -> list[Made]:
    """Previews, refined clips of one and the same preview in each number of steps, and refined first frames."""
    generator, clock, out, doubt = torch.Generator().manual_seed(seed), Clock(), {}, []
    views = {("refined", n): changed(model, refiner_steps=n) for n in steps}
    if steps:
        strongest = {"refiner_steps": max(steps), "inference_degradation": model.config.degradation}
        views["refine_only", max(steps)] = changed(model, **strongest)
    for image, sentence in zip(clips.frames[:, 0].split(batch), told(model, clips.tasks).split(batch), strict=True):
        text, empty = clock("text", lambda: model.embeddings(sentence))  # noqa: B023 - called at once
        low = clock("low", lambda: model.first_latent("low", image))  # noqa: B023
        high = clock("high", lambda: model.first_latent("high", image))  # noqa: B023
        sampled = clock("denoise", lambda: model.denoise(low, text, empty, generator))  # noqa: B023
        made = sampled.latents
        doubt.append(sampled.doubt[:, 1:].repeat_interleave(model.config.autoencoder.stride, 1))
        still = model.to_model(low.expand_as(made), low)
        shown = clock(("preview", 0), lambda: model.frames(made, low))  # noqa: B023
        out.setdefault(("preview", 0), []).append(shown)
        for key, view in views.items():
            noise, source = torch.Generator().manual_seed(seed + 1), still if key[0] == "refine_only" else made
            work = lambda: model.frames(view.refine(source, high, text, noise), high)  # noqa: B023, E731
            out.setdefault(key, []).append(clock(key, work))
    shared = {"preview": ("text", "low", "denoise"), "refined": ("text", "low", "denoise", "high")}
    return [
        Made(
            *key,
            torch.cat(each),
            _seconds(clock, [key, *shared.get(key[0], ("text", "high"))], len(clips.tasks)),
            torch.cat(doubt) if key[0] in shared else None,
        )
        for key, each in out.items()
    ]  # fmt: skip


def _seconds(clock: Clock, names: Sequence[Any], clips: int) -> float:
    return sum(clock.spent[name] for name in names) / clips


@torch.no_grad()
def monolithic(model: VideoCascade, clips: Clips, seed: int, batch: int) -> Made:
    """The baseline's clips."""
    generator, clock, view = torch.Generator().manual_seed(seed), Clock(), model.at_fidelity("monolithic")
    sentences = told(model, clips.tasks).split(batch)
    made = [
        clock("all", lambda: view.clip(image, sentence, generator))  # noqa: B023
        for image, sentence in zip(clips.frames[:, 0].split(batch), sentences, strict=True)
    ]
    frames, doubt = (torch.cat(parts) for parts in zip(*made, strict=True))
    return Made("monolithic", 0, frames, clock.spent["all"] / len(clips.tasks), doubt)


@torch.no_grad()
def controls(model: VideoCascade, clips: Clips, train: Clips) -> Iterator[Made]:
    """What needs no world model, and the bounds of what one can reach."""
    real = clips.frames[:, 1:]
    yield Made("recorded", 0, real, 0.0)
    decoded = [model.autoencoder.decode(encoded(model, part))[:, 1:] for part in clips.frames.split(4)]
    yield Made("reconstructed", 0, torch.cat(decoded), 0.0)
    yield Made("first_frame", 0, clips.frames[:, :1].expand_as(real), 0.0)
    own = {task: [i for i, t in enumerate(train.tasks) if t == task] for task in set(clips.tasks)}
    means = {task: train.frames[rows, 1:].mean(0) for task, rows in own.items()}
    yield Made("mean_clip", 0, torch.stack([means[t] for t in clips.tasks]), 0.0)
    nearest = []
    for first, task in zip(clips.frames[:, 0], clips.tasks, strict=True):
        rows = own[task]
        nearest.append(rows[int((train.frames[rows, 0] - first).square().flatten(1).sum(1).argmin())])
    yield Made("nearest_clip", 0, train.frames[nearest, 1:], 0.0)


def sheet(path: Path, clips: Clips, made: Sequence[Made], of_each: int = 1) -> None:
    """Pictures of some clips, a block a task: what really followed, and each method's row below."""
    from PIL import Image

    chosen = [i for n in range(of_each) for i in _nth(clips.tasks, n)]
    rows = [clips.frames, *(torch.cat([clips.frames[:, :1], m.frames], 1) for m in made)]
    shown = [k for k in SHOWN if k < clips.frames.shape[1]]
    blocks = [torch.cat([torch.cat(list(r[i, shown]), 2) for r in rows], 1) for i in chosen]
    columns = [torch.cat(blocks[k::2], 1) for k in range(min(2, len(blocks)))]
    height = max(c.shape[1] for c in columns)
    columns = [torch.nn.functional.pad(c, (0, 8, 0, height - c.shape[1]), value=1.0) for c in columns]
    picture = (torch.cat(columns, 2).permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
    Image.fromarray(picture).resize((2 * picture.shape[1], 2 * picture.shape[0]), Image.Resampling.NEAREST).save(path)


def _nth(tasks: Sequence[str], n: int) -> list[int]:
    """The ``n``-th clip of each task."""
    return [i for i, task in enumerate(tasks) if tasks[:i].count(task) == n]


def put(path: Path, row: dict[str, Any]) -> None:
    """Writes a row in the place of that of the same method, steps, seed and split."""
    kept = json.loads(path.read_text())["rows"] if path.exists() else []
    key = ("method", "refinement_steps", "seed", "split")
    kept = [r for r in kept if any(r.get(k) != row.get(k) for k in key)]
    path.write_text(json.dumps({"rows": [*kept, row]}, indent=1) + "\n")


def opened(run: Path) -> tuple[VideoCascade, int]:
    """The model of a run and the updates that it had."""
    model, progress = load_run(run), latest(run)
    assert isinstance(model, VideoCascade) and progress is not None
    return model, int(read_state(progress)["step"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--store", type=Path, required=True, help="clip store")
    parser.add_argument("--train", type=Path, help="clip store of the training clips; --store where not given")
    parser.add_argument("--split", default="test")
    parser.add_argument("--limit", type=int, help="clips; all of the split where not given")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--steps", type=int, nargs="*", default=[1, 2, 4, 8], help="of the refinement; none: previews")
    parser.add_argument("--variants", nargs="*", default=[], help="NAME=RUN of cascades that were trained otherwise")
    parser.add_argument("--skip", nargs="*", default=[], choices=["controls", "cascade", "monolithic"])
    parser.add_argument("--sheet", type=Path, help="file of a picture of one clip of each task")
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    (model, updates), store = opened(args.run), EpisodeStore.open(args.store)
    learned = EpisodeStore.open(args.train or args.store)
    clips, train = Clips.read(store, model, args.split, args.limit), Clips.read(learned, model, "train")
    probe, pictures = ObjectProbe(model, train, furniture(learned)), []

    def note(made: Made, seed: int, of: VideoCascade = model, steps: int = updates) -> None:
        row = {"method": made.method, "refinement_steps": made.steps, "seed": seed, "split": args.split}
        row |= measured(made.frames, clips, model, probe) | {"seconds_per_clip": made.seconds}
        if made.doubt is not None:
            row["doubt_correlation"] = doubt_correlation(made.doubt, made.frames, clips.frames[:, 1:])
        row |= {"clips": len(clips.tasks), "updates": steps, **provenance({"model": weights_id(of)})}
        print({k: v for k, v in row.items() if k not in ("commit", "machine", "hashes")}, flush=True)
        put(args.out, row)
        if seed == args.seeds[0]:
            pictures.append(made)

    if "controls" not in args.skip:
        for made in controls(model, clips, train):
            note(made, args.seeds[0])
    for seed in args.seeds:
        if "cascade" not in args.skip:
            for made in cascade(model, clips, seed, args.steps, args.batch):
                note(made, seed)
        if "monolithic" not in args.skip:
            note(monolithic(model, clips, seed, args.batch), seed)
        for name, _, run in (variant.partition("=") for variant in args.variants):
            other, done = opened(Path(run))
            made = cascade(other, clips, seed, [other.config.refiner_steps], args.batch)
            for one in (m for m in made if m.method == "refined"):
                note(one._replace(method=name), seed, other, done)
    if args.sheet:
        sheet(args.sheet, clips, pictures)


if __name__ == "__main__":
    main()
