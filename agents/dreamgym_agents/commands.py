"""The command line of an agent: subcommands that are functions, each option an argument."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def run_commands(
    name: str, about: str | None, commands: Mapping[str, Callable[..., Any]], args: Sequence[str] | None
) -> None:
    """Runs one subcommand.

    Args:
        name: of the program.
        about: what ``--help`` says of it.
        commands: by name.
        args: the words; the shell's where None.

    Raises:
        SystemExit: bad arguments or input, or a run that a signal ended, with a message.
    """
    try:
        import tyro
    except ImportError:
        raise SystemExit('the command line needs tyro: pip install "dreamgym[cli]"') from None
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    words = sys.argv[1:] if args is None else list(args)
    try:
        tyro.extras.subcommand_cli_from_dict(dict(commands), prog=name, description=about, args=words)
    except (ImportError, ValueError, FileNotFoundError) as error:
        raise SystemExit(f"{name}: {error}") from error
