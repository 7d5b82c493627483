"""Runs the command line: ``python -m dreamgym`` is ``dreamgym``."""

from dreamgym.cli import main

if __name__ == "__main__":
    main()
