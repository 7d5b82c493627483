"""The notebook runs from top to bottom."""

from pathlib import Path

import pytest

nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")
pytest.importorskip("gym_pusht")
TOUR = Path(__file__).resolve().parents[2] / "examples" / "tour.ipynb"


def test_it_runs_from_top_to_bottom(tmp_path):
    notebook = nbformat.read(TOUR, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells)  # what stands in the repository has none
    nbclient.NotebookClient(notebook, timeout=240, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert any("image/png" in output.get("data", {}) for output in shown)
    assert any("imagined steps a second" in output.get("text", "") for output in shown)
