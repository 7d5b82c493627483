"""What a dream says of policies in several ways, beside what they came to in the simulator."""

import importlib
import json
from pathlib import Path

import pytest
import torch
from point_policies import make_policy

from dreamgym.evaluation.policies.evaluate import evaluate
from dreamgym.testing.point_mass import PointMassConfig, PointMassModel, PointMassReward
from dreamgym.testing.points import save_toy
from dreamgym.training.checkpoint import load

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def gap():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        yield importlib.import_module("dream_gap")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gap") / "world"
    return save_toy(folder, PointMassModel(PointMassConfig(uncertainty_limit=1e9)), PointMassReward(), "point_mass")


@pytest.fixture(scope="module")
def work(world, tmp_path_factory):
    from dreamgym_agents.diffusion_ppo import save_policy

    folder = tmp_path_factory.mktemp("work")
    for seed in range(2):
        saved = save_policy(folder / f"clones/{seed}", make_policy(seed=seed), task="reach_right")
        told = evaluate(str(saved), str(world), "reach_right", episodes=8, horizon=24, split="test")
        told.save(folder / f"clones/{seed}_test/policy.json")
    return folder


def test_plain_is_what_the_evaluation_says_and_a_limit_of_nothing_fails_all(gap, world, work):
    opened = load(world)
    all_modes = {"plain": gap.Mode(opened), "never": gap.Mode(opened, 1e9), "always": gap.Mode(opened, -1.0)}
    told = gap.measured(work, all_modes)
    by_mode = {name: [r for r in told["rows"] if r["mode"] == name] for name in all_modes}
    before = [e.dream.rate for _, e in gap.found(work)]
    assert [r["imagined"] for r in by_mode["plain"]] == before == [r["imagined"] for r in by_mode["never"]]
    assert all(r["imagined"] == 0 for r in by_mode["always"]) and max(before) > 0
    assert told["modes"]["always"]["mean_gap"] == -sum(r["real"] for r in by_mode["always"]) / 2


def test_the_mean_of_classifiers_lies_between_them(gap):
    low, high = PointMassReward(), PointMassReward()
    high.thresholds += 0.4
    mean, model = gap.MeanReward([low, high]), PointMassModel()
    state = {"position": torch.tensor([[0.5, 0.0]]), "lamp": torch.zeros(1)}
    task = torch.zeros(1, dtype=torch.int64)
    memory = mean.start(model, state, task)
    alone = low.probability(model, low.start(model, state, task), state, task)
    assert mean.probability(model, memory, state, task) == alone
    assert torch.allclose(mean.thresholds, torch.full((3,), 0.7))


def test_a_classifier_of_another_model_is_refused(gap, world, tmp_path):
    other = save_toy(tmp_path / "other", PointMassModel(PointMassConfig(noise=0.1)), PointMassReward(), "point_mass")
    model = PointMassModel(PointMassConfig(uncertainty_limit=1e9))
    same = save_toy(tmp_path / "same", model, PointMassReward(), "point_mass")
    assert "classifiers" in gap.modes(load(world), [], [str(same)])
    with pytest.raises(ValueError, match="another world model"):
        gap.modes(load(world), [], [str(other)])


def test_the_file_says_what_it_was_measured_with(gap, world, work, tmp_path):
    out = tmp_path / "gap.json"
    assert gap.main([str(work), "--world", str(world), "--limits", "1", "--out", str(out)]) == 0
    told = json.loads(out.read_text())
    assert set(told["modes"]) == {"plain", "limit 1"} and len(told["rows"]) == 4
    assert told["commit"] and told["hashes"]["model"] and told["settings"]["limits"] == [1.0]


def test_a_folder_without_evaluations_is_told(gap, world, tmp_path):
    with pytest.raises(ValueError, match="no policy"):
        gap.measured(tmp_path, {"plain": gap.Mode(load(world))})
