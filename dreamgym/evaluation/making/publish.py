"""Checkpoints on the Hugging Face Hub: `push` with a card that the Hub can read, and `pull`."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dreamgym.training.checkpoint import CheckpointError, check_target, hub, load, read_config, replace_folder, resolve
from dreamgym.training.checkpoint.names import DOWNLOADED

STEPS = (1, 10, 25, 50)
"""Imagined steps at which a card's metadata state the fidelity, as far as it was measured there."""

TAGS = ("dreamgym", "world-model", "robotics", "reinforcement-learning")
UNITS = {"share right": "share", "dB": "psnr"}
"""Unit of a curve -> what the type of its metric is called; others are errors, named after their unit."""


def push(checkpoint: str | os.PathLike[str], address: str, *, private: bool = False, licence: str | None = None) -> str:
    """Puts a checkpoint on the Hub, with what was measured of it as the card's ``model-index``.

    It is opened first: what does not open here is not uploaded.

    Args:
        checkpoint: a shipped name or a folder.
        address: "hf://organisation/name", with "@branch" if need be.
        private: make a new repository a private one.
        licence: the identifier of its licence, as the Hub writes them ("mit"); None: what the card says, if anything.

    Returns:
        The commit's address.

    Raises:
        CheckpointError: it does not open.
        ImportError: huggingface_hub is not installed.
        ValueError: see `hub.upload`.
    """
    repository, _ = hub.parse(address)
    hub.check_installed()
    opened = load(checkpoint)
    config = read_config(opened.path)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        names = ["config.json", *sorted(file.name for file in opened.path.glob("*.safetensors"))]
        for name in names:
            os.symlink(opened.path.resolve() / name, folder / name)
        (folder / "README.md").write_text(hub_card(opened.path, config, repository, licence), encoding="utf-8")
        message = f"dreamgym checkpoint {opened.path.name} ({config['digest'][:12]})"
        return hub.upload(folder, address, private=private, message=message, files=[*names, "README.md"])


def pull(address: str, out: str | os.PathLike[str]) -> Path:
    """Copies a checkpoint of the Hub into a folder, as far as it is one.

    Without a network what was downloaded before is taken.

    Args:
        address: "hf://organisation/name", with "@revision" if need be.
        out: the folder to make; a checkpoint that is there is replaced.

    Raises:
        CheckpointError: no such repository, or what it holds does not open.
        ValueError: ``out`` is something else than a checkpoint.
    """
    target = check_target(out)
    hub.parse(address)
    if not address.startswith(hub.PREFIX) and Path(address).is_dir():
        raise ValueError(f"{address} is a folder of this machine: pull copies from the Hub, as {hub.PREFIX}{address}")
    found = resolve(address if address.startswith(hub.PREFIX) else hub.PREFIX + address)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".new-{target.name}-{os.getpid()}")
    try:
        temporary.mkdir()
        for pattern in DOWNLOADED:
            for file in found.glob(pattern):
                shutil.copyfile(file, temporary / file.name)  # of links into the cache, what they lead to
        load(temporary)
        replace_folder(temporary, target)
    except CheckpointError as error:
        raise CheckpointError(f"{address}: {str(error).replace(str(temporary), 'its folder')}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target


def hub_card(path: Path, config: Mapping[str, Any], repository: str, licence: str | None = None) -> str:
    """The checkpoint's card with the Hub's metadata on top, and the repository's address in its example.

    What the card's own metadata say, where it has some, is kept.
    """
    from huggingface_hub import ModelCard, ModelCardData

    file = path / "README.md"
    text = file.read_text(encoding="utf-8") if file.is_file() else f"# {path.name}\n"
    text = text.replace(f'checkpoint="{path.name}"', f'checkpoint="hf://{repository}"')
    card = ModelCard(text, ignore_metadata_errors=True)
    metrics = config.get("metrics") or {}
    suites = sorted({entry["suite"] for entry in (metrics.get("data") or {}).values() if entry.get("suite")})
    tags = [*TAGS, config["family"], *suites]
    results = list(_results(metrics, "-".join(suites) or "own-data"))
    ours = {
        "library_name": "dreamgym", "pipeline_tag": "robotics", "tags": tags, "license": licence,
        "model_name": repository.partition("/")[2] if results else None, "eval_results": results or None,
    }  # fmt: skip
    theirs = {k: v for k, v in card.data.to_dict().items() if k not in ("model-index", "eval_results")}
    if licence is not None:
        theirs.pop("license", None)
    card.data = ModelCardData(**{**ours, **theirs})
    return str(card)


def _results(metrics: Mapping[str, Any], data: str) -> Iterator[Any]:
    """What was measured, as the Hub's ``EvalResult``s."""
    from huggingface_hub import EvalResult

    def result(task: str, split: str, kind: str, name: str, value: float) -> Any:
        return EvalResult(
            task_type="robotics", task_name=task, dataset_type=data, dataset_name=data, dataset_split=split,
            metric_type=kind, metric_name=name, metric_value=value,
        )  # fmt: skip

    for name, curve in ((metrics.get("fidelity") or {}).get("curves") or {}).items():
        at = dict(zip(curve["steps"], curve["model"], strict=True))
        label, unit = curve.get("label") or name, curve["unit"]
        for step in STEPS:
            if at.get(step) is not None:
                kind = UNITS.get(unit, "mean-absolute-error")
                yield result("open-loop prediction", "val", kind, f"{label}, {step} steps ahead ({unit})", at[step])
    rewards = metrics.get("rewards") or {}
    for key, words in (("mean_f1", "frames"), ("mean_episode_f1", "episodes")):
        if rewards.get(key) is not None:
            yield result("success classifier", "val", "f1", f"F1 of {words}, mean over tasks", rewards[key])
    twin = metrics.get("twin") or {}
    scores = [task["f1_real"] for task in (twin.get("tasks") or {}).values() if "f1_real" in task]
    if scores:
        split, mean = str(twin.get("split", "val")), sum(scores) / len(scores)
        yield result("success classifier", split, "f1", "F1 in the simulator, mean over tasks", mean)
