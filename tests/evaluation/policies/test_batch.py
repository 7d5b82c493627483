import importlib.util
import json
import sys
from dataclasses import replace
from importlib.metadata import EntryPoint

import pytest
import torch

from dreamgym.evaluation.policies import batch
from dreamgym.evaluation.policies.batch import evaluate_all, expand, made_for, run_folder
from dreamgym.evaluation.policies.config import EvaluationConfig
from dreamgym.evaluation.policies.load import HoldPolicy
from dreamgym.evaluation.policies.result import Evaluation
from dreamgym.evaluation.statistics.study import study
from dreamgym.testing import PointMassModel, PointMassReward, point_mass_checkpoint, point_mass_starts
from dreamgym.testing.point_mass import SIMULATOR
from dreamgym.training import checkpoint

POLICY = """
import torch

class Still:
    def __init__(self, spec): self.dim = spec.action.dim
    def start(self, num_envs, generator=None): return None
    def act(self, obs, carry, fresh, generator=None): return torch.zeros(len(fresh), self.dim), carry
"""
CONFIG = EvaluationConfig(episodes=6, horizon=12, simulators=2)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return str(point_mass_checkpoint(tmp_path_factory.mktemp("world") / "point"))


def save(run, name, **config):
    folder = run / "policies" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"policy": "held", **config}))
    return str(folder)


def test_a_run_stands_for_the_policies_saved_in_it(tmp_path):
    saved = [save(tmp_path, name) for name in ("000002", "000010")]
    assert expand(["random", str(tmp_path), saved[0]]) == ["random", *saved, saved[0]]
    assert run_folder([str(tmp_path)]) == tmp_path
    assert run_folder([saved[0]]) is run_folder(["random"]) is None


def test_a_folder_without_policies_is_refused(tmp_path):
    with pytest.raises(ValueError, match="neither the folder of a policy"):
        expand([str(tmp_path)])


def test_a_policy_says_what_it_was_made_for(tmp_path):
    assert made_for(save(tmp_path, "1", task="reach_top"), "task") == "reach_top"
    assert made_for("random", "task") is None


def test_nobody_saying_which_world_model_is_an_error():
    with pytest.raises(ValueError, match="--checkpoint"):
        list(evaluate_all(["random"], None))


@pytest.fixture
def counted(monkeypatch):
    """How often something was really evaluated."""
    calls, real = [], batch.evaluate

    def counting(*args, **kwargs):
        calls.append(args[0])
        return real(*args, **kwargs)

    monkeypatch.setattr(batch, "evaluate", counting)
    return calls


def test_what_was_evaluated_by_the_same_settings_is_not_evaluated_again(world, tmp_path, counted):
    first = list(evaluate_all(["random", "hold"], world, "reach_top", CONFIG, out=tmp_path))
    again = list(evaluate_all(["random", "hold"], world, "reach_top", CONFIG, out=tmp_path))
    assert counted == ["random", "hold"]
    assert [e.to_dict()["episodes"] for e in again] == [e.to_dict()["episodes"] for e in first]
    list(evaluate_all(["hold"], world, "reach_top", replace(CONFIG, num_workers=1), out=tmp_path))
    assert counted == ["random", "hold"]
    list(evaluate_all(["hold"], world, "reach_top", EvaluationConfig(episodes=2, horizon=4), out=tmp_path))
    assert counted == ["random", "hold", "hold"]


def test_what_has_no_hash_is_evaluated_again(world, tmp_path, counted, monkeypatch):
    monkeypatch.setattr(batch, "fingerprint", lambda source: None)
    monkeypatch.setattr("dreamgym.evaluation.policies.evaluate.fingerprint", lambda source: None)
    for _ in range(2):
        list(evaluate_all(["hold"], world, "reach_top", CONFIG, out=tmp_path))
    assert counted == ["hold", "hold"]


@pytest.mark.parametrize(
    "changes", [{"seed": 1}, {"horizon": 11}, {"split": "train"}, {"imagined": 7}, {"episodes": 5}, {"twin": False}]
)
def test_other_settings_are_another_evaluation(world, tmp_path, counted, changes):
    list(evaluate_all(["hold"], world, "reach_top", CONFIG, out=tmp_path))
    list(evaluate_all(["hold"], world, "reach_top", replace(CONFIG, **changes), out=tmp_path))
    assert counted == ["hold", "hold"]


def test_another_number_of_simulators_is_another_evaluation(world, tmp_path, counted):
    # The noise of policy and model is drawn for all envs together.
    two = next(evaluate_all(["random"], world, "reach_top", CONFIG, out=tmp_path))
    three = next(evaluate_all(["random"], world, "reach_top", replace(CONFIG, simulators=3), out=tmp_path))
    assert counted == ["random", "random"]
    assert three.config.simulators == 3
    assert two.twin.returns.tolist() != three.twin.returns.tolist()


