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
from typing import Any

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


COMMANDS: dict[str, Callable[..., Any]] = {"info": info}


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
