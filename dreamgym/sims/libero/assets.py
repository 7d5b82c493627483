"""Where LIBERO's models, task files and initial states lie. None of them ship with dreamgym."""

from __future__ import annotations

import os
import pickle
import struct
import tokenize
import zipfile
import zlib
from pathlib import Path

import numpy as np

ASSETS_VARIABLE = "DREAMGYM_LIBERO_ASSETS"
FOLDERS = ("articulated_objects", "stable_hope_objects", "stable_scanned_objects", "turbosquid_objects")
"""Where models of things are looked for, in this order."""
DAMAGE = (
    zipfile.BadZipFile, zlib.error, struct.error, NotImplementedError, RuntimeError, MemoryError, TypeError,
    SyntaxError, tokenize.TokenError, ValueError, OSError, EOFError, LookupError, AttributeError,
    pickle.UnpicklingError,
)  # fmt: skip
"""What numpy and torch raise where a file of states is damaged; neither runs code that is in one."""
_SOURCE = "https://github.com/Lifelong-Robot-Learning/LIBERO (libero/libero/assets, beside it bddl_files)"


def find_assets(assets: str | Path | None = None) -> Path:
    """LIBERO's folder of models (it holds ``scenes`` and ``textures``).

    Args:
        assets: the folder, or None to read the environment variable ``DREAMGYM_LIBERO_ASSETS``.

    Raises:
        FileNotFoundError: neither is given, or the folder does not hold the assets.
    """
    mend = f"set {ASSETS_VARIABLE} (or pass assets=...) to the assets folder of {_SOURCE}"
    folder = assets if assets is not None else os.environ.get(ASSETS_VARIABLE)
    if not folder:
        raise FileNotFoundError(f"LIBERO needs its own assets: {mend}")
    path = Path(folder).expanduser().resolve()
    missing = [name for name in ("scenes", "textures", *FOLDERS) if not (path / name).is_dir()]
    if missing:
        raise FileNotFoundError(f"{path} does not hold LIBERO's assets (no {', '.join(missing)}): {mend}")
    return path


def model_file(assets: Path, kind: str) -> Path:
    """The model of a kind of thing.

    Raises:
        FileNotFoundError: the assets have none.
    """
    for folder in FOLDERS:
        for path in (assets / folder / f"{kind}.xml", assets / folder / kind / f"{kind}.xml"):
            if path.is_file():
                return path
    raise FileNotFoundError(f"{assets} has no model of {kind!r} ({kind}.xml in any of {', '.join(FOLDERS)})")


def task_file(assets: Path, task: str) -> Path:
    """The file of a task "SUITE/TASK", in ``bddl_files`` beside the assets.

    Raises:
        FileNotFoundError: it is not there.
    """
    path = assets.parent / "bddl_files" / f"{task}.bddl"
    if not path.is_file():
        raise FileNotFoundError(f"there is no task file {path}: it comes from {_SOURCE}")
    return path


def initial_states(assets: Path, task: str) -> np.ndarray:
    """The benchmark's initial states of a task "SUITE/TASK", [N, 1 + nq + nv] float64: time, positions, velocities.

    They lie beside the assets: in ``init_states/SUITE.npz``, an array for each task, or as LIBERO has them, in
    ``init_files/SUITE/TASK.pruned_init``. Neither is read in a way that runs code in it.

    Raises:
        FileNotFoundError: there is neither file.
        ValueError: it is damaged, or has no such task.
    """
    suite, name = task.split("/")
    path = assets.parent / "init_states" / f"{suite}.npz"
    original = assets.parent / "init_files" / suite / f"{name}.pruned_init"
    if not path.is_file() and original.is_file():
        path = original
    if not path.is_file():
        raise FileNotFoundError(f"there are no initial states of {suite}: expected {path}, or {original}")
    try:
        if path == original:
            found = _unpickled(path)
        else:
            with np.load(path, allow_pickle=False) as archive:
                found = archive.get(name)
    except DAMAGE as error:
        raise ValueError(f"damaged file of initial states {path}: {error}") from error
    if found is None:
        raise ValueError(f"{path} has no initial states of {name!r}")
    states = np.asarray(found, np.float64)
    if states.ndim != 2 or not np.isfinite(states).all():
        raise ValueError(f"{path}: expected [N, 1 + nq + nv] finite numbers for {name!r}, got shape {states.shape}")
    return states


def _unpickled(path: Path) -> np.ndarray:
    """The array that `torch.save` put into a file; anything but an array of numbers is refused before it is made."""
    import torch  # not at import: a simulator alone needs none

    make = np.zeros(0).__reduce__()[0]
    assert callable(make)
    names = [(make, f"numpy.{core}.multiarray._reconstruct") for core in ("core", "_core")]
    with torch.serialization.safe_globals([*names, np.ndarray, np.dtype, type(np.dtype(np.float64))]):
        found = torch.load(path, weights_only=True)
    if not isinstance(found, np.ndarray):
        raise ValueError(f"expected an array, got {type(found).__name__}")
    return found