@pytest.mark.parametrize("text", ["", "[]", '{"format": 1}', '{"format": 2, "episodes": []}', "\xff"])
def test_a_damaged_evaluation_is_made_again(world, tmp_path, counted, text, caplog):
    (tmp_path / "hold.reach_top.json").write_text(text, encoding="latin-1")
    done = next(evaluate_all(["hold"], world, "reach_top", CONFIG, out=tmp_path))
    assert counted == ["hold"]
    assert "hold.reach_top.json cannot be read as an evaluation" in caplog.text
    kept = Evaluation.load(tmp_path / "hold.reach_top.json").to_dict()
    assert kept["episodes"] == done.to_dict()["episodes"]


def load_held(folder, device):
    return HoldPolicy(PointMassModel().spec)


def test_a_policy_that_was_saved_anew_is_evaluated_again(world, tmp_path, counted, monkeypatch):
    found = [EntryPoint("held", f"{__name__}:load_held", "dreamgym.policies")]
    for module in ("load", "fingerprint"):
        monkeypatch.setattr(f"dreamgym.evaluation.policies.{module}.entry_points", lambda group: found)
    save(tmp_path, "000100", world_model=world, task="reach_top", metrics={"dream_steps": 5000})
    run = [str(tmp_path)]
    done = next(iter(evaluate_all(run, config=CONFIG, out=tmp_path / "evaluations")))
    assert (done.task, done.training["iteration"], done.score().step) == ("reach_top", 100, 5000)
    list(evaluate_all(run, config=CONFIG, out=tmp_path / "evaluations"))
    assert len(counted) == 1
    save(tmp_path, "000100", world_model=world, task="reach_top", metrics={"dream_steps": 6000})
    list(evaluate_all(run, config=CONFIG, out=tmp_path / "evaluations"))
    assert len(counted) == 2


PACED = """
import torch

class Still:
    def start(self, num_envs, generator):
        return None

    def act(self, obs, carry, fresh, generator):
        return torch.tensor([PACE, 0.0, -1.0]).expand(len(fresh), 3), None
"""


def test_a_policy_whose_file_was_edited_is_evaluated_again(world, tmp_path, counted):
    file, rates = tmp_path / "own.py", []
    for pace in ("0.0", "0.0", "1.0"):
        file.write_text(PACED.replace("PACE", pace))
        done = next(evaluate_all([f"{file}:Still"], world, "reach_right", CONFIG, out=tmp_path / "out"))
        rates.append(done.twin.rate)
    assert len(counted) == 2
    assert rates == [0, 0, 1]


def test_a_file_of_the_working_directory_is_no_exception(world, tmp_path, counted, monkeypatch):
    monkeypatch.chdir(tmp_path)  # "own.py:Still" names no package "own"
    rates = []
    for pace in ("0.0", "1.0"):
        (tmp_path / "own.py").write_text(PACED.replace("PACE", pace))
        rates.append(next(evaluate_all(["own.py:Still"], world, "reach_right", CONFIG, out=tmp_path / "out")).twin.rate)
    assert rates == [0, 1]


