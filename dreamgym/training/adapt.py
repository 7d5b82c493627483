"""Adapts a trained model to a robot that it has not seen, from a store of that robot's episodes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dreamgym.data import EpisodeStore
from dreamgym.suites.facts import store_facts
from dreamgym.training import checkpoint
from dreamgym.training.fit import FitResult
from dreamgym.training.runs import check_run_folder
from dreamgym.training.train import load_run, train
from dreamgym.world_models.base import WorldModel
from dreamgym.world_models.registry import recipe


def adapt(
    source: str | Path,
    store_path: str | Path,
    run_dir: str | Path,
    robot: str | None = None,
    order: str | None = None,
    steps: int | None = None,
    **settings: Any,
) -> FitResult:
    """Trains a copy of a model on a new robot, or goes on with the run in ``run_dir``.

    Args:
        source: a checkpoint, or the folder of a run.
        store_path: episodes of the new robot.
        run_dir: the run.
        robot: what to call it; None: as its store does.
        order: which stages; None: the family's own (see its config).
        steps: updates in all; None: the preset's.
        settings: fields of `FitConfig` and `Windows`.

    Raises:
        ValueError: a family that cannot be adapted, a robot that the model knows, or a store that does not fit it.
    """
    check_run_folder(run_dir)
    model = _opened(source)
    facts = store_facts(EpisodeStore.open(store_path))
    changes = recipe(model.family).adapted(model.config, facts, robot, order)
    return train(
        store_path, run_dir, model.family, steps=steps, changes=json.loads(json.dumps(changes)), init=source, **settings
    )


def _opened(source: str | Path) -> WorldModel:
    """The model of a run or of a checkpoint."""
    if (Path(source) / "run.json").is_file():
        return load_run(source)
    return checkpoint.load(source).model
