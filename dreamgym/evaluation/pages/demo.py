"""The demo: a dream and its twin from the same starts under the same held-out actions; figures, a clip, a page."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gymnasium as gym

from dreamgym.envs.registration import DREAMS, REALS
from dreamgym.evaluation.making.measures import format_value, measures_of
from dreamgym.evaluation.pages.both_worlds import MANY, run_dream, run_twin
from dreamgym.evaluation.pages.pictures import clip_frame, plot_drift, save_figure, write_gif
from dreamgym.evaluation.pages.sequences import load_sequences
from dreamgym.evaluation.statistics.comparison import Agreement, Sequences, Trajectories, compare
from dreamgym.places import write_whole
from dreamgym.provenance import machine
from dreamgym.training.checkpoint import BUILT_IN
from dreamgym.version import __version__

if TYPE_CHECKING:
    from dreamgym.training.checkpoint import Checkpoint

HORIZONS = (1, 5, 10, 25, 50)


@dataclass(frozen=True)
class Demo:
    """What `run_demo` made.

    Attributes:
        folder: where the files are: index.html, clip.gif, drift.png, demo.json.
        agreement: dream against twin.
        horizons: steps at which tables report.
        speed: steps per second: dream_1, dream_many (``many`` dreams at once), real (the twin: simulator, cameras,
            filter).
        facts: ids, versions, machine.
        checkpoint: the world model.
    """

    folder: Path
    agreement: Agreement
    horizons: tuple[int, ...]
    speed: dict[str, float]
    facts: dict[str, Any]
    checkpoint: Checkpoint


def run_demo(
    out_dir: str | os.PathLike[str] = "demo",
    dream_id: str | None = None,
    real_id: str | None = None,
    checkpoint: str | Checkpoint | None = None,
    num_sequences: int = 8,
    seed: int = 0,
) -> Demo:
    """Carries out held-out action sequences in a dream and in its twin, and writes what came of it.

    Args:
        out_dir: folder to write.
        dream_id: a dream; None: the one registered with ``checkpoint``, or "Dream-PlayTable-v0" without one.
        real_id: the twin of it; None: the one of the simulator that the checkpoint was learned from.
        checkpoint: of both; None: the one that ``dream_id`` is registered with.
        num_sequences: how many, spread over the tasks.
        seed: of the model's draws.

    Raises:
        ValueError: the checkpoint decodes no camera, has no start bank with snapshots, its sequences are damaged, or no
            registered twin is its simulator.
        ImportError: the simulator's or the report extra is missing.
    """
    from dreamgym.envs.make import open_checkpoint

    opened = open_checkpoint(checkpoint or gym.spec(dream_id or "Dream-PlayTable-v0").kwargs["checkpoint"])
    if not opened.spec.cameras:
        raise ValueError(
            f"the demo shows side by side what the cameras of a dream and of its simulator see, and {opened.path.name} "
            "decodes none: score policies in both worlds with 'dreamgym evaluate'"
        )
    sequences = load_sequences(opened, num_sequences)
    dream_id, real_id = dream_id or _dream_of(opened), real_id or twin_of(opened)
    dream, speed = run_dream(dream_id, opened, sequences, seed)
    real = run_twin(real_id, opened, sequences, seed)
    agreement = compare(real, dream, sequences, measures_of(opened.simulator))
    longest = int(sequences.length.max())
    horizons = (*(h for h in HORIZONS if h < longest), longest)
    speed["real"] = float(sequences.action.shape[0] * sequences.action.shape[1] / real.seconds)
    facts = {
        "dream_id": dream_id, "real_id": real_id, "checkpoint": opened.path.name, "task": sequences.tasks[0],
        "version": __version__, "seed": seed,
        "machine": machine(), "speed": {**speed, "many": MANY},
    }  # fmt: skip
    folder = Path(out_dir)
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder, real, dream, sequences, agreement, horizons, facts)
    return Demo(folder, agreement, horizons, speed, facts, opened)


def _dream_of(checkpoint: Checkpoint) -> str:
    """The id that a shipped checkpoint is registered under, or the one for any."""
    shipped = BUILT_IN in checkpoint.path.resolve().parents
    found = [name for name, kwargs in DREAMS.items() if kwargs.get("checkpoint") == checkpoint.path.name]
    return found[0] if shipped and found else "Dream-v0"


def twin_of(checkpoint: Checkpoint) -> str:
    """The id of the twin whose simulator a checkpoint was learned from.

    Raises:
        ValueError: it names none, or none that is registered.
    """
    own = checkpoint.simulator or {"id": None, "kwargs": {}}
    named = {name: kwargs["simulator"] for name, kwargs in REALS.items() if "simulator" in kwargs}
    for name, simulator in named.items():
        if simulator["id"] == own["id"] and simulator.get("kwargs", {}).items() <= own["kwargs"].items():
            return name
    raise ValueError(
        f"{checkpoint.path.name} was learned from the simulator {own['id']!r} {own['kwargs']}, which is none of "
        f"{list(named)}: name its twin with real="
    )


def _write(
    folder: Path,
    real: Trajectories,
    dream: Trajectories,
    sequences: Sequences,
    agreement: Agreement,
    horizons: tuple[int, ...],
    facts: dict[str, Any],
) -> None:
    from dreamgym.evaluation.pages.page import write_page

    write_clip(folder / "clip.gif", real, dream, sequences)
    save_figure(plot_drift(agreement.curves), folder / "drift.png")
    page = write_page((folder / "clip.gif").read_bytes(), real, dream, sequences, agreement, horizons, facts)
    write_whole(folder / "index.html", page)
    summary = {**facts, **agreement.to_dict(horizons)}
    write_whole(folder / "demo.json", json.dumps(summary, indent=1))


def write_clip(
    path: Path, real: Trajectories, dream: Trajectories, sequences: Sequences, columns: int = 5, size: int = 168
) -> None:
    """The side-by-side clip: the first sequences of different tasks, and one of them by the second camera."""
    cameras = [c for c in real.frames if c in dream.frames]
    if not cameras:
        raise ValueError("nothing to show: the model decodes no camera; a demo needs a vision or hybrid model")
    picks = list(dict.fromkeys(sequences.names))
    wanted = columns - (len(cameras) > 1)
    # Tasks come in pairs, one undoing the other: show one of each pair where there are enough.
    picks = picks[::2] if len(picks) >= 2 * wanted else picks
    chosen = [(sequences.names.index(task), cameras[0]) for task in picks[:wanted]]
    chosen += [(chosen[0][0], c) for c in cameras[1:2]]
    seen_by = {c: "" if c == cameras[0] else f" ({c.removeprefix('rgb_')})" for c in cameras}
    captions = [sequences.names[i].replace("_", " ") + seen_by[c] for i, c in chosen]
    frames = []
    for t in range(sequences.action.shape[1] + 1):
        at = [(i, c, min(t, int(sequences.length[i]))) for i, c in chosen]
        pairs = [(real.frames[c][i, s], dream.frames[c][i, s]) for i, c, s in at]
        footer = f"step {t}: the dream saw the start and the actions" if t else "the start"
        frames.append(clip_frame(pairs, captions, footer, size))
    write_gif(path, frames, 15)


def demo_rows(demo: Demo) -> tuple[list[str], list[list[str]]]:
    """The table of agreement per horizon as text: heads, and a row a horizon (value, then the repeated start)."""
    curves = demo.agreement.curves
    heads = ["steps", *(c.label or n for n, c in curves.items()), "same verdict", "uncertainty"]
    rows = []
    for h in demo.horizons:
        cells = [
            f"{format_value(c.model[h - 1], c.unit)} ({format_value(c.repeat[h - 1], c.unit).split()[0]})"
            for c in curves.values()
        ]
        verdict, unsure = demo.agreement.verdicts[h - 1], demo.agreement.uncertainty[h - 1]
        rows.append([str(h), *cells, f"{100 * verdict:.0f}%", f"{unsure:.3g}"])
    return heads, rows
