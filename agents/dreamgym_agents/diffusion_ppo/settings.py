"""What a run is asked for: kept beside it, for going on otherwise would bend its curve."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any


def keep_settings(file: Path, asked: Mapping[str, Any], free: Collection[str] = ()) -> None:
    """Writes ``asked`` (JSON-ready) into ``file``, or refuses to go on with a run that was begun with something else.

    Args:
        file: in the run's folder.
        asked: what the run is asked for now.
        free: what may change in mid-run.

    Raises:
        ValueError: the run was begun with other settings; the message names each, then and now. What an older version
            did not write down counts as unchanged.
    """
    now = json.loads(json.dumps(asked))
    begun = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    other = {k: (begun[k], v) for k, v in now.items() if k in begun and k not in free and begun[k] != v}
    if other:
        raise ValueError(
            f"{file.parent} was begun with other settings {other} (then, now): use a new run directory, or delete this "
            "one to begin anew"
        )
    file.write_text(json.dumps({**begun, **now}, indent=1), encoding="utf-8")
