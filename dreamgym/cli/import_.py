"""`dreamgym import`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from dreamgym.cli.bounds import Pixels, Positive, Share
from dreamgym.places import check_place

if TYPE_CHECKING:
    from dreamgym.data import EpisodeStore
    from dreamgym.data.readers import ImportConfig, Source


@dataclass(frozen=True)
class ImportOptions:
    """What becomes of the data set.

    Attributes:
        store: folder of the episode store; an import that was interrupted goes on.
        map: what a world model is to read, SENSOR=KEY, as rgb_static=observation.images.top; where not given, every
            observation of the data set under a short name.
        action: key of the action; where not given "action", of CALVIN "rel_actions".
        outcome: keep the rewards and ends that were recorded, as `reward`, `done`, `terminated` and `truncated`.
        success: what marks success: a key, as next.success; a threshold on one, as "reward>=0.9"; last:5, the last rows
            of each episode; or module:function, which takes an episode as it is stored and returns bool [T]. Nothing is
            marked where not given.
        task: name of the task of episodes that name none.
        tasks_from: what names the tasks where a data set has several names for them: "task", or "language_instruction"
            of CALVIN, or a feature of text of LeRobot; "task" where not given.
        val_share: share of each task's episodes that is held out for choices ("val").
        test_share: share of each task's episodes that is held out for reported figures ("test").
        suite: the suite that the data were recorded in, one of {suites}, whose measures and simulators then apply;
            where not given what the data set says.
        frame_rate: rows a second, Hz, where the data set does not say.
        image_size: side of the images in the store, pixels.
    """

    store: Path
    map: tuple[str, ...] = ()
    action: str | None = None
    outcome: bool = True
    success: str | None = None
    task: str | None = None
    tasks_from: str | None = None
    val_share: Share = 0.1
    test_share: Share = 0.1
    suite: str | None = None
    frame_rate: Positive | None = None
    image_size: Pixels = 64


def import_(source: str, options: ImportOptions) -> None:
    """Makes an episode store of a foreign data set; called again, it goes on, or adds what is new.

    Of each task's episodes some are held out: "val" for what is chosen, "test" for what is reported. What the data set
    holds out itself stays held out.

    Args:
        source: the data set: lerobot:FOLDER, calvin:FOLDER, libero:FOLDER (LIBERO's HDF5 files), robomimic:FILE.hdf5,
            minari:FOLDER, or minari:ID of a local Minari data set.
    """
    from dreamgym.data.readers import CALVIN_KEYS, ImportConfig, import_dataset, read, success_rule
    from dreamgym.suites.registry import suite as suite_by_name

    check_place(options.store, replaced=False)
    suite, tasks_from, frame_rate = options.suite, options.tasks_from, options.frame_rate
    known = None if suite is None else suite_by_name(suite)  # an unknown name is refused before anything is read
    action = options.action or (CALVIN_KEYS["action"] if source.startswith("calvin:") else "action")
    found = read(source, tasks_from=tasks_from)
    sensors, outcome = _mapped(options.map) or dict(found.suggested), found.outcome if options.outcome else {}
    rule = None if options.success is None else success_rule(options.success)
    judged = [] if rule is None or rule.key is None else [rule.key]
    keys = {**sensors, **outcome, "action": action}
    shares = options.val_share, options.test_share
    config = ImportConfig(keys, options.image_size, rule, options.task, *shares, suite, frame_rate)
    opened = read(source, list(dict.fromkeys([*config.keys.values(), *judged])), tasks_from)
    if known is not None and opened.action is None and (dim := prod(opened.keys[action])) != known.action.dim:
        raise ValueError(
            f"{source} has actions of {dim} entries, and the suite {suite!r} takes {known.action.dim}: leave --suite "
            "out, or name the one that the data were recorded in"
        )
    if frame_rate is None and opened.frame_rate is None:
        raise ValueError(f"{source} does not say how many rows it has a second: add --frame-rate HZ")
    print(", ".join(f"{name}={key}" for name, key in config.keys.items()))
    _tell(import_dataset(opened, options.store, config), config, opened)


def _mapped(words: Sequence[str]) -> dict[str, str]:
    """SENSOR=KEY as a dict.

    Raises:
        ValueError: a word of another form, a sensor named twice, or one that is named as something else is.
    """
    from dreamgym.suites.facts import NOT_SENSORS

    out: dict[str, str] = {}
    for word in words:
        name, sign, key = word.partition("=")
        if not (name and sign and key):
            raise ValueError(f"--map takes SENSOR=KEY, as rgb_static=observation.images.top, got {word!r}")
        if name in NOT_SENSORS:
            raise ValueError(f"--map {word}: {name!r} is no sensor; the action has --action, success has --success")
        if name in out:
            raise ValueError(f"--map names {name!r} twice")
        out[name] = key
    return out


def _tell(store: EpisodeStore, config: ImportConfig, source: Source) -> None:
    """Prints what is in the store, and what it does not allow for."""
    from dreamgym.suites.facts import store_facts

    facts = store_facts(store)
    splits = Counter(meta["split"] for meta in store.metas)
    held = ", ".join(f"{splits[name]} {name}" for name in ("train", "val", "test"))
    print(f"{store.path}: {len(store)} episodes ({held}), {store.num_steps} rows at {facts.frame_rate:g} Hz")
    print("sensors: " + ", ".join(f"{name} {list(spec.shape)}" for name, spec in facts.sensors.items()))
    bounds = zip(facts.action.low, facts.action.high, strict=True)
    told = "as the data set says" if source.action is not None else "read off the rows"
    told = f"of the suite {facts.suite.name!r}" if facts.suite is not None and source.action is None else told
    print("action: " + ", ".join(f"[{low:.3g}, {high:.3g}]" for low, high in bounds) + f", {told}")
    marked = Counter(meta.get("task") for meta in store.metas if meta.get("success"))
    counts = Counter(meta.get("task") for meta in store.metas if "skills" not in meta)
    for name in facts.tasks:
        print(f"task {name!r}: {counts[name]} episodes, {marked[name]} with success")
    if config.task is not None and not counts[config.task]:
        print(f"--task {config.task}: no effect, since the data set says itself what each of its episodes does")
    if not facts.tasks:
        print("no tasks: name one with --task NAME, or make dreams of it with reward=None or a function")
    elif config.success is None and counts[None] + sum(counts.values()):
        print("no success marks: `dreamgym rewards` needs them (--success)")
    if not splits["val"]:
        print("no episode is held out: fidelity, rewards and thresholds need some (--val-share, or more episodes)")
