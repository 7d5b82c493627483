"""What a run was begun with, kept beside it; a run does not go on with other settings."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from dreamgym.training.runs import check_run_folder, read_json, write_json
from dreamgym_agents.common.scale import checksum


def keep_settings(
    file: Path,
    asked: Mapping[str, Any],
    free: Collection[str] = (),
    read: Callable[[dict[str, Any]], Mapping[str, Any]] = dict,
) -> None:
    """Writes ``asked`` into ``file``, or refuses to go on with a run that was begun with something else.

    Nothing is pinned before there is progress to go on from.

    Args:
        file: in the run's folder.
        asked: what the run is asked for now, JSON-ready; nested mappings are compared entry by entry.
        free: entries of the uppermost level that may change in mid-run.
        read: brings what an older version wrote to today's form (a field that came later has its default).

    Raises:
        ValueError: the run was begun with other settings; the message names each, then and now. What an older version
            did not write down counts as unchanged. Or the file is damaged, or no run can live in its folder.
    """
    run_dir = check_run_folder(file.parent)
    under_way = file.exists() and any(run_dir.glob("**/progress/step_*"))
    now = json.loads(json.dumps(asked))
    begun = json.loads(json.dumps(read(read_json(file)))) if under_way else {}
    then, entries = (_flat({k: v for k, v in x.items() if k not in free}) for x in (begun, now))
    changed = [name for name, value in entries.items() if name in then and then[name] != value]
    other = [f"{name} {then[name]!r}, not {entries[name]!r}" for name in changed]
    if other:
        raise ValueError(
            f"{file.parent} was begun with other settings: {'; '.join(other)}. Use a new run directory, or delete this "
            "one to begin anew"
        )
    write_json(file, {**begun, **now})


def weights_id(module: nn.Module) -> str:
    """Tells a module's weights from others: an entry of settings, of what a run reads and does not train."""
    return checksum(*module.state_dict().values())


def _flat(tree: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """A nested dict as one of dotted names, JSON's own kinds of values."""
    out: dict[str, Any] = {}
    for name, value in tree.items():
        out |= _flat(value, f"{above}{name}.") if isinstance(value, Mapping) and value else {f"{above}{name}": value}
    return out
