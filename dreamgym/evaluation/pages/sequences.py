"""Held-out action sequences that a demo shows: those that a checkpoint ships, or fresh ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safetensors import SafetensorError
from safetensors.torch import load_file

from dreamgym.envs.core.starts import StartBank
from dreamgym.envs.simulators import check_trusted
from dreamgym.evaluation.making.rollouts import choose_sequences, demo_rollouts
from dreamgym.evaluation.statistics.comparison import Sequences
from dreamgym.suites import suite, suites
from dreamgym.suites.trials import open_trials

if TYPE_CHECKING:
    from dreamgym.training.checkpoint import Checkpoint

SEQUENCES_FILE = "demo.safetensors"


def load_sequences(checkpoint: Checkpoint, count: int) -> Sequences:
    """Held-out sequences of a checkpoint: those that it ships, else fresh ones by its suite's scripted operators.

    Args:
        checkpoint: with a start bank that has snapshots.
        count: how many.

    Raises:
        ValueError: no snapshots, damaged sequences, or none and nobody who acts by a script.
    """
    tasks = tuple(checkpoint.starts_meta.get("tasks", ()))
    if checkpoint.starts is None or "snapshot" not in checkpoint.starts:
        raise ValueError(
            f"{checkpoint.path} has no start bank with simulator snapshots, which its twin would begin from"
        )
    file = checkpoint.path / SEQUENCES_FILE
    if file.is_file():
        try:
            tensors = {k: v.numpy() for k, v in load_file(file).items()}
            found = Sequences(tasks, tensors["row"], tensors["task"], tensors["length"], tensors["action"])
        except (SafetensorError, KeyError, OSError) as error:
            raise ValueError(f"{file} is damaged ({error}): delete it, and the demo makes fresh sequences") from error
    else:
        found = _fresh_sequences(checkpoint, tasks, count)
    return Sequences(tasks, found.row[:count], found.task[:count], found.length[:count], found.action[:count])


def _fresh_sequences(checkpoint: Checkpoint, tasks: tuple[str, ...], count: int) -> Sequences:
    simulator = checkpoint.simulator or {"id": None, "kwargs": {}}
    known = simulator["id"] in suites()
    if not known or not suite(simulator["id"]).has_trials:
        raise ValueError(
            f"{checkpoint.path} ships no action sequences ({SEQUENCES_FILE}), and nobody acts by a script in its "
            f"simulator {simulator['id']!r}: score policies in both worlds with 'dreamgym evaluate'"
        )
    bank = StartBank.from_tensors(checkpoint.starts or {}, tasks)
    check_trusted(simulator, checkpoint.path / "config.json")
    trials = open_trials(suite(simulator["id"]), **simulator["kwargs"])
    try:
        return choose_sequences(demo_rollouts(bank, tasks, trials, -(-count // len(tasks))), count)
    finally:
        trials.close()
