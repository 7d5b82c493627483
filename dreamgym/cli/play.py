"""`dreamgym play`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from dreamgym.cli.bounds import Bounds, Count, Seed


@dataclass(frozen=True)
class PlayOptions:
    """What is played, and with whom.

    Attributes:
        task: task of the first episode; the world's first where not given. The page lets you choose.
        checkpoint: another world model than the id's.
        twin: show the real simulator too, from the same start, where it is installed.
        record: episode store into which the page can keep episodes: the twin's, or the dream's where there is none.
            None where not given.
        port: port of http://127.0.0.1; 0 takes a free one.
        players: how many may play at once, each in a dream of his own; 1 where episodes are recorded.
        seed: seed of the first episode; the next one takes the next.
        horizon: control steps of an episode; where not given ten times the suite's, for people are slower than scripts.
    """

    task: str | None = None
    checkpoint: Path | None = None
    twin: bool = True
    record: Path | None = None
    port: Annotated[int, Bounds(0, 65535)] = 8000
    players: Count = 2
    seed: Seed = 0
    horizon: Count | None = None


def play(id: str, options: PlayOptions) -> None:
    """Opens a page on this machine on which you drive a dream, and its twin beside it, by keyboard, mouse or gamepad.

    Args:
        id: id of the dream, such as Dream-PlayTable-v0, or Dream-v0 with a checkpoint of your own.
        options: see `PlayOptions`.
    """
    from dreamgym.play.open import opener
    from dreamgym.play.server import make_app, serve

    record = options.record
    players = 1 if record is not None else options.players
    make_session, about = opener(id, options.task, options.checkpoint, options.twin, record, options.horizon)
    app = make_app(make_session, title=about, players=players, seed=options.seed)
    serve(app, options.port, lambda at: print(f"{about}: http://127.0.0.1:{at} (Ctrl-C stops)", flush=True))
