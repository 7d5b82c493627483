"""`dreamgym join`."""

from __future__ import annotations

from pathlib import Path


def join(stores: tuple[Path, ...], out: Path) -> None:
    """Makes one episode store of several, with the keys that all have; a store named twice counts twice.

    Args:
        stores: episode stores to join.
        out: folder of the new store.
    """
    from dreamgym.data import join as run

    made = run(stores, out)
    print(f"{out}: {len(made)} episodes, {made.num_steps} steps")
