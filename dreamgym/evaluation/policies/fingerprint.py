"""What tells one version of a policy from another, so that an evaluation is reused only for the very same policy."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import inspect
import os
from collections.abc import Iterator, Sequence
from importlib.metadata import entry_points, packages_distributions, version
from pathlib import Path
from typing import Any

from dreamgym.evaluation.policies import libraries
from dreamgym.evaluation.policies.config import EvaluationConfig
from dreamgym.fields import parse_json
from dreamgym.training.checkpoint import file_sha256

GROUP, FACTORIES = "dreamgym.policies", "dreamgym.policy_factories"
"""Entry points of packages: what loads their saved policies, and what makes those that have a name."""

BUILT_IN = dict.fromkeys(("random", "hold"), Path(__file__).with_name("load.py"))
"""Where the policies are that come with dreamgym."""

CONFIG = "config.json"
"""What the folder of a saved policy says of it."""


def fingerprint(source: Any) -> str | None:
    """A hash of what a policy is made of; None where nothing tells (an object, a package without files).

    Of the folder of a saved policy: its config, which holds the hashes of its weights, and the code of the package that
    loads it. Of "path/to/file.py:factory" and "package.module:factory": the file, and what it imports from its own
    folder or package, directly or not; of a module without a source file, the version of its distribution. Of a
    name: the module that defines it, with what that imports if another package brought it. Of another library's: its
    files, and the version of the library.
    """
    if not isinstance(source, str | Path):
        return None
    if (outside := libraries.library_of(source)) is not None:
        return libraries.fingerprint(*outside)
    if (Path(source) / CONFIG).is_file():
        own, code = file_sha256(Path(source) / CONFIG), _loader_code(Path(source))
        return None if code is None else _hash([own, code])
    where, colon, _ = str(source).rpartition(":")
    return _code(where) if colon else _named(str(source))


def normalizer_hash(config: EvaluationConfig) -> dict[str, str]:
    """{"vecnormalize": sha256} of the statistics that an SB3 model's observations are normalised by; {} without any."""
    file = None if config.vecnormalize is None else Path(config.vecnormalize)
    return {"vecnormalize": file_sha256(file)} if file is not None and file.is_file() else {}


def _named(name: str) -> str | None:
    """What makes the policy that has this name; None where there is none."""
    if name in BUILT_IN:
        return file_sha256(BUILT_IN[name])
    found = next(iter(entry_points(group=FACTORIES, name=name)), None)
    return None if found is None else _code(found.module)


def _loader_code(folder: Path) -> str | None:
    """What the loader of a saved policy is made of; None where no installed package has it."""
    try:
        kind = parse_json((folder / CONFIG).read_text(encoding="utf-8"))["policy"]
    except (ValueError, KeyError, TypeError):
        return None
    found = next((e for e in entry_points(group=GROUP) if e.name == kind), None)
    return None if found is None else _code(found.module)


def _code(where: str) -> str | None:
    """A hash of a module's own files, else of its distribution's version; None where there is neither."""
    found = own_files(where)
    if found:
        return _hash(sorted(f"{os.path.relpath(f, found[0].parent)} {file_sha256(f)}" for f in found))
    names = packages_distributions().get(where.partition(".")[0], ())
    return _hash(sorted(f"{name} {version(name)}" for name in names)) if names else None


def outside_code(kind: type) -> str | None:
    """A hash of what a class of somebody else's is made of (see `fingerprint`): a family or a reward in a script.

    Of dreamgym's own classes, and of what has no file, None: they are told by the version and by the commit.
    """
    if kind.__module__.partition(".")[0] in ("dreamgym", "dreamgym_agents"):
        return None
    try:
        file = inspect.getsourcefile(kind)
    except TypeError:
        return None
    return None if file is None else _code(file)


def _hash(parts: Sequence[str]) -> str:
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
