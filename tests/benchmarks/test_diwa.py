"""The experiment's script goes on where it was and refuses what it cannot do."""

import importlib.util
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "diwa.py"


@pytest.fixture
def diwa():
    spec = importlib.util.spec_from_file_location("diwa_benchmark", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules["diwa_benchmark"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules["diwa_benchmark"]


def words(tmp_path, *more):
    return ["--work", str(tmp_path), "--demonstrations", str(tmp_path), "--out", str(tmp_path / "rows.json"), *more]


def test_rows_that_are_there_are_not_made_again(diwa, tmp_path, monkeypatch):
    made = []

    def fake(row, others):
        made.append((row.task, row.seed, row.name))
        if len(made) == 2:
            raise diwa.Stopped("stopped", SimpleNamespace(exit_code=143))
        return {"task": row.task, "seed": row.seed, "variant": row.name, "tuned": 0.5}

    monkeypatch.setattr(diwa.Row, "made", fake)
    args = words(tmp_path, "--tasks", "open_drawer", "close_drawer", "--seeds", "0")
    assert diwa.main(args) == 143
    assert diwa.main(args) == 0
    assert made == [("open_drawer", 0, "vision"), ("close_drawer", 0, "vision"), ("close_drawer", 0, "vision")]
    rows = json.loads((tmp_path / "rows.json").read_text())["rows"]
    assert [r["task"] for r in rows] == ["open_drawer", "close_drawer"]


def test_a_variant_without_its_world_model_is_told(diwa, tmp_path):
    with pytest.raises(SystemExit, match="--worlds hybrid=FOLDER"):
        diwa.parse(words(tmp_path, "--variants", "hybrid_decoded"))


def test_a_quick_look_never_overwrites_the_measured_table(diwa, tmp_path):
    with pytest.raises(SystemExit, match="another --out"):
        diwa.parse(["--work", str(tmp_path), "--demonstrations", str(tmp_path), "--quick"])


def test_the_main_table_has_the_papers_weights(diwa):
    assert diwa.VARIANTS["vision"].bc_weight is None
    assert diwa.BC_WEIGHT == {"open_drawer": 0.1, "close_drawer": 0.025, "turn_on_led": 0.025}
    assert {v.bc_weight for k, v in diwa.VARIANTS.items() if k.startswith("bc_")} == {0.0, 0.025, 0.05, 0.1, 0.5}


def test_rows_of_two_processes_come_together(diwa, tmp_path, monkeypatch):
    def fake(row, others):
        if row.task == "open_drawer":  # somebody else's row lands while this one is under way
            assert diwa.main(words(tmp_path, "--tasks", "close_drawer", "--seeds", "0")) == 0
        return {"task": row.task, "seed": row.seed, "variant": row.name, "tuned": 0.5}

    monkeypatch.setattr(diwa.Row, "made", fake)
    assert diwa.main(words(tmp_path, "--tasks", "open_drawer", "--seeds", "0")) == 0
    rows = json.loads((tmp_path / "rows.json").read_text())["rows"]
    assert {r["task"] for r in rows} == {"open_drawer", "close_drawer"}
