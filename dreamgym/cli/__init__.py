"""The command line, as the data flows: collect, fit, rewards, starts, finish, fidelity, demo, evaluate, report; info.

Each subcommand is a thin function over the room that does the work, imported only when it runs; its arguments become
options (tyro). ``dreamgym COMMAND --help`` lists them. Every command takes ``--import MODULE`` or ``--import FILE.py``,
before or after its name: code of yours that registers a family, a reward or a suite.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from typing import Any

from dreamgym.cli.collect import collect
from dreamgym.cli.demo import demo
from dreamgym.cli.evaluate import evaluate
from dreamgym.cli.fidelity import fidelity
from dreamgym.cli.finish import finish
from dreamgym.cli.fit import fit
from dreamgym.cli.info import info
from dreamgym.cli.join import join
from dreamgym.cli.own_code import import_code, split_imports
from dreamgym.cli.report import report
from dreamgym.cli.rewards import rewards
from dreamgym.cli.starts import starts

COMMANDS: dict[str, Callable[..., Any]] = {
    "collect": collect,
    "join": join,
    "fit": fit,
    "rewards": rewards,
    "starts": starts,
    "finish": finish,
    "fidelity": fidelity,
    "demo": demo,
    "evaluate": evaluate,
    "report": report,
    "info": info,
}


# Commands whose required arguments are words without a flag before them.
POSITIONAL = ("evaluate", "report")


def main(args: Sequence[str] | None = None) -> None:
    """Runs one subcommand.

    Args:
        args: the words after ``dreamgym``; None reads them from the process.

    Raises:
        SystemExit: bad arguments, or a subcommand whose extra is missing or whose input is wrong (message on stderr);
            130 after Ctrl-C.
    """
    try:
        import tyro
    except ImportError:
        raise SystemExit('the command line needs tyro: pip install "dreamgym[cli]"') from None
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        own, words = split_imports(sys.argv[1:] if args is None else args)
        for name in own:
            import_code(name)
        place = tyro.conf.configure(tyro.conf.PositionalRequiredArgs)
        commands = {name: place(call) if name in POSITIONAL else call for name, call in COMMANDS.items()}
        tyro.extras.subcommand_cli_from_dict(commands, prog="dreamgym", description=__doc__, args=words)
    except (ImportError, ValueError, FileNotFoundError) as error:
        # The message names the mend; a traceback would bury it.
        raise SystemExit(f"dreamgym: {error}") from error
    except KeyboardInterrupt:
        print("dreamgym: stopped; the same command goes on with what was written so far", file=sys.stderr)
        raise SystemExit(130) from None  # as shells report SIGINT


if __name__ == "__main__":
    main()
