"""The experiment from converged clones, end to end on the point mass: what chooses, what is reported, what is kept."""

import importlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from point_policies import write_store

from dreamgym.testing.point_mass import PointMassModel, PointMassReward
from dreamgym.testing.points import save_toy
from dreamgym.training.checkpoint import load
from dreamgym.types import SPLITS

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
SMALL = [
    "--tasks=reach_right", "--steps=1024", "--online-steps=256", "--num-envs=8", "--eval-every=4", "--simulators=4",
    "--episodes=8", "--val-episodes=8", "--horizon=16", "--epochs", "1", "2", "4",
]  # fmt: skip


@pytest.fixture(scope="module")
def experiment():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        yield importlib.import_module("converged_clones")


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clones")
    world = save_toy(folder / "world", PointMassModel(), PointMassReward(), "point_mass")
    store = write_store(folder / "store", lengths=(9, 12, 7, 9, 8, 10, 11)).path
    return ["--store", str(store), "--world", str(world), *SMALL]


@pytest.fixture(scope="module")
def done(experiment, words, tmp_path_factory):
    """A work folder with one row of the dream and one of the Gaussian clone; and the rows by name."""
    work = tmp_path_factory.mktemp("work")
    call = ["--work", str(work), *words, "--groups", "2:1", "--variants", "dream", "gaussian"]
    assert experiment.main(call) == 0
    return work, {f.name.split(".")[0]: json.loads(f.read_text()) for f in (work / "rows").iterdir()}, call


def test_success_is_reported_from_test_starts_and_epochs_are_chosen_on_val(done, words):
    work, rows, _ = done
    row, split = rows["dream"], load(words[3]).starts["split"]
    assert {int(split[i]) for i in row["starts"]} == {SPLITS.index("test")} and len(set(row["starts"])) == 8
    best = max(row["val"].values())
    assert row["epochs"] == min(int(e) for e, rate in row["val"].items() if rate == best)
    for file in (work / "clones/diffusion/reach_right_2_1").glob("*_val/*.json"):
        told = json.loads(file.read_text())
        assert {int(split[i]) for i in told["episodes"]["twin"]["row"]} == {SPLITS.index("val")} and told["episodes"][
            "dream"
        ] is None


def test_cloning_ends_with_the_first_that_is_no_better(experiment, words, tmp_path, monkeypatch):
    rates = iter([0.4, 0.6, 0.6, 1.0])
    monkeypatch.setattr(experiment.Row, "val", lambda row, folder: next(rates))
    monkeypatch.setattr(experiment.Row, "fit_clone", lambda row, folder, data, epochs: None)
    options = replace_epochs(experiment.parse(["--work", str(tmp_path), *words, "--groups", "1:0"]), [1, 2, 3, 4])
    row = next(experiment.wanted(options, load(options.world)))
    assert list(row.clones()) == [1, 2, 3]


def replace_epochs(options, epochs):
    options.epochs = epochs
    return options


def test_a_row_holds_what_its_figures_rest_on(done, words):
    row = done[1]["dream"]
    assert row["base"] == np.mean([int(x) for x in row["base_outcomes"]])
    assert row["tuned"] == np.mean([int(x) for x in row["tuned_outcomes"]])
    assert row["gain"]["mean"] == pytest.approx(row["tuned"] - row["base"])
    assert row["sim_steps"] == 0 and row["dream_steps"] >= 1024 and row["chosen_sim_steps"] > 0
    assert {"model", "starts", "settings", "demonstrations"} <= set(row["hashes"]) and row["commit"] and row["machine"]


def test_a_clone_alone_has_no_tuned_side(done):
    row = done[1]["gaussian"]
    assert row["policy"] == "gaussian" and "base" in row and "tuned" not in row and "dream_steps" not in row


def test_fine_tuning_begins_from_the_chosen_clone(done):
    from dreamgym_agents.diffusion_ppo import load_policy

    work, rows, _ = done
    clone = load_policy(work / f"clones/diffusion/reach_right_2_1/{rows['dream']['epochs']:05d}")
    before = load_policy(work / "dream/reach_right_2_1/policies/iteration_000000")
    frozen, first = (dict(p.named_parameters()) for p in (clone, before))
    assert all(torch.equal(value, first[name]) for name, value in frozen.items())


def test_what_is_done_is_not_done_again_and_the_same_row_comes_out_anew(done, experiment, words, tmp_path):
    work, rows, call = done
    stamps = {f: f.stat().st_mtime_ns for f in (work / "rows").iterdir()}
    assert experiment.main(call) == 0
    assert stamps == {f: f.stat().st_mtime_ns for f in (work / "rows").iterdir()}
    assert experiment.main(["--work", str(tmp_path), *words, "--groups", "2:1"]) == 0
    (again,) = (json.loads(f.read_text()) for f in (tmp_path / "rows").iterdir())
    assert again == rows["dream"]


def test_seeds_take_other_demonstrations_and_too_few_are_told(experiment, words, tmp_path):
    options = experiment.parse(["--work", str(tmp_path), *words, "--groups", "2:0", "2:1", "2:2", "4:1"])
    first, second, third, short = experiment.wanted(options, load(options.world))
    taken = [[m["episode_index"] for m in row.view().metas] for row in (first, second, third)]
    assert taken == [[0, 1], [2, 3], [4, 5]]
    with pytest.raises(ValueError, match="seed 1 needs 4 to 7: collect more"):
        short.view()


def test_more_demonstrations_cost_what_the_worlds_own_data_cost(experiment, words, tmp_path):
    world = load(words[3])
    world = replace(world, metrics={"data": {"play": {"steps": 60}, "demonstration": {"steps": 24}}})
    options = experiment.parse(["--work", str(tmp_path), *words, "--groups", "2:0", "--variants", "more"])
    (row,) = experiment.wanted(options, world)
    # 84 steps of three tasks are 28 a task, demonstrations of 9.5 steps on average: three more.
    assert len(row.view()) == 5


@pytest.mark.parametrize("name", ["online", "online_no_cloning"])
def test_online_rows_count_their_simulator_steps(experiment, words, tmp_path, name):
    assert experiment.main(["--work", str(tmp_path), *words, "--groups", "1:0", "--variants", name]) == 0
    (row,) = (json.loads(f.read_text()) for f in (tmp_path / "rows").iterdir())
    assert row["sim_steps"] >= 256 and row["dream_steps"] == 0
    told = json.loads((tmp_path / name / "reach_right_1_0/tune.json").read_text())
    assert told["bc_weight"] == (0.05 if name == "online" else 0.0)


def test_clones_of_another_world_model_are_not_taken(done, experiment):
    work, _, _ = done
    (work / "world_model.sha256").rename(work / "kept")
    try:
        (work / "world_model.sha256").write_text("another")
        with pytest.raises(ValueError, match="give another --work"):
            experiment.main(done[2])
    finally:
        (work / "kept").rename(work / "world_model.sha256")
