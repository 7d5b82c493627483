"""What tells one version of a policy from another, so that an evaluation is reused only for the very same policy."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dreamgym.training.checkpoint import file_sha256

CONFIG = "config.json"
"""What the folder of a saved policy says of it."""


def fingerprint(source: Any) -> str | None:
    """A hash of what a policy is made of; None of what has no file (a built-in name, an object).

    Of the folder of a saved policy: its config, which holds the hashes of its weights. Of "path/to/file.py:factory" and
    "package.module:factory": the file, and what it imports from its own folder or package, directly or not.
    """
    if not isinstance(source, str | Path):
        return None
    if (Path(source) / CONFIG).is_file():
        return file_sha256(Path(source) / CONFIG)
    where, colon, _ = str(source).rpartition(":")
    found = own_files(where) if colon else []
    if not found:
        return None
    parts = sorted(f"{os.path.relpath(f, found[0].parent)} {file_sha256(f)}" for f in found)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def own_files(where: str) -> list[Path]:
    """The file of a module, and those that it imports from its own package (or, of a single file, from its folder).

    Args:
        where: "path/to/file.py" or "package.module".

    Returns:
        Resolved paths, the module's own first; [] where there is no such file.
    """
    file = _source_file(where)
    found: dict[Path, None] = {}
    if file is not None:
        _collect(file, _root(file), found)
    return list(found)


def _source_file(where: str) -> Path | None:
    """The file of a path or of an import name."""
    if where.endswith(".py"):
        return Path(where).resolve() if Path(where).is_file() else None
    try:
        spec = importlib.util.find_spec(where)
    except (ImportError, ValueError):
        return None
    return None if spec is None or not (spec.origin or "").endswith(".py") else Path(str(spec.origin)).resolve()


def _root(file: Path) -> Path:
    """The folder from which the file's own package, or its neighbours, are imported."""
    folder = file.parent
    while (folder / "__init__.py").is_file():
        folder = folder.parent
    return folder


def _collect(file: Path, root: Path, found: dict[Path, None]) -> None:
    """Adds ``file`` and what it imports below ``root``."""
    if file in found:
        return
    found[file] = None
    package = file.relative_to(root).parts[:-1]
    for name in _imported(file, package):
        if package and name.split(".")[0] != package[0]:
            continue  # another package of the same folder: installed, not edited
        path = root.joinpath(*name.split("."))
        for there in (path.with_name(path.name + ".py"), path / "__init__.py"):
            if there.is_file():
                _collect(there.resolve(), root, found)


def _imported(file: Path, package: tuple[str, ...]) -> Iterator[str]:
    """Full names of the modules that a file may import; a file that cannot be read imports nothing."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*above, *([node.module] if node.module else [])])
            yield from [module] if module else []
            yield from (f"{module}.{alias.name}" if module else alias.name for alias in node.names)
