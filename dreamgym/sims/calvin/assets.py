"""Where CALVIN's meshes come from and where generated ones are kept."""

from __future__ import annotations

import hashlib
import os
import tempfile
import uuid
from pathlib import Path
from typing import Any

ASSETS_VARIABLE = "DREAMGYM_CALVIN_ASSETS"
CACHE_VARIABLE = "DREAMGYM_CACHE"


def import_pybullet() -> Any:
    """Return the pybullet module.

    Raises:
        ImportError: pybullet is not installed; the message carries the pip line.
    """
    try:
        import pybullet
    except ImportError as error:
        raise ImportError('CalvinEnv needs pybullet: pip install "dreamgym[calvin]"') from error
    return pybullet


def find_assets(assets: str | Path | None) -> Path:
    """Return the folder that holds CALVIN's ``calvin_table_*``, ``blocks`` and ``franka_panda``.

    Args:
        assets: the folder, or None to read the environment variable ``DREAMGYM_CALVIN_ASSETS``.

    Raises:
        FileNotFoundError: neither is given, or the folder does not hold the assets.
    """
    mend = (
        f"set {ASSETS_VARIABLE} (or pass assets=...) to the data folder of https://github.com/mees/calvin_env, "
        'or use scene="playtable", which needs no assets'
    )
    folder = assets if assets is not None else os.environ.get(ASSETS_VARIABLE)
    if not folder:
        raise FileNotFoundError(f"the CALVIN scenes A-D need CALVIN's own assets: {mend}")
    path = Path(folder).expanduser()
    missing = [name for name in ("blocks", "franka_panda", "plane") if not (path / name).is_dir()]
    if missing:
        raise FileNotFoundError(f"{path} does not hold CALVIN's assets (no {', '.join(missing)}): {mend}")
    return path


def cache_folder() -> Path:
    """Return the folder for generated files: ``$DREAMGYM_CACHE``, ``~/.cache/dreamgym`` or a temporary one."""
    choices = [os.environ.get(CACHE_VARIABLE), Path.home() / ".cache" / "dreamgym"]
    for choice in choices:
        if not choice:
            continue
        path = Path(choice).expanduser() / "calvin"
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(path, os.W_OK):
            return path
    path = Path(tempfile.gettempdir()) / f"dreamgym-{os.getuid() if hasattr(os, 'getuid') else 'user'}" / "calvin"
    path.mkdir(parents=True, exist_ok=True)
    return path


def write_once(name: str, suffix: str, content: bytes) -> Path:
    """Write ``content`` under a name that carries its hash and return the path.

    Processes that start together may write it twice, with the same content.
    """
    path = cache_folder() / f"{name}-{hashlib.sha256(content).hexdigest()[:16]}{suffix}"
    if not path.exists():
        write_whole(path, content)
    return path


def write_whole(path: Path, content: bytes) -> None:
    """Write a file beside its place and rename it there, so that nobody ever reads half of it."""
    temporary = path.with_name(f".{path.name}-{uuid.uuid4().hex}")
    temporary.write_bytes(content)
    os.replace(temporary, path)
