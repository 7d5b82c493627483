"""The command line: ``dreamgym collect | fit | rewards | starts | fidelity | demo | info``."""

def main() -> None:
    raise SystemExit("not yet")
