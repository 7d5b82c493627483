"""Clips of a policy's episodes, the simulator above and the dream below: successes, and the worst disagreements."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dreamgym.evaluation.pages.pictures import clip_frame, write_gif
from dreamgym.evaluation.policies.episodes import Episodes
from dreamgym.evaluation.policies.record import DreamRecorder, TwinRecorder

FRAME_RATE = 10
STRIDE = 2  # every other step: a page may hold several clips
SIZE = 132


def choose_clips(dream: Episodes, twin: Episodes, columns: int) -> dict[str, list[int]]:
    """Which of the paired episodes to show, by kind; a kind without any is left out.

    "successes" are done in both worlds. "disagreements" are done in one: imagined ones that the simulator denies, the
    surest first, alternate with real ones that the dream missed, the least expected first.
    """
    dream = dream.select(slice(0, len(twin)))
    both = np.flatnonzero(dream.success & twin.success)
    false, missed = (np.flatnonzero(x) for x in (dream.success & ~twin.success, ~dream.success & twin.success))
    false = false[np.argsort(-dream.probability[false], kind="stable")]
    missed = missed[np.argsort(dream.probability[missed], kind="stable")]
    mixed: list[int] = []
    for i in range(columns):
        mixed += [int(x[i]) for x in (false, missed) if i < len(x)]
    chosen = {"successes": both[:columns].tolist(), "disagreements": mixed[:columns]}
    return {kind: episodes for kind, episodes in chosen.items() if episodes}


def write_clips(
    folder: Path, stem: str, dream: Episodes, twin: Episodes, dreamt: DreamRecorder, lived: TwinRecorder, columns: int
) -> list[dict[str, str]]:
    """Writes a GIF a kind into ``folder``.

    Returns:
        {"kind", "file"} for each; the file's name without its folder.
    """
    assert lived.camera is not None
    folder.mkdir(parents=True, exist_ok=True)
    out = []
    for kind, episodes in choose_clips(dream, twin, columns).items():
        pairs = [(np.stack(lived.frames[e]), dreamt.frames(e, lived.camera)) for e in episodes]
        captions = [f"real {_outcome(twin, e)}, dream {_outcome(dream, e)}" for e in episodes]
        frames = []
        longest = max(len(frames) for pair in pairs for frames in pair) - 1
        for t in [*range(0, longest, STRIDE), longest]:
            # An episode that is over stays where it ended.
            now = [(real[min(t, len(real) - 1)], mine[min(t, len(mine) - 1)]) for real, mine in pairs]
            frames.append(clip_frame(now, captions, f"step {t}", SIZE))
        name = f"{stem}.{kind}.gif"
        write_gif(folder / name, frames, FRAME_RATE)
        out.append({"kind": kind, "file": name})
    return out


def _outcome(side: Episodes, episode: int) -> str:
    return str(side.length[episode]) if side.success[episode] else "not"
