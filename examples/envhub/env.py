"""An environment of LeRobot's hub (EnvHub): put this file into a hub repository, or a copy with other words.

    from lerobot.envs import make_env
    envs = make_env("YOU/REPOSITORY", n_envs=4, trust_remote_code=True)

gives the dream, or, with DREAMGYM_ENV=Real-PlayTable-v0, its simulator, from the same test starts. ``lerobot-eval``
itself needs no repository: docs/lerobot.md.
"""

import os

from dreamgym.envs.faces.lerobot import make_env as make

ID = os.environ.get("DREAMGYM_ENV", "Dream-PlayTable-v0")
TASKS = os.environ.get("DREAMGYM_TASKS")  # names with commas between; all where not given
WORLD_MODEL = os.environ.get("DREAMGYM_WORLD_MODEL", "playtable")


def make_env(n_envs=1, use_async_envs=False, cfg=None):
    options = {"world_model": WORLD_MODEL} if ID.startswith("Real-") else {}
    tasks = None if TASKS is None else TASKS.split(",")
    return make(n_envs, use_async_envs, id=ID, tasks=tasks, **options)
