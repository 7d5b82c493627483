"""From an env id to sessions of players."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dreamgym.envs import twin as twins
from dreamgym.envs.make import make_core, open_checkpoint, usual_horizon
from dreamgym.envs.registration import DREAMS
from dreamgym.envs.simulators import suite_of
from dreamgym.play.recorder import Recorder
from dreamgym.play.session import Session

SLOWER = 10
"""How much longer than a script a person may take."""

_log = logging.getLogger(__name__)


def opener(
    id: str,
    task: str | None = None,
    checkpoint: Path | None = None,
    twin: bool = True,
    record: Path | None = None,
    horizon: int | None = None,
) -> tuple[Callable[[], Session], str]:
    """What makes a player's session, and what to call it. The arguments are those of ``dreamgym play``.

    Raises:
        ValueError: not a dream's id, an unknown task, a dream that cannot be shown, or nothing that can be recorded.
        FileNotFoundError: there is no such checkpoint.
    """
    if id not in DREAMS:
        raise ValueError(f"{id!r} is not the id of a dream; those are {list(DREAMS)}")
    opened = open_checkpoint(DREAMS[id].get("checkpoint") if checkpoint is None else str(checkpoint))
    suite = suite_of(opened.simulator)
    options: dict[str, Any] = {
        "autoreset_mode": "disabled",
        "horizon": SLOWER * usual_horizon(opened) if horizon is None else horizon,
        "uncertainty": True,
        "split": None,
    }
    has_twin = twin and opened.simulator is not None and suite is not None and _installed(suite)

    def make_session() -> Session:
        dream = make_core(opened, **options)
        real = twins.make_core(opened, **options) if has_twin else None
        recorder = None
        if record is not None:
            spec = dream.spec
            source = "twin" if has_twin else "dream"
            name = None if suite is None else suite.name
            recorder = Recorder(
                record, source, spec.control, spec.frame_rate / spec.actions_per_frame, name, dream.tasks
            )
        axes, pointer = ((), None) if suite is None else (suite.axes, suite.pointer)
        return Session(dream, real, recorder, first_task=task, axes=axes, pointer=pointer)

    make_session().close()  # what is wrong is told before a browser asks
    return make_session, f"{id} ({opened.path.name})"


def _installed(suite: Any) -> bool:
    try:
        suite.check_installed()
    except ImportError as missing:
        _log.warning("the dream alone: %s", missing)
        return False
    return True
