"""Commands of other packages, found through the entry-point group ``dreamgym.commands``.

An entry is a function (one command) or a mapping of functions by name (a command with subcommands)::

    [project.entry-points."dreamgym.commands"]
    my-agent = "my_package.commands:COMMANDS"     # dreamgym my-agent train ...

The package is imported only when its command runs, or for ``dreamgym --help``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

GROUP = "dreamgym.commands"

Command = Callable[..., Any]


def installed_commands() -> dict[str, EntryPoint]:
    """Entry points by the name of their command, sorted."""
    return {entry.name: entry for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name)}


def load_command(entry: EntryPoint) -> Command | Mapping[str, Command]:
    """What an entry point names.

    Raises:
        ImportError: the package cannot be imported, or what it names is no command; the message names the package, the
            error and its kind.
    """
    try:
        found = entry.load()
        if not callable(found) and not (isinstance(found, Mapping) and all(map(callable, found.values()))):
            raise TypeError(f"expected a function or a mapping of functions by name, got {type(found).__name__}")
    except Exception as error:  # whatever another package raises on import
        reason = (str(error).splitlines() or [""])[0]
        raise ImportError(f"{entry.name} ({entry.value}) cannot be loaded: {type(error).__name__}: {reason}") from error
    return found


def described(entry: EntryPoint) -> Command:
    """A function whose docstring is the line of ``dreamgym --help``: what it does, or why it cannot be loaded."""
    try:
        found = load_command(entry)
        line = (
            f"Subcommands: {', '.join(found)}." if isinstance(found, Mapping) else (found.__doc__ or "").split("\n")[0]
        )
    except ImportError as error:
        line = str(error)

    def command() -> None:
        load_command(entry)

    command.__doc__ = line
    return command
