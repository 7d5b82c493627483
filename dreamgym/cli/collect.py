"""`dreamgym collect`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal


def collect(
    store: Path,
    kind: Literal["play", "demonstrations", "attempts"] = "play",
    scene: str = "playtable",
    num_steps: int = 200_000,
    episode_steps: int = 1000,
    num_train: int = 50,
    num_val: int = 20,
    image_size: int = 64,
    num_workers: int = 1,
    seed: int = 0,
) -> None:
    """Collects play, demonstrations or clumsy attempts at DiWA's eight tasks into an episode store; resumable.

    Args:
        store: folder of the episode store; an unfinished one is continued.
        kind: long task-agnostic play; experts and their failures at single tasks; or near misses and second tries, with
            marked success.
        scene: "playtable" (built in), or "D" of CALVIN (needs DREAMGYM_CALVIN_ASSETS).
        num_steps: rows of play to hold in the end.
        episode_steps: rows of one play episode.
        num_train: demonstrations, and as many failed ones, or attempts, a task for training.
        num_val: the same, held out.
        image_size: side of the camera frames, pixels.
        num_workers: processes.
        seed: of the whole collection.
    """
    from dreamgym.data import collect as run
    from dreamgym.suites.calvin.attempts import AttemptConfig
    from dreamgym.suites.calvin.demonstrations import DemonstrationConfig
    from dreamgym.suites.calvin.play import PlayConfig

    play = PlayConfig(scene=scene, image_size=image_size, episode_steps=episode_steps)
    if kind == "play":
        done = run(play, store, num_steps=num_steps, num_workers=num_workers, seed=seed)
    else:
        make = DemonstrationConfig if kind == "demonstrations" else AttemptConfig
        marked = make(play=play, num_train=num_train, num_val=num_val)
        done = run(marked, store, num_episodes=marked.num_episodes, num_workers=num_workers, seed=seed)
    print(f"{store}: {len(done.store)} episodes, {done.store.num_steps} steps, {done.new_episodes} new")
