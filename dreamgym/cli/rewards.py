"""`dreamgym rewards`."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Literal

from dreamgym.cli.bounds import Count
from dreamgym.cli.show import amend, open_to_amend


def rewards(
    checkpoint: Path,
    stores: tuple[Path, ...],
    tasks: tuple[str, ...] = (),
    preset: Literal["tiny", "paper"] = "tiny",
    epochs: Count | None = None,
    out: Path | None = None,
) -> None:
    """Trains the success classifiers of a checkpoint (DiWA S.2.3) and calibrates their thresholds on held-out episodes.

    Args:
        checkpoint: folder that ``dreamgym fit --out`` wrote.
        stores: episode stores of demonstrations (or any episodes with success marks); of clumsy attempts, for the near
            misses that cloned policies make; of play of a suite that can judge recorded state, for more negatives. What
            an episode is stands in its meta as "kind".
        tasks: tasks to judge, in that order; all that the demonstrations have where not given.
        preset: DiWA's sizes and learning rate (Table S.4), or ones that train in minutes on two cores.
        epochs: passes over the demonstrations; the preset's where not given.
        out: checkpoint folder to write; where not given the checkpoint itself is replaced.
    """
    from dreamgym.data import EpisodeStore
    from dreamgym.envs.simulators import check_recorded_in
    from dreamgym.evaluation.making.plan import stores_by_role
    from dreamgym.rewards.fit import SuccessFitConfig, fit_success
    from dreamgym.rewards.samples import tasks_of
    from dreamgym.rewards.success import SuccessConfig

    opened = open_to_amend(checkpoint, out)
    make, schedule = getattr(SuccessConfig, preset), getattr(SuccessFitConfig, preset)()
    schedule = replace(schedule, epochs=epochs or schedule.epochs)
    sources = [EpisodeStore.open(store) for store in stores]
    check_recorded_in(opened, *sources)
    roles = stores_by_role(sources)
    if "demonstration" not in roles:
        raise ValueError(
            f"--stores: none holds demonstrations with success marks, only {sorted(roles) or 'no episode'}"
        )
    marked = roles["demonstration"]
    sizes = make(tasks_of(marked, tasks), math.prod(opened.spec.feature_shape))
    classifier, metrics = fit_success(
        opened.model, marked, roles.get("play"), sizes, schedule, True, roles.get("attempt")
    )
    amend(checkpoint, out, {"rewards": metrics}, rewards={**opened.rewards, "success": classifier})
    for name, figures in metrics["tasks"].items():
        print(f"{name:<22} held-out F1 {figures['f1']:.3f}, imagined {figures['f1_imagined']:.3f}")
