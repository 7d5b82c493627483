"""`dreamgym info`."""

from __future__ import annotations

import importlib.util
import sys

from dreamgym.cli.show import table
from dreamgym.version import __version__

# One import that tells whether an extra is installed; suites name their own.
EXTRAS = {
    "torchrl": "torchrl",
    "sb3": "stable_baselines3",
    "train": "accelerate",
    "encoders": "transformers",
    "wandb": "wandb",
    "ray": "ray",
    "cli": "tyro",
    "report": "matplotlib",
    "hub": "huggingface_hub",
    "lerobot": "pyarrow",
    "robomimic": "h5py",
    "minari": "minari",
    "play": "starlette",
    "agents": "diffusers",
    "latent-action": "peft",
    "video": "peft",
}


def info(id: str | None = None) -> None:
    """Tells the version, environment ids, suites, checkpoints and which extras are installed; or all of one dream.

    Args:
        id: an environment id, a suite, or a checkpoint (a shipped name, a folder, ``hf://organisation/name``): its
            tasks, spaces, robots, licence and measured fidelity.
    """
    if id is not None:
        from dreamgym.cli.describe import describe

        describe(id)
        return
    _overview()
    _suites()
    _installed()


def _overview() -> None:
    import gymnasium

    from dreamgym.training.checkpoint.names import built_in_names

    print(f"dreamgym {__version__}, Python {sys.version.split()[0]}")
    ids = sorted(i for i in gymnasium.registry if i.startswith(("Dream-", "Real-")))
    print("environments:", ", ".join(ids))
    print("checkpoints that come with dreamgym:", ", ".join(built_in_names()) or "none at this version")
    print("`dreamgym info ID` tells all of one of them, or of a suite")


def _suites() -> None:
    from dreamgym.suites.registry import suite, suites

    rows = []
    for name in suites():
        found = suite(name)
        robots = ", ".join(found.robots) or "its own"
        needs = "; ".join(word for word in (found.licence, found.needs and f"needs {found.needs}") if word)
        rows.append([name, str(len(found.tasks)), robots, str(found.horizon), needs or "not stated"])
    table("suites", ["name", "tasks", "robots", "horizon", "licence and needs"], rows)


def _installed() -> None:
    from dreamgym.suites.registry import suite, suites

    made = [suite(name) for name in suites()]
    simulators = {s.extra: s.module for s in made if s.extra is not None and s.module is not None}
    for extra, module in {**simulators, **EXTRAS}.items():
        found = importlib.util.find_spec(module) is not None
        print(f"  {extra:<13}", "installed" if found else f'missing: pip install "dreamgym[{extra}]"')
