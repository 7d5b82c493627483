"""`dreamgym clips`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dreamgym.cli.bounds import Count


@dataclass(frozen=True)
class ClipOptions:
    """Which clips to cut.

    Attributes:
        store: episode store of demonstrations of single tasks, or of anything with --windows.
        out: folder of the clip store; an unfinished one is continued.
        rows: control steps of a clip, its first row included (17 frames at every fourth step: 65).
        keys: what to keep of each row beside the action; all keys where not given.
        windows: cut every episode into as many clips as fit, whatever they show: for models that actions drive.
    """

    store: Path
    out: Path
    rows: Count = 65
    keys: tuple[str, ...] | None = None
    windows: bool = False


def clips(options: ClipOptions) -> None:
    """Cuts the successful episodes of a store into clips of whole tasks, one of a fixed length each; resumable.

    World models that predict clips learn from such a store.
    """
    from dreamgym.data import EpisodeStore
    from dreamgym.data.clips import cut_clips

    source = EpisodeStore.open(options.store)
    made = cut_clips(source, options.out, options.rows, options.keys, windows=options.windows)
    told = "" if options.windows else f", tasks {made.info['tasks']}"
    print(f"{options.out}: {len(made)} clips of {options.rows} rows{told}")
