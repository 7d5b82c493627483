"""`dreamgym demo`."""

from __future__ import annotations

from pathlib import Path

from dreamgym.cli.bounds import Count, Seed, Threads
from dreamgym.cli.checks import check_folder
from dreamgym.cli.show import table


def demo(
    out: Path = Path("demo"),
    dream: str | None = None,
    real: str | None = None,
    checkpoint: str | None = None,
    sequences: Count = 8,
    tune: bool = True,
    threads: Threads = 1,
    seed: Seed = 0,
) -> None:
    """Carries out held-out actions in a dream and in its simulator twin: a table, a clip, a drift plot and a page.

    For a dream that a shipped policy was cloned on, it then fine-tunes that policy in the dream and scores it in both
    worlds, before and after, on the same page; some minutes more.

    Args:
        out: folder to write.
        dream: id of the dream; where not given Dream-PlayTable-v0, or that of the checkpoint.
        real: id of its twin; where not given that of the simulator that the checkpoint was learned from.
        checkpoint: another checkpoint for both; the ids' own where not given.
        sequences: action sequences that are carried out, spread over the tasks.
        tune: go on with the parts that take minutes.
        threads: threads of torch. A dream's step is small: on a busy machine, waiting for a second thread can cost a
            hundred times what it saves.
        seed: seed of the dream's draws.
    """
    import torch

    from dreamgym.evaluation.pages.both_worlds import MANY
    from dreamgym.evaluation.pages.demo import demo_rows, run_demo
    from dreamgym.evaluation.pages.parts import add_parts

    check_folder("--out", out)
    torch.set_num_threads(threads)
    done = run_demo(out, dream, real, checkpoint, sequences, seed)
    heads, rows = demo_rows(done)
    measures = [
        list(line) for line in zip(*rows, strict=True)
    ]  # a measure a line: there are more of them than of steps
    lines = [[name, *line] for name, line in zip(heads[1:], measures[1:], strict=True)]
    table(
        f"{done.facts['dream_id']} against {done.facts['real_id']}; in brackets: repeating the start",
        ["after steps", *measures[0]],
        lines,
    )
    print(
        "steps/s: {dream_1:,.0f} in one dream, {dream_many:,.0f} in {many}, {real:,.0f} real".format(
            **done.speed, many=MANY
        )
    )
    page = done.folder / "index.html"
    print(f"open {page}")
    for section in add_parts(done) if tune else ():
        if section.rows:
            table(section.title, section.heads, section.rows)
        print("\n".join(section.words))
        print(f"open {page}")
