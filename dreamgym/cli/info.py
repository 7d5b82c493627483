"""`dreamgym info`."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from dreamgym.version import __version__

# One import that tells whether an extra is installed; suites name their own.
EXTRAS = {
    "torchrl": "torchrl",
    "sb3": "stable_baselines3",
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

    from dreamgym.suites.registry import suite, suites

    print(f"dreamgym {__version__}, Python {sys.version.split()[0]}")
    ids = sorted(i for i in gymnasium.registry if i.startswith(("Dream-", "Real-")))
    print("environments:", ", ".join(ids) or "none at this version")
    folder = Path(__file__).parent.parent / "checkpoints"
    shipped = sorted(p.parent.name for p in folder.glob("*/config.json"))
    print("shipped checkpoints:", ", ".join(shipped) or "none at this version")
    made = [suite(name) for name in suites()]
    simulators = {s.extra: s.module for s in made if s.extra is not None and s.module is not None}
    for extra, module in {**simulators, **EXTRAS}.items():
        found = importlib.util.find_spec(module) is not None
        print(f"  {extra:<10}", "installed" if found else f'missing: pip install "dreamgym[{extra}]"')
