"""Runs the command line: ``python -m dreamgym`` is ``dreamgym``."""

import sys


def main() -> None:
    """Imports the command line, which takes seconds, and runs it; Ctrl-C ends in one line from the beginning on."""
    try:
        from dreamgym.cli import main as run
    except KeyboardInterrupt:
        print("dreamgym: stopped before it had begun", file=sys.stderr)  # noqa: T201 - as the command line does
        raise SystemExit(130) from None
    run()


if __name__ == "__main__":
    main()
