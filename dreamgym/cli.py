"""The command line: ``dreamgym info``, ``dreamgym demo`` and the steps between a simulator and a dream.

Each subcommand is a thin function over the room that does the work, imported only when it runs; its arguments become
options (tyro). ``dreamgym COMMAND --help`` lists them.
"""

from __future__ import annotations

import importlib.util
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from dreamgym import __version__

# One import that tells whether an extra is installed.
EXTRAS = {
    "torchrl": "torchrl",
    "sb3": "stable_baselines3",
    "calvin": "pybullet",
    "metaworld": "metaworld",
    "robosuite": "robosuite",
    "pusht": "gym_pusht",
    "train": "accelerate",
    "cli": "tyro",
    "report": "matplotlib",
    "hub": "huggingface_hub",
    "lerobot": "pyarrow",
    "minari": "minari",
    "agents": "diffusers",
}


def info() -> None:
    """Lists the version, the environment ids, the shipped checkpoints and which extras are installed."""
    import gymnasium

    print(f"dreamgym {__version__}, Python {sys.version.split()[0]}")
    ids = sorted(i for i in gymnasium.registry if i.startswith(("Dream-", "Real-")))
    print("environments:", ", ".join(ids) or "none at this version")
    folder = Path(__file__).parent / "checkpoints"
    shipped = sorted(p.parent.name for p in folder.glob("*/config.json"))
    print("shipped checkpoints:", ", ".join(shipped) or "none at this version")
    for extra, module in EXTRAS.items():
        found = importlib.util.find_spec(module) is not None
        print(f"  {extra:<10}", "installed" if found else f'missing: pip install "dreamgym[{extra}]"')


def collect(
    store: Path,
    kind: Literal["play", "demonstrations"] = "play",
    scene: str = "playtable",
    num_steps: int = 200_000,
    episode_steps: int = 1000,
    num_train: int = 50,
    num_val: int = 20,
    image_size: int = 64,
    num_workers: int = 1,
    seed: int = 0,
) -> None:
    """Collects play, or demonstrations of DiWA's eight tasks, from a simulator into an episode store; resumable.

    Args:
        store: folder of the episode store; an unfinished one is continued.
        kind: long task-agnostic play, or single-task attempts with marked success.
        scene: "playtable" (built in), or "D" of CALVIN (needs DREAMGYM_CALVIN_ASSETS).
        num_steps: rows of play to hold in the end.
        episode_steps: rows of one play episode.
        num_train: demonstrations, and as many failed attempts, a task for training.
        num_val: the same, held out.
        image_size: side of the camera frames, pixels.
        num_workers: processes.
        seed: of the whole collection.
    """
    from dreamgym.data import collect as run
    from dreamgym.data.demonstrations import DemonstrationConfig
    from dreamgym.data.play import PlayConfig

    play = PlayConfig(scene=scene, image_size=image_size, episode_steps=episode_steps)
    if kind == "play":
        done = run(play, store, num_steps=num_steps, num_workers=num_workers, seed=seed)
    else:
        demos = DemonstrationConfig(play=play, num_train=num_train, num_val=num_val)
        done = run(demos, store, num_episodes=demos.num_episodes, num_workers=num_workers, seed=seed)
    print(f"{store}: {len(done.store)} episodes, {done.store.num_steps} steps, {done.new_episodes} new")


def fit(
    store: Path,
    run: Path,
    variant: Literal["vision", "hybrid", "state"] = "vision",
    preset: Literal["tiny", "paper"] = "tiny",
    steps: int = 15_000,
    lr: float | None = None,
    batch_size: int | None = None,
    length: int | None = None,
    cooldown: int | None = None,
    eval_every: int = 1000,
    precision: Literal["fp32", "bf16"] | None = None,
    threads: int | None = None,
    seed: int | None = None,
) -> None:
    """Trains an RSSM on a store's training episodes, or goes on with the run; Ctrl-C saves and stops.

    Args:
        store: episode store that ``dreamgym collect`` filled.
        run: folder of the run: progress, log.jsonl, tensorboard/.
        variant: cameras; cameras with the scene state supervised; or robot and scene state alone.
        preset: DiWA's sizes, or sizes for two CPU cores.
        steps: updates in all, those before a resume included.
        lr: peak learning rate; the preset's where not given, as for the options below.
        batch_size: windows an update.
        length: steps a window.
        cooldown: updates at the end over which the rate falls to zero.
        eval_every: updates between open-loop evaluations on held-out episodes.
        precision: of the arithmetic; bf16 where the machine is fast at it.
        threads: torch threads.
        seed: of weights, noise and batches.
    """
    from dreamgym.training.recipes import train_rssm

    changes = {
        "lr": lr,
        "batch_size": batch_size,
        "length": length,
        "cooldown": cooldown,
        "precision": precision,
        "threads": threads,
        "seed": seed,
    }
    given = {name: value for name, value in changes.items() if value is not None}
    result = train_rssm(store, run, variant, preset, steps, eval_every=eval_every, **given)
    print(f"{run}: {result.step} updates, loss {result.losses.get('loss', float('nan')):.2f}")


COMMANDS: dict[str, Callable[..., Any]] = {"info": info, "collect": collect, "fit": fit}


def main(args: Sequence[str] | None = None) -> None:
    """Runs one subcommand.

    Args:
        args: the words after ``dreamgym``; None reads them from the process.

    Raises:
        SystemExit: bad arguments, or a subcommand whose extra is missing or whose input is wrong (message on stderr).
    """
    try:
        import tyro
    except ImportError:
        raise SystemExit('the command line needs tyro: pip install "dreamgym[cli]"') from None
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        tyro.extras.subcommand_cli_from_dict(COMMANDS, prog="dreamgym", description=__doc__, args=args)
    except (ImportError, ValueError, FileNotFoundError) as error:
        # The message names the mend; a traceback would bury it.
        raise SystemExit(f"dreamgym: {error}") from error


if __name__ == "__main__":
    main()
