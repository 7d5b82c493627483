"""`dreamgym report`."""

from __future__ import annotations

from pathlib import Path

from dreamgym.cli.checks import check_file


def report(run: Path, out: Path | None = None) -> None:
    """Writes one page for an experiment: curves, before and after, real against imagined, clips.

    Args:
        run: folder of a run, or of several in subfolders: run.json, log.jsonl and evaluations/, as far as there.
        out: file to write; RUN/report.html where not given.
    """
    from dreamgym.evaluation.pages.report import write_report

    if run.is_dir():
        check_file("--out", run / "report.html" if out is None else out)
    print(f"open {write_report(run, out)}")
