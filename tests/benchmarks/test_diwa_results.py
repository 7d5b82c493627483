"""The tables of the docs say what the result file says."""

import importlib.util
import json
from pathlib import Path

import pytest

pytest.importorskip("matplotlib")

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "diwa_results.py"


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(SCRIPT.parent)  # as when it is run
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
    assert "pixels alone" in page and "524,288 (vision), 524,288 (state); 0 in the simulator" in page
    assert (tmp_path / "docs" / "diwa.png").stat().st_size > 0
    assert (tmp_path / "docs" / "agreement.png").stat().st_size > 0


def test_ablations_have_a_line_a_variant_and_the_half_run_of_the_papers_weight(results, tmp_path):
    (tmp_path / "docs").mkdir()
    rows = [row("close_drawer", 0, 0.5, x, v) for x, v in ((0.2, "bc_0"), (0.7, "bc_0.025"), (0.6, "bc_0.05"))]
    page = results.ablation_tables([*rows, row("close_drawer", 0, 0.4, 0.9, "hybrid_decoded")])
    weights, others = (part.splitlines()[2:] for part in page.split("\n\n") if part.startswith("| task"))
    assert [line.split(" | ")[1] for line in weights] == ["0", "0.025", "0.05"]
    assert [line.split(" | ")[1] for line in others] == ["vision, classifier", "hybrid, decoded reward"]
    assert "70&nbsp;" in others[0]  # bc_0.025 is this task's weight
    assert (tmp_path / "docs" / "diwa_bc.png").stat().st_size > 0
    assert (tmp_path / "docs" / "diwa_variants.png").stat().st_size > 0


def test_the_online_baseline_stands_beside_its_dream(results):
    dream = {**row("close_drawer", 0, 0.5, 0.8), "seconds": 120.0}
    other = {**row("close_drawer", 0, 0.5, 0.6, "online"), "sim_steps": 90_000}
    missed = results.online([dream, {**other, "steps_to_match": None, "seconds_to_match": None}])
    matched = results.online([dream, {**other, "steps_to_match": 70_000, "seconds_to_match": 600.0}])
    assert "| 524,288 | 2.0&nbsp;min | not within 90,000 | - | 60&nbsp;" in missed
    assert "| 524,288 | 2.0&nbsp;min | 70,000 | 10.0&nbsp;min | 60&nbsp;" in matched


def test_nothing_measured_is_nothing_rendered(results):
    assert results.ablation_tables([row("open_drawer", 0, 0.4, 0.6)]).strip() == ""
