"""`dreamgym finish`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dreamgym.evaluation.making.settings import FinishConfig


def finish(
    run: Path,
    stores: tuple[Path, ...],
    out: Path,
    tasks: tuple[str, ...] = (),
    beginnings: tuple[Path, ...] = (),
    quick: bool = False,
    set: tuple[str, ...] = (),
    command: str = "",
) -> None:
    """Turns a training run into a complete checkpoint: probe, rewards, starts, fidelity, twin rollouts and model card.

    What can be refused is refused before work begins; what was made is kept in RUN/finish, and the same command goes on
    from there.

    Args:
        run: folder of a ``dreamgym fit`` run.
        stores: episode stores of one suite or of your own: play, demonstrations (or any episodes with success marks),
            attempts; what an episode is stands in its meta as "kind".
        out: checkpoint folder to write.
        tasks: tasks to judge and to begin; all that the stores have where not given.
        beginnings: further episode stores whose episodes only begin dreams; none where not given.
        quick: spend a minute or two instead of ten: to see that everything works, not to share.
        set: changes of how much is spent, as FIELD=JSON: probe_steps, twin_per_task, weights and seed, and, of the
            parts, rewards.epochs, classifier.embedding, bank.num_train, fidelity.windows and their like.
        command: how the run was trained, in words for the card.
    """
    from dreamgym.evaluation.making.finish import finish_run

    config = finish_config(quick, set)
    notes = {"command": command}
    print(f"wrote {finish_run(run, stores, out, config, tasks=tasks, beginnings=beginnings, notes=notes)}")


def finish_config(quick: bool, words: Sequence[str]) -> FinishConfig:
    """The settings of a finish, with FIELD=JSON and PART.FIELD=JSON changes.

    Raises:
        ValueError: a word of another form, or of no field.
    """
    from dataclasses import replace

    from dreamgym.evaluation.making.settings import SECTIONS, FinishConfig
    from dreamgym.fields import parse_fields

    config = FinishConfig.quick() if quick else FinishConfig()
    plain = [w for w in words if "." not in w.partition("=")[0]]
    config = replace(config, **parse_fields(plain, FinishConfig))
    for word in (w for w in words if w not in plain):
        section, _, rest = word.partition(".")
        if section not in SECTIONS:
            raise ValueError(f"{word!r}: the parts are {sorted(SECTIONS)}, as rewards.epochs=20")
        changes = parse_fields([rest], SECTIONS[section])
        merged: dict[str, Any] = {section: {**getattr(config, section), **changes}}
        config = replace(config, **merged)
    return config
