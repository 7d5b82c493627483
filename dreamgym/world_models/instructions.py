"""What a model is told of an episode, in words: found in one way for dreams, twins and recorded data.

Two kinds of model are told something. One that is driven by actions may be told at ``start`` what the robot is to do
(``spec.instructions``). To one that is driven by instructions, the sentence is the action (``spec.action.sentences``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from dreamgym.data.store import EpisodeView, Meta
from dreamgym.suites.facts import store_instructions
from dreamgym.types import InstructionSpec, WorldModelSpec


def known_sentences(spec: WorldModelSpec) -> tuple[str, ...]:
    """The sentences that the model understands, of either kind; () where it is told nothing."""
    return spec.action.sentences if isinstance(spec.action, InstructionSpec) else spec.instructions


def sentence(spec: WorldModelSpec, meta: Meta, sentences: Mapping[str, str]) -> str | None:
    """The sentence of the model's that says what an episode is to do; None where it knows none.

    Args:
        spec: of the model.
        meta: of the episode: its "instruction" counts first, then its "task": by name, by the suite's sentence, and by
            name with blanks.
        sentences: the suite's, by task.
    """
    task = str(meta["task"]) if meta.get("task") is not None else None
    said = [meta.get("instruction")]
    said += [] if task is None else [task, sentences.get(task), task.replace("_", " ")]
    known = known_sentences(spec)
    return next((s for s in said if s in known), None)


def told(spec: WorldModelSpec, metas: Sequence[Meta], sentences: Mapping[str, str]) -> list[str] | None:
    """What the model is told of each of B episodes; None where it is told nothing.

    Args:
        spec: of the model.
        metas: of the episodes: "instruction", "task"; see `sentence`.
        sentences: the suite's, by task.

    Raises:
        ValueError: an episode of which the model knows no sentence.
    """
    if not known_sentences(spec):
        return None
    found = [sentence(spec, meta, sentences) for meta in metas]
    if unknown := [meta for meta, one in zip(metas, found, strict=True) if one is None]:
        names = sorted({str(m.get("instruction") or m.get("task") or "an episode without a task") for m in unknown})
        raise ValueError(
            f"the model knows no instruction for {names}; it knows {list(known_sentences(spec))}. Name one of them in "
            "the episode's meta as 'instruction'"
        )
    return [s for s in found if s is not None]


def told_of(spec: WorldModelSpec, view: EpisodeView, episodes: Iterable[int]) -> list[str] | None:
    """`told` of episodes of a store, by their indices in ``view``."""
    if not known_sentences(spec):
        return None
    metas = view.metas
    return told(spec, [metas[int(i)] for i in episodes], store_instructions(view))


def following(spec: WorldModelSpec, view: EpisodeView) -> EpisodeView:
    """The episodes of ``view`` of which the model knows a sentence; all of them where it is told nothing."""
    if not known_sentences(spec):
        return view
    sentences = store_instructions(view)
    return view.select(lambda meta: sentence(spec, meta, sentences) is not None)


def as_action(spec: WorldModelSpec, told: Sequence[str] | None, device: torch.device | str) -> Tensor | None:
    """The instructions as actions, int64 [B]; None for a model that is driven by control actions.

    Args:
        spec: of the model.
        told: B sentences.
        device: of the result.

    Raises:
        ValueError: a model that is driven by instructions, and none were given.
    """
    if not isinstance(spec.action, InstructionSpec):
        return None
    if told is None:
        raise ValueError(
            "this model is driven by instructions, and recorded control actions are none: say what each episode is "
            f"told (told=..., one of {list(spec.action.sentences)} each)"
        )
    return torch.tensor([spec.action.sentences.index(s) for s in told], dtype=torch.int64, device=device)
