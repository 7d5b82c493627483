"""The tables of the docs say what the result file says."""

import importlib.util
import json
from pathlib import Path

import pytest

pytest.importorskip("matplotlib")

SCRIPT = Path(__file__).resolve().parents[3] / "benchmarks" / "diwa_results.py"


@pytest.fixture
def results(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("diwa_results", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "RESULTS", tmp_path)
    monkeypatch.setattr(module, "DOCS", tmp_path / "docs")
    return module


def row(task, seed, base, tuned, variant="vision"):
    imagined = {"base_imagined": 0.8, "tuned_imagined": 0.9}
    counts = {"episodes": 100, "dream_steps": 524288, "sim_steps": 0}
    return {"task": task, "seed": seed, "variant": variant, "base": base, "tuned": tuned, **imagined, **counts}


def test_seeds_are_pooled_and_tasks_averaged(results):
    rows = [row("open_drawer", 0, 0.4, 0.6), row("open_drawer", 1, 0.6, 0.8), row("turn_on_led", 0, 0.3, 0.2)]
    lines = results.summary(rows).replace("&nbsp;", " ").replace("&#8209;", "-").splitlines()
    assert lines[2].startswith("| `open_drawer` | 2 | 50 (43-57) | 70 (63-76) | **+20**")
    assert lines[3].startswith("| `turn_on_led` | 1 | 30 (22-40) | 20 (13-29) | **-10**")
    assert lines[4] == "| mean |  | 40.0 | 45.0 | **+5.0** | 80 | 90 |"


def test_page_and_pictures_are_written(results, tmp_path):
    found = {
        "machine": "a box", "settings": {"num_envs": 256},
        "rows": [row("open_drawer", 0, 0.4, 0.6), row("open_drawer", 0, 0.5, 0.6, "state")],
    }  # fmt: skip
    (tmp_path / "diwa.json").write_text(json.dumps(found))
    policies = [{"task": "open_drawer", "real": 0.1 * i, "imagined": 0.2 * i} for i in range(4)]
    (tmp_path / "agreement.json").write_text(json.dumps({"policies": policies}))
    assert results.main() == 0
    page = (tmp_path / "docs" / "diwa.md").read_text()
    assert "pixels alone" in page and "524,288 imagined steps a run" in page
    assert (tmp_path / "docs" / "diwa.png").stat().st_size > 0
    assert (tmp_path / "docs" / "agreement.png").stat().st_size > 0
