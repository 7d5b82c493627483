"""Which episodes of a store are demonstrations."""

from __future__ import annotations

from collections.abc import Sequence

from dreamgym.data.store import EpisodeView, Meta
from dreamgym.suites.scripted import ROAMING


def select_demonstrations(
    view: EpisodeView,
    tasks: Sequence[str] | None = None,
    split: str = "train",
    num: int | None = None,
    successful: bool = False,
) -> EpisodeView:
    """Demonstrations of a store: of some tasks or all, of one split.

    Those who roam (`dreamgym.suites.scripted`) come to success by chance: they do not demonstrate. An episode
    that names no split is for training.

    Args:
        view: a store or a part of one.
        tasks: whose; None: of all.
        split: "train", "val" or "test".
        num: how many, the first by their number in the collection; None: all.
        successful: whether only those that their store marks as successes are.

    Raises:
        ValueError: none is asked for; or there is none at all, or none of one of the tasks: the message names the tasks
            that are there.
    """
    if num is not None and num < 1:
        raise ValueError(f"at least 1 demonstration is needed, asked for {num}")

    def wanted(meta: Meta) -> bool:
        known = meta.get("operator") not in ROAMING and meta.get("split", "train") == split
        return known and (not successful or bool(meta.get("success")))

    of_split = view.select(where=wanted)
    chosen = of_split if tasks is None else of_split.select(where=lambda meta: meta.get("task") in tasks)
    missing = sorted(set(tasks or ()) - {str(m.get("task")) for m in chosen.metas})
    if missing or not len(chosen):
        held = sorted({str(m.get("task")) for m in of_split.metas})
        kind = f"{'successful ' if successful else ''}{'training' if split == 'train' else split}"
        raise ValueError(f"{view.path} has no {kind} demonstrations of {missing or 'any task'}; it has tasks {held}")
    if num is None:
        return chosen
    numbers = sorted(m["episode_index"] for m in chosen.metas if "episode_index" in m)[:num]
    if len(numbers) < min(num, len(chosen)):
        return chosen  # a store that was not collected by `collect` has no numbers
    first = set(numbers)
    return chosen.select(where=lambda meta: meta.get("episode_index") in first)
