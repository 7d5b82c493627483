"""Evaluating several policies, each kept in a file of its own; an evaluation that is there is not made again."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from dreamgym.evaluation.policies.config import EvaluationConfig
from dreamgym.evaluation.policies.evaluate import evaluate
from dreamgym.evaluation.policies.fingerprint import CONFIG, fingerprint, normalizer_hash
from dreamgym.evaluation.policies.libraries.settings import check_heeded, heeded
from dreamgym.evaluation.policies.load import policy_name, read_config
from dreamgym.evaluation.policies.result import Evaluation, evaluation_file
from dreamgym.evaluation.policies.setup import Setup, checkpoint_hashes, open_world
from dreamgym.training.checkpoint import Checkpoint

_log = logging.getLogger(__name__)


def expand(sources: Sequence[str]) -> list[str]:
    """Policies by name, with the folder of a run replaced by those saved in its policies/, in order.

    Raises:
        ValueError: a folder that is neither a policy nor a run with policies.
    """
    out: list[str] = []
    for source in sources:
        folder = Path(source)
        if not folder.is_dir() or (folder / CONFIG).is_file():
            out.append(source)
            continue
        saved = [
            str(p.parent) for p in sorted(folder.glob(f"policies/*/{CONFIG}")) if not p.parent.name.startswith(".")
        ]
        if not saved:
            raise ValueError(
                f"{folder} is neither the folder of a policy (no {CONFIG}) nor that of a run with policies/ in it"
            )
        out += saved
    return out


def run_folder(sources: Sequence[str]) -> Path | None:
    """The run whose policies these are, if they are those of one run given by its folder; else None."""
    only = Path(sources[0]) if len(sources) == 1 else None
    return only if only is not None and only.is_dir() and not (only / CONFIG).is_file() else None


def made_for(source: str, key: str) -> str | None:
    """What the folder of a saved policy says it was made for ("task", "world_model"); None if it says nothing."""
    told = read_config(Path(source)).get(key) if Path(source).is_dir() else None
    return told if isinstance(told, str) else None


def evaluate_all(
    sources: Sequence[str],
    world_model: str | None = None,
    task: str | Sequence[str] | None = None,
    config: EvaluationConfig | None = None,
    *,
    out: str | os.PathLike[str] | None = None,
    device: torch.device | str | None = None,
    progress: bool = False,
) -> Iterator[Evaluation]:
    """Evaluates policies, and yields each as soon as it is done.

    Args:
        sources: names of policies, or folders of runs (see `expand`).
        world_model, task: see `evaluate`; None: what the policy's folder says it was made for.
        config: see `EvaluationConfig`.
        out: folder for one JSON file a policy (and its clips); a file that is there already is taken as it is if the
            policy (see `fingerprint`), the settings and the hashes of world model, reward and start bank are the same.
            What has no hash is evaluated again.
        device: where to dream and act.
        progress: whether to show bars.

    Raises:
        ValueError: nothing says in which world model one is to be evaluated, two have one name, or what a policy did
            (its name stands in front).
    """
    config = config or EvaluationConfig()
    opened: dict[str, Checkpoint] = {}
    sources = expand(sources)
    check_heeded(sources, config)
    if out is not None:
        _check_names(sources)
    for source in sources:
        world, what = world_model or made_for(source, "world_model"), task or made_for(source, "task") or "all"
        if world is None:
            raise ValueError(f"{source} does not say which world model it acts in: name one (--checkpoint playtable)")
        if world not in opened:
            opened[world] = open_world(world)
        name, asked = policy_name(source), heeded(source, config)
        file = None if out is None else evaluation_file(out, name, what if isinstance(what, str) else "+".join(what))
        if file is not None and (old := _kept(file, source, Setup.of(opened[world], what, asked))) is not None:
            yield old
            continue
        clips = None if file is None else file.parent
        try:
            done = evaluate(source, opened[world], what, asked, device=device, clips_to=clips, progress=progress)
        except ValueError as error:
            if name in str(error):
                raise
            raise ValueError(f"{name}: {error}") from error
        if file is not None:
            done.save(file)
        yield done


def _check_names(sources: Sequence[str]) -> None:
    """ValueError where two policies would write the same file."""
    named: dict[str, str] = {}
    for source in sources:
        other = named.setdefault(policy_name(source), source)
        if other != source:
            raise ValueError(
                f"{other} and {source} are both called {policy_name(source)!r}, and the figures of one would replace "
                "the other's: rename one, or evaluate each with an --out of its own"
            )


def _kept(file: Path, source: str, setup: Setup) -> Evaluation | None:
    """The evaluation in ``file``, if it is what would be measured again; None where there is none, or another."""
    if not file.is_file():
        return None
    try:
        old = Evaluation.load(file)
    except ValueError as error:
        _log.warning("%s: evaluated again", error)
        return None
    executor = setup.config.executor
    now = {"policy": fingerprint(source), **checkpoint_hashes(setup.opened)}
    then = {"policy": old.training.get("fingerprint"), **old.hashes}
    if executor is not None:
        now["executor"], then["executor"] = fingerprint(executor), old.training.get("executor")
    now |= normalizer_hash(setup.config)
    then |= {k: v for k, v in old.training.items() if k == "vecnormalize"}
    told = None not in now.values() and len(now) > 1  # what has no hash may be another thing by now
    return old if told and now == then and setup.config.asks_no_more_than(old.config) else None
