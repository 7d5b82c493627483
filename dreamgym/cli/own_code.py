"""``--import``, an option of every command: the user's module, is imported first and registers what it defines."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import sysconfig
import traceback
from collections.abc import Sequence
from pathlib import Path

OPTION = "--import"


def split_imports(args: Sequence[str]) -> tuple[list[str], list[str]]:
    """What ``--import NAME`` and ``--import=NAME`` name, wherever they stand, and the other words.

    Raises:
        ValueError: nothing follows ``--import``.
    """
    names: list[str] = []
    rest: list[str] = []
    words = iter(args)
    for word in words:
        if word == OPTION:
            names.append(next(words, ""))
        elif word.startswith(f"{OPTION}="):
            names.append(word.partition("=")[2])
        else:
            rest.append(word)
    if "" in names:
        raise ValueError(f"{OPTION} takes a module's name or the path of a .py file: {OPTION} my_world.py")
    return names, rest


def import_code(name: str) -> None:
    """Imports a module by name (the working folder counts), or a file by its path; once a process.

    What it registers (`dreamgym.register_family`, `dreamgym.rewards.registry`, `dreamgym.suites.register_suite`) is
    known to the command. A file is imported under its stem, and its folder joins ``sys.path``, so that what is defined
    there can be named "stem:Class" and sent to worker processes.

    Raises:
        ValueError: no such module or file, or it raised: the line of the user's code, and what it said.
    """
    is_file = name.endswith(".py") or "/" in name or Path(name).is_file()
    path = Path(name).resolve()
    if is_file and not path.is_file():
        raise ValueError(f"{OPTION} {name}: there is no such file ({path})")
    folder = str(path.parent if is_file else Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        if is_file:
            _import_file(name, path)
        else:
            importlib.import_module(name)
    except ModuleNotFoundError as error:
        if not is_file and error.name is not None and (name + ".").startswith(error.name + "."):
            raise ValueError(
                f"{OPTION} {name}: no module of that name, neither installed nor in {folder}; or give the path of a "
                f"file: {OPTION} path/to/{name.rpartition('.')[2]}.py"
            ) from error
        raise ValueError(_told(name, error)) from error
    except Exception as error:
        raise ValueError(_told(name, error)) from error


def _import_file(name: str, path: Path) -> None:
    """Executes the file as a module named by its stem. ImportError where that name is taken."""
    known = sys.modules.get(path.stem)
    if known is not None:
        if getattr(known, "__file__", None) and Path(str(known.__file__)).resolve() == path:
            return
        raise ImportError(f"a module {path.stem!r} is loaded already ({known}): give {name} another name")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{name} is no Python file: its name ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[path.stem]
        raise


def _told(name: str, error: Exception) -> str:
    """The error with the innermost line of the user's code, which is neither installed nor ours."""
    said = f"{type(error).__name__}: {error}"
    paths = sysconfig.get_paths()
    others = (str(Path(__file__).parents[1]), paths["stdlib"], paths["purelib"], paths["platlib"], "<frozen")
    own = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(others)]
    if not own:  # it was refused before a line of it ran
        return f"{OPTION} {name} failed: {said}"
    return f"{OPTION} {name} failed at {own[-1].filename}, line {own[-1].lineno}: {own[-1].line}: {said}"
