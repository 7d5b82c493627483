"""The command line, as the data flows: collect or import, encoder, fit, adapt, rewards, starts, finish, fidelity,
compare, demo, evaluate, report; play, info; export, push, pull.

Each subcommand is a thin function over the room that does the work, imported only when it runs; its arguments become
options (tyro), as do the fields of an argument that is a dataclass. ``dreamgym COMMAND --help`` lists them, ``dreamgym
--version`` tells the version. Every command takes ``--import MODULE`` or ``--import FILE.py``, before or after its
name: code of yours that registers a family, a reward or a suite. Other packages add commands of their own
(`dreamgym.cli.installed`), as the agents do: ``dreamgym diffusion-ppo tune``.

Exit codes: 0 once all is done; 1 after an error, told in one line on stderr; 2 for words that are no options; 130 and
143 after SIGINT and SIGTERM, with the progress of the run saved.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from inspect import signature
from pathlib import Path
from typing import Any

from dreamgym.cli.adapt import adapt
from dreamgym.cli.bounds import check_bounds
from dreamgym.cli.clips import clips
from dreamgym.cli.collect import collect
from dreamgym.cli.compare import compare
from dreamgym.cli.demo import demo
from dreamgym.cli.encoder import encoder
from dreamgym.cli.errors import in_one_line, quiet_threads
from dreamgym.cli.evaluate import evaluate
from dreamgym.cli.export import export
from dreamgym.cli.fidelity import fidelity
from dreamgym.cli.finish import finish
from dreamgym.cli.fit import fit
from dreamgym.cli.hub import pull, push
from dreamgym.cli.import_ import import_
from dreamgym.cli.info import info
from dreamgym.cli.installed import described, installed_commands, load_command
from dreamgym.cli.join import join
from dreamgym.cli.listed import fill_help
from dreamgym.cli.options import prepare_options
from dreamgym.cli.own_code import import_code, split_imports
from dreamgym.cli.play import play
from dreamgym.cli.report import report
from dreamgym.cli.rewards import rewards
from dreamgym.cli.starts import starts
from dreamgym.version import __version__

COMMANDS: dict[str, Callable[..., Any]] = {
    "collect": collect,
    "import": import_,
    "join": join,
    "encoder": encoder,
    "clips": clips,
    "fit": fit,
    "adapt": adapt,
    "rewards": rewards,
    "starts": starts,
    "finish": finish,
    "fidelity": fidelity,
    "compare": compare,
    "demo": demo,
    "evaluate": evaluate,
    "report": report,
    "export": export,
    "push": push,
    "pull": pull,
    "play": play,
    "info": info,
}


WORDS: dict[Callable[..., Any], dict[str, Any]] = {
    import_: {"source": str},
    compare: {"old": str, "new": str},
    evaluate: {"policies": tuple[str, ...]},
    report: {"run": Path},
    export: {"store": Path},
    push: {"checkpoint": str, "address": str},
    pull: {"address": str},
    play: {"id": str},
    info: {"id": str | None},
}
"""Arguments that are words without a flag before them, with their types."""


def main(args: Sequence[str] | None = None) -> None:
    """Runs one subcommand.

    Args:
        args: the words after ``dreamgym``; None reads them from the process.

    Raises:
        SystemExit: bad arguments, an error or a signal (message on stderr); see the module for the codes.
    """
    words = list(sys.argv[1:] if args is None else args)
    if words == ["--version"]:
        print(f"dreamgym {__version__}")
        return
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        tyro = _tyro()
        own, words = split_imports(words)
        for name in own:
            import_code(name)
        prog, commands, rest = _chosen(words)
        for name in [name for name in commands if name in rest[:1]] or commands:
            fill_help(commands[name])
            prepare_options(commands[name], WORDS.get(commands[name], {}))
        commands = {name: _checked(call) for name, call in commands.items()}
        about = __doc__ if prog == "dreamgym" else None
        flat = (tyro.conf.OmitArgPrefixes,)
        with quiet_threads():
            tyro.extras.subcommand_cli_from_dict(commands, prog=prog, description=about, args=rest, config=flat)
    except Exception as error:
        told = in_one_line(error)
        if told is None:
            raise
        # The message names the mend; a traceback would bury it.
        raise SystemExit(f"dreamgym: {told}") from error
    except KeyboardInterrupt as stopped:
        told = str(stopped) or "stopped before it was done: run the same command again"
        print(f"dreamgym: {told}", file=sys.stderr)
        raise SystemExit(getattr(stopped, "exit_code", 130)) from None  # as shells report signals


def _checked(call: Callable[..., Any]) -> Callable[..., Any]:
    """The command, which looks at the numbers that it is given before it begins."""

    @wraps(call)
    def command(*args: Any, **kwargs: Any) -> Any:
        check_bounds(call, signature(call).bind(*args, **kwargs).arguments)
        return call(*args, **kwargs)

    return command


def _tyro() -> Any:
    """Imported here: it takes a while, in which an interrupt must end in a line too."""
    try:
        import tyro
    except ImportError:
        raise ImportError('the command line needs tyro: pip install "dreamgym[cli]"') from None
    return tyro


def _chosen(words: Sequence[str]) -> tuple[str, dict[str, Callable[..., Any]], list[str]]:
    """The program, its commands and the words for them: those of another package where the first word names one."""
    others = {} if words and words[0] in COMMANDS else installed_commands()
    others = {name: entry for name, entry in others.items() if name not in COMMANDS}
    if not words or words[0] not in others:
        return "dreamgym", COMMANDS | {name: described(entry) for name, entry in others.items()}, list(words)
    found = load_command(others[words[0]])
    if isinstance(found, Mapping):
        return f"dreamgym {words[0]}", dict(found), list(words[1:])
    return "dreamgym", {words[0]: found}, list(words)
