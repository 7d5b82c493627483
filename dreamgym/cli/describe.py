"""All that is known of one dream, twin or suite, for `dreamgym info ID`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dreamgym.cli.show import curve_rows, table

if TYPE_CHECKING:
    from dreamgym.suites import Suite
    from dreamgym.training.checkpoint import Checkpoint

MOST_TASKS = 24
"""Tasks of a suite that are named; of more the first of these."""


def describe(id: str) -> None:
    """Prints what an environment id, a suite or a checkpoint is.

    Raises:
        ValueError: an id without a checkpoint of its own, or nothing of that name.
    """
    import gymnasium

    from dreamgym.suites.registry import suite, suites
    from dreamgym.training.checkpoint.names import built_in_names

    spec = gymnasium.registry.get(id)
    if spec is not None:
        _environment(id, dict(spec.kwargs))
        return
    if not (id in suites() or id in built_in_names() or id.startswith("hf://") or Path(id).exists()):
        raise ValueError(
            f"{id!r} is no environment id, no suite ({', '.join(suites())}), no checkpoint of dreamgym's "
            f"({', '.join(built_in_names())}), no folder and no hf://organisation/name; `dreamgym info` lists them"
        )
    if id in suites():
        _suite(suite(id))
    if id in built_in_names() or id not in suites():  # some checkpoints are called as their suite
        _dream(id)


def _environment(id: str, kwargs: dict[str, Any]) -> None:
    from dreamgym.suites.registry import suite

    if kwargs.get("checkpoint") is not None:
        _dream(kwargs["checkpoint"], id)
    elif kwargs.get("simulator") is not None:
        simulator = kwargs["simulator"]
        print(f"{id}: the real simulator {_called(simulator)}; world_model=NAME gives it a dream's spaces")
        _suite(suite(simulator["id"]))
    else:
        raise ValueError(f"{id} is made of a checkpoint that you name: dreamgym info CHECKPOINT tells all of one")


def _dream(name: str, id: str | None = None) -> None:
    from dreamgym.envs.registration import DREAMS
    from dreamgym.suites.registry import suite, suites
    from dreamgym.training.checkpoint import load

    opened = load(name)
    ids = [id] if id else [i for i, kwargs in DREAMS.items() if kwargs.get("checkpoint") == name]
    parameters = sum(p.numel() for p in opened.model.parameters())
    _line("dream", f"{', '.join(ids) or 'Dream-v0, checkpoint=...'} of {opened.path}")
    _line(
        "model", f"{opened.spec.family}, {parameters:,} parameters, {opened.spec.frame_rate:g} control steps a second"
    )
    _tasks(_tasks_of(opened))
    _line("robots", ", ".join(opened.spec.embodiments) or _robot(opened))
    _spaces(opened)
    _starts(opened)
    simulator = opened.simulator
    if simulator is not None:
        _line("twin", _called(simulator))
    if simulator is not None and simulator["id"] in suites():
        _facts(suite(simulator["id"]))
    _fidelity(opened.metrics.get("fidelity"))


def _suite(found: Suite) -> None:
    _line("suite", f"{found.name}, {found.frame_rate:g} control steps a second")
    _tasks(found.tasks)
    _line("robots", ", ".join(found.robots) or "one, its own")
    _action(found.action)
    sensors = {key: sum(size for _, size in layout) for key, layout in found.layouts.items()}
    if sensors:
        _line("state", ", ".join(f"{key} [{size}]" for key, size in sensors.items()))
    if found.measures:
        _line("measures", ", ".join(f"{measure.name} ({measure.unit})" for measure in found.measures))
    if found.collectors:
        _line("collects", ", ".join(found.collectors))
    _facts(found)


def _facts(found: Suite) -> None:
    """What a suite says of use: horizon, licence, what must be installed."""
    _line("horizon", f"{found.horizon} control steps")
    _line("licence", found.licence or "not stated")
    extra = [] if found.extra is None else [f'pip install "dreamgym[{found.extra}]" ({_installed(found)})']
    _line("needs", "; ".join([*extra, *([found.needs] if found.needs else [])]) or "nothing")


def _installed(found: Suite) -> str:
    return "installed" if found.module is None or find_spec(found.module) is not None else "missing"


def _spaces(opened: Checkpoint) -> None:
    """Action and observation spaces of one environment, by mode of observation."""
    from dreamgym.envs.core.observation import OBS_MODES
    from dreamgym.envs.make import make_core

    _action(opened.spec.action)
    for mode in OBS_MODES:
        try:
            space = make_core(opened, obs=mode).observation_space
        except ValueError:  # what the model does not decode, no environment shows
            continue
        _line(f"obs={mode!r}", _space(space))


def _action(spec: Any) -> None:
    from dreamgym.envs.core.actions import action_space

    _line("action", _space(action_space(spec)))


def _space(space: Any) -> str:
    """A space in one line: bounds only where they are alike for all entries."""
    from gymnasium import spaces

    if isinstance(space, spaces.Dict):
        return "Dict " + ", ".join(f"{key}: {_space(part)}" for key, part in space.items())
    if not isinstance(space, spaces.Box):
        return str(space)
    low, high = {float(v) for v in space.low.flat}, {float(v) for v in space.high.flat}
    bounds = f", {low.pop():g} to {high.pop():g}" if len(low) == len(high) == 1 else ""
    return f"Box {list(space.shape)} {space.dtype}{bounds}"


def _starts(opened: Checkpoint) -> None:
    if opened.starts is None:
        return
    from dreamgym.types import SPLITS

    counts = Counter(opened.starts["split"].tolist())
    told = ", ".join(f"{counts[i]:,} {split}" for i, split in enumerate(SPLITS) if counts[i])
    _line("starts", told + (", each with a simulator's snapshot" if "snapshot" in opened.starts else ""))


def _fidelity(measured: dict[str, Any] | None) -> None:
    from dreamgym.evaluation.making.card import STEPS

    if not measured:
        _line("fidelity", "not measured: dreamgym fidelity --checkpoint C --store S --write")
        return
    heads, rows = curve_rows(measured["curves"], STEPS, ("model", "repeat"))
    table(f"open-loop fidelity, {measured['windows']} held-out windows", heads, rows)


def _tasks_of(opened: Checkpoint) -> tuple[str, ...]:
    judged = next((reward.tasks for reward in opened.rewards.values()), ())
    return tuple(judged or opened.starts_meta.get("tasks", ()))


def _tasks(names: Sequence[str]) -> None:
    more = f", and {len(names) - MOST_TASKS} more" if len(names) > MOST_TASKS else ""
    _line(f"{len(names)} task{'' if len(names) == 1 else 's'}", ", ".join(names[:MOST_TASKS]) + more)


def _robot(opened: Checkpoint) -> str:
    named = (opened.simulator or {}).get("kwargs", {}).get("robot")
    return str(named) if named else "one, its own"


def _called(simulator: dict[str, Any]) -> str:
    options = ", ".join(f"{k}={v!r}" for k, v in simulator.get("kwargs", {}).items())
    return f"{simulator['id']} ({options})" if options else str(simulator["id"])


def _line(head: str, words: str) -> None:
    print(f"{head:<15} {words}")
