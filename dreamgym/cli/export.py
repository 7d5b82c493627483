"""`dreamgym export`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from dreamgym.cli.bounds import Bounds


@dataclass(frozen=True)
class ExportOptions:
    """What is written, and how.

    Attributes:
        out: folder to make.
        format: format of the data set: "lerobot", a LeRobotDataset v3.
        split: split of the episodes ("train", "val", "test"); where not given, all, and the data set says which are
            held out.
        task: task of the episodes; all tasks where not given.
        pictures: how pictures are stored: "video", as H.264; or "png", embedded in the tables, without loss.
        crf: constant rate factor of the videos, 0 (best) to 51.
        state: the sensor that policies are to read as observation.state; where not given the one called so, or the
            robot's own.
        sentences: name tasks by sentences, as the suite says them, and not by their names.
    """

    out: Path
    format: Literal["lerobot"] = "lerobot"
    split: Literal["train", "val", "test"] | None = None
    task: str | None = None
    pictures: Literal["video", "png"] = "video"
    crf: Annotated[int, Bounds(0, 51)] = 18
    state: str | None = None
    sentences: bool = False


def export(store: Path, options: ExportOptions) -> None:
    """Writes an episode store as a data set of another library.

    Args:
        store: folder of the episode store: of `collect`, `import`, `play --record` or `evaluate --record`.
    """
    from dreamgym.data import EpisodeStore
    from dreamgym.data.writers import ExportConfig, export_lerobot
    from dreamgym.suites.facts import store_facts

    opened = EpisodeStore.open(store)
    wanted = {"split": options.split, "task": options.task}
    view = opened.select(lambda meta: all(value in (None, meta.get(name)) for name, value in wanted.items()))
    if not len(view):
        asked = {name: value for name, value in wanted.items() if value is not None}
        tasks = sorted({meta["task"] for meta in opened.metas if meta.get("task") is not None})
        raise ValueError(f"{store} has no episode of {asked or 'any kind'}: nothing to export; its tasks are {tasks}")
    facts = store_facts(opened)
    if options.state is not None and options.state not in facts.sensors:
        raise ValueError(f"--state: {store} has no sensor {options.state!r}; it has {list(facts.sensors)}")
    own = None if facts.suite is None or "state" in facts.sensors else facts.suite.proprioception
    config = ExportConfig(
        frame_rate=facts.frame_rate,
        pictures=options.pictures,
        crf=options.crf,
        own=options.state or (own if own in facts.sensors else None),
        sentences={task: facts.sentences(task)[0] for task in facts.tasks} if options.sentences else None,
        axes=() if facts.suite is None or facts.robots else facts.suite.axes,
        robot=facts.robot or (None if facts.suite is None else facts.suite.name),
    )
    made = export_lerobot(view, options.out, config)
    print(f"{made}: {len(view)} episodes, {view.num_steps} rows at {facts.frame_rate:g} Hz")
