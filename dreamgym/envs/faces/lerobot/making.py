"""Dreams and twins as LeRobot's hub of environments wants them: a vector env a task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from dreamgym.envs.core.core import DreamCore
from dreamgym.envs.faces.lerobot.vector import LeRobotVectorEnv
from dreamgym.envs.registration import make_core_by_id
from dreamgym.envs.simulators import suite_of
from dreamgym.suites.base import Suite


def make_env(
    n_envs: int = 1,
    use_async_envs: bool = False,
    *,
    id: str,
    tasks: Sequence[str] | str | None = None,
    split: str | None = "test",
    **options: Any,
) -> dict[str, dict[int, LeRobotVectorEnv]]:
    """Dreams or twins as LeRobot's hub of environments wants them: what an ``env.py`` returns.

    Args:
        n_envs: B of each vector env.
        use_async_envs: simulators of a twin in processes of their own (``num_workers``); a dream is one batch anyway.
        id: of a dream or a twin.
        tasks: names; None: every task of the checkpoint.
        split: of the start states; "test" is what no training has seen.
        options: of `make_core` or of the twin (checkpoint, world_model, horizon, ...).

    Returns:
        ``{id: {0: env of the first task, 1: ...}}``.

    Raises:
        ValueError: not an id of this library, an unknown task, or an option of neither.
    """
    if not isinstance(n_envs, int) or n_envs < 1:
        raise ValueError(f"n_envs must be a whole number of at least 1, got {n_envs!r}")
    given = {**options, "num_envs": n_envs, "autoreset_mode": "disabled", "obs": "dict", "split": split}
    if use_async_envs and id.startswith("Real-"):
        given.setdefault("num_workers", n_envs)
    probe, suite = _opened(id, options)
    names = probe if tasks is None else (tasks,) if isinstance(tasks, str) else tuple(tasks)
    if unknown := [name for name in names if name not in probe]:
        raise ValueError(f"unknown task(s) {unknown}; this checkpoint knows {list(probe)}")

    def maker(task: str) -> Callable[[], DreamCore]:
        return lambda: make_core_by_id(id, **given, task=task)

    told = {name: name.replace("_", " ") if suite is None else suite.instruction(name) for name in names}
    return {id: {i: LeRobotVectorEnv(maker(name), name, n_envs, told[name], split) for i, name in enumerate(names)}}


def _opened(id: str, options: dict[str, Any]) -> tuple[tuple[str, ...], Suite | None]:
    """The tasks and the suite of a dream or twin, without making it."""
    from dreamgym.envs.make import choose_reward, open_checkpoint
    from dreamgym.envs.registration import DREAMS, REALS

    if id not in {*DREAMS, *REALS}:
        raise ValueError(f"{id!r} is not a dream or a twin; those registered are {[*DREAMS, *REALS]}")
    key = "checkpoint" if id in DREAMS else "world_model"
    opened = open_checkpoint(options.get(key, DREAMS.get(id, {}).get("checkpoint")))
    reward = choose_reward(opened, options.get("reward_model"), options.get("reward", "success"))
    return tuple(reward.tasks), suite_of(opened.simulator)
