"""Snapshots of a core: taken and gone back to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dreamgym.envs.core.judge import Verdict
from dreamgym.envs.core.rows import copy_to
from dreamgym.envs.core.steps import Snapshot
from dreamgym.world_models.base import clone

if TYPE_CHECKING:
    from dreamgym.envs.core.core import DreamCore


def snapshot(core: DreamCore, last: Verdict | None) -> Snapshot:
    """A copy of everything that decides how the core goes on; ``last``: the verdict that envs which wait repeat."""
    counters = clone({**core.counters, "episode": core.episode, "begun": core.counters["begun"] - core.clock})
    held = None if last is None else last.copy().tensors()
    noise, sims = core.generator.get_state(), core.world.snapshot(core)
    return Snapshot(clone(core.state), clone(core.memory), counters, held, core.seed, noise, sims)


def restore(core: DreamCore, snapshot: Snapshot) -> Verdict | None:
    """Puts a snapshot into the core; returns the verdict that envs which wait repeat.

    Raises:
        ValueError: a snapshot of another number of envs, or in a twin one that was taken of a dream.
    """
    size = len(snapshot.counters["task"])
    if size != core.num_envs:
        raise ValueError(f"the snapshot holds {size} envs, this dream {core.num_envs}; use snapshot.select(index)")
    core.world.restore(core, snapshot.simulators, snapshot.counters["task"].tolist())
    parts = (snapshot.state, snapshot.memory, snapshot.counters)
    core.state, core.memory, core.counters = (copy_to(part, core.device) for part in parts)
    core.episode, core.seed = core.counters.pop("episode"), snapshot.seed
    core.counters["begun"] += core.clock
    core.generator.set_state(snapshot.noise)
    return None if snapshot.last is None else Verdict.from_tensors(copy_to(snapshot.last, core.device))