def test_a_module_that_was_edited_is_read_anew(world, tmp_path, counted, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    rates = []
    for pace in ("0.0", "1.00", "1.00"):  # bytecode is told apart by its source's size and second
        (tmp_path / "edited_policy.py").write_text(PACED.replace("PACE", pace))
        done = next(evaluate_all(["edited_policy:Still"], world, "reach_right", CONFIG, out=tmp_path / "out"))
        rates.append(done.twin.rate)
    assert rates == [0, 1, 1]
    assert len(counted) == 2


def test_a_world_model_that_was_trained_anew_is_asked_again(tmp_path, counted):
    for gain, calls in ((0.1, 1), (0.1, 1), (0.2, 2)):
        path = tmp_path / "world"
        model = PointMassModel()
        model.gain.data.fill_(gain)
        starts = point_mass_starts()
        parts = {"starts": starts.to_tensors(), "starts_meta": {"tasks": list(starts.tasks)}, "simulator": SIMULATOR}
        checkpoint.save(path, model, rewards={"success": PointMassReward()}, **parts)
        list(evaluate_all(["hold"], str(path), "reach_top", CONFIG, out=tmp_path / "out"))
        assert len(counted) == calls


class Pace:
    """To the right, at a pace."""

    def __init__(self, pace):
        self.pace = pace

    def start(self, num_envs, generator):
        return None

    def act(self, obs, carry, fresh, generator):
        return torch.tensor([self.pace, 0.0, -1.0]).expand(len(fresh), 3), None


def test_policies_from_bad_to_good_are_ranked_alike_by_an_exact_dream(world):
    paces = (0.0, 0.2, 0.35, 0.5, 0.7)
    evaluations = [
        batch.evaluate(Pace(p), world, "reach_right", episodes=10, imagined=20, horizon=12, name=f"{p}") for p in paces
    ]
    found = study(evaluations, num_real=8, num_imagined=20, rounds=20, steps=[1, 2, 3, 4, 5])
    told = json.loads(json.dumps(found.to_dict()))
    rates = [p["real"] for p in told["policies"]]
    assert rates[0] == 0 and rates[-1] == 1 and rates == sorted(rates)
    assert told["pearson"] > 0.95
    assert told["mmrv"] <= told["mmrv_floor_95"]
    assert told["classifier"]["episode_f1"] == 1
    assert told["classifier"]["ece"] < 0.1
    assert [g["step"] for g in told["exploitation_gap"]] == [1, 2, 3, 4, 5]
    assert max(abs(g["gap"]) for g in told["exploitation_gap"]) < 0.2
    assert told["drift"]["5"]["position"] == pytest.approx(0, abs=1e-3)
    assert 0 < told["coverage_95"] <= 1
    assert told["by_task"] == {}  # one task: nothing to part


def test_several_tasks_are_also_ranked_apart(world):
    evaluations = [
        batch.evaluate(Pace(p), world, task, episodes=3, horizon=8, name=f"{p}")
        for task in ("reach_right", "reach_top")
        for p in (0.0, 0.4, 0.8)
    ]
    told = study(evaluations, num_real=3, num_imagined=3, rounds=5).to_dict()
    assert told["num_policies"] == 6
    assert {task: t["num_policies"] for task, t in told["by_task"].items()} == {"reach_right": 3, "reach_top": 3}
    assert told["by_task"]["reach_right"]["pearson"] > 0.9
    assert told["by_task"]["reach_top"]["pearson"] is None  # it never goes up: nothing varies


def test_a_study_of_nothing_is_refused(world):
    alone = batch.evaluate("hold", world, "reach_top", episodes=2, horizon=3, twin=False)
    with pytest.raises(ValueError, match="both dream and twin"):
        study([alone])


def test_two_policies_of_one_name_do_not_replace_each_other(world, tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "p.py").write_text(POLICY)
    sources = [f"{tmp_path / folder / 'p.py'}:Still" for folder in ("a", "b")]
    with pytest.raises(ValueError, match=r"are both called 'p:Still', .* rename one"):
        list(evaluate_all(sources, world, config=CONFIG, out=tmp_path / "scores"))
    assert not (tmp_path / "scores").exists()


def test_what_is_wrong_with_a_policy_is_told_with_its_name(world, tmp_path):
    (tmp_path / "p.py").write_text(POLICY.replace("torch.zeros", "float('nan') + torch.zeros"))
    with pytest.raises(ValueError, match="p:Still: expected finite actions"):
        list(evaluate_all([f"{tmp_path / 'p.py'}:Still"], world, config=CONFIG))


def test_actions_far_outside_the_bounds_are_told_of(world, tmp_path, caplog):
    (tmp_path / "p.py").write_text(POLICY.replace("torch.zeros", "3000 + torch.zeros"))
    list(evaluate_all([f"{tmp_path / 'p.py'}:Still"], world, config=CONFIG))
    assert "100% of the policy's action entries lay outside the bounds" in caplog.text


FAMILY = """
import dreamgym
from dreamgym.testing import PointMassModel

class Mine(PointMassModel):
    def imagine(self, state, action, generator=None):
        return super().imagine(state, SPEED * action, generator)
"""


def test_a_family_whose_script_was_edited_is_asked_again(tmp_path, counted, monkeypatch):
    point_mass_checkpoint(tmp_path / "point")
    config = replace(CONFIG, twin=False)

    def evaluated(speed):
        (tmp_path / "mine.py").write_text(FAMILY.replace("SPEED", speed))
        spec = importlib.util.spec_from_file_location("mine_family", tmp_path / "mine.py")
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, "mine_family", module)
        spec.loader.exec_module(module)
        opened = checkpoint.load(tmp_path / "point")
        opened.model.__class__ = module.Mine
        monkeypatch.setattr(batch, "open_world", lambda name: opened)
        list(evaluate_all(["hold"], str(tmp_path / "point"), config=config, out=tmp_path / "scores"))

    evaluated("1.0")
    evaluated("1.0")
    assert len(counted) == 1
    evaluated("0.5")
    assert len(counted) == 2
