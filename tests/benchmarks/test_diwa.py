"""The experiment's script goes on where it was and refuses what it cannot do."""

import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from dreamgym.data import EpisodeStore
from dreamgym.evaluation.policies.evaluate import evaluate
from dreamgym.evaluation.policies.result import Evaluation
from dreamgym.testing import point_mass_checkpoint

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
    return ["--work", str(tmp_path), "--store", str(tmp_path), "--out", str(tmp_path / "rows.json"), *more]


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
        diwa.parse(["--work", str(tmp_path), "--store", str(tmp_path), "--quick"])


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


def walks(path, num=48, rows=14):
    """Demonstrations of the point mass that go anywhere, four steps in a direction: few reach the right."""
    keys = {"robot_obs": ((3,), "float32"), "rgb_static": ((16, 16, 3), "uint8"), "action": ((3,), "float32")}
    store, rng = EpisodeStore.create(path, keys), np.random.default_rng(0)
    for i in range(num):
        way = rng.normal(0, 0.5, (rows // 4 + 1, 3)).repeat(4, 0)[:rows].clip(-1, 1)
        way[:, 2] = -1
        place = (rng.uniform(-0.4, 0.4, 2) + 0.1 * np.cumsum(way[:, :2], 0)).clip(-1, 1)
        episode = {
            "robot_obs": np.concatenate([place, np.zeros((rows, 1))], 1).astype(np.float32),
            "rgb_static": np.zeros((rows, 16, 16, 3), np.uint8),
            "action": way.astype(np.float32),
        }
        meta = {"task": "reach_right", "success": True, "split": "val" if i % 6 == 5 else "train", "episode_index": i}
        store.append([(episode, meta)])
    return path


@pytest.fixture
def row(diwa, tmp_path, monkeypatch):
    """One row of the experiment, on the point mass, small."""
    tiny = replace(
        diwa.TuneConfig.tiny(), actor_lr=1e-3, critic_hidden=(32,), critic_warmup=1, num_updates=5, batch_size=512,
        eval_episodes=32,
    )  # fmt: skip
    monkeypatch.setattr(diwa.TuneConfig, "tiny", classmethod(lambda cls: tiny))
    world = point_mass_checkpoint(tmp_path / "point")
    options = diwa.parse(words(tmp_path, "--worlds", f"vision={world}", "--epochs", "all=30", "--episodes", "24"))
    options.store, options.num_envs, options.eval_every = walks(tmp_path / "walks"), 32, 3
    options.steps = 60_000
    return diwa.Row("reach_right", 0, "gaussian", diwa.VARIANTS["gaussian"], options)


def score(folder, world):
    """Success of a saved policy in the twin and in the dream, apart from the experiment's script."""
    found = evaluate(folder, str(world), "reach_right", episodes=24)
    return found.twin.rate, found.dream.rate


def test_a_row_scores_the_clone_and_the_best_of_what_became_of_it(diwa, row, tmp_path, monkeypatch):
    tune, results = diwa.tune, []

    def tune_and_tell(*args, **kwargs):
        # A middle one is to be the best: else the last would look as well chosen as the highest.
        result = tune(*args, **kwargs)
        middle = len(result.evaluations) // 2
        told = [{**e, "return": e["return"] + 1e3 * (i == middle)} for i, e in enumerate(result.evaluations)]
        results.append(replace(result, evaluations=told))
        return results[-1]

    monkeypatch.setattr(diwa, "tune", tune_and_tell)
    made = row.made([])
    first, *_, last = (e["iteration"] for e in results[0].evaluations)
    best = results[0].evaluations[len(results[0].evaluations) // 2]["iteration"]
    rates = {i: score(row.run / "policies" / f"iteration_{i:06d}", row.world) for i in (first, best, last)}
    assert made["iteration"] == best not in (first, last)
    assert (made["tuned"], made["tuned_imagined"]) == pytest.approx(rates[best], abs=1e-5)
    assert (made["base"], made["base_imagined"]) == pytest.approx(score(row.base(), row.world), abs=1e-5)
    assert rates[first] == pytest.approx((made["base"], made["base_imagined"]), abs=1e-5)  # begun with the clone
    assert rates[first][0] + 0.2 < rates[best][0]  # what the dream taught holds in the simulator
    assert rates[best] != rates[last]  # so the choice shows in the figures
    assert made["sim_steps"] == 0 < made["dream_steps"]
    kept = Evaluation.load(row.run / "evaluations" / "base.reach_right.json")
    assert (kept.twin.rate, kept.step) == (pytest.approx(made["base"], abs=1e-5), 0)
