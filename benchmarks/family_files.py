"""Which files name a family of world models: its own folder, one line of the registry, and nothing else.

    python benchmarks/family_files.py

Prints a line for each family, the toy ones of `dreamgym.testing` included. A file names a family where it imports one
of its modules, or where its name stands in the code as a string (docstrings and comments do not count). The commit that
added the toys is `git show --stat 2dd0640`.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import dreamgym.testing
from dreamgym.world_models.registry import family, family_names

ROOT = Path(dreamgym.__file__).parent
REGISTRY = "world_models/registry.py"


def own_files(name: str) -> list[str]:
    """The files of a family, relative to the package: its folder, or the one file of a toy."""
    file = Path(sys.modules[family(name).__module__].__file__ or "")
    found = file.parent.rglob("*") if file.parent.parent.name == "families" else [file]
    return sorted(str(f.relative_to(ROOT)) for f in found if f.is_file() and "__pycache__" not in f.parts)


def naming_files(name: str) -> list[str]:
    """Other files of the package whose code names a family, relative to the package."""
    own, module = set(own_files(name)), family(name).__module__
    folder = module.rpartition(".")[0] if ".families." in module else module
    files = (str(f.relative_to(ROOT)) for f in sorted(ROOT.rglob("*.py")))
    return [f for f in files if f not in own and any(_names(ast.parse((ROOT / f).read_text()), name, folder))]


def _names(tree: ast.Module, name: str, module: str) -> Iterator[bool]:
    words = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}  # docstrings
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and node not in words:
            yield node.value == name
        elif isinstance(node, ast.ImportFrom):
            places = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
            yield any(place == module or place.startswith(f"{module}.") for place in places)
        elif isinstance(node, ast.Import):
            yield any(alias.name == module or alias.name.startswith(f"{module}.") for alias in node.names)


def main() -> None:
    """Prints the table."""
    for name in family_names():
        if not family(name).__module__.startswith("dreamgym."):
            continue  # somebody else's, that this process knows
        own = own_files(name)
        where = str(Path(own[0]).parent) if len(own) > 1 else own[0]
        print(f"{name:<18} own: {where} ({len(own)} files)   named by: {', '.join(naming_files(name)) or 'none'}")


if __name__ == "__main__":
    main()
