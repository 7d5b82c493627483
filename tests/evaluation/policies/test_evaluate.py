import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dreamgym.evaluation.policies.config import EvaluationConfig
from dreamgym.evaluation.policies.evaluate import evaluate
from dreamgym.evaluation.policies.result import Evaluation, evaluation_file
from dreamgym.evaluation.policies.setup import choose_rows, open_world
from dreamgym.testing import PointMassConfig, point_mass_checkpoint, point_mass_starts
from dreamgym.training.checkpoint import load

evaluation = sys.modules["dreamgym.evaluation.policies.evaluate"]


class Right:
    """Goes to the right at a given pace."""

    def __init__(self, pace=1.0):
        self.pace, self.fresh = pace, []

    def start(self, num_envs, generator):
        return torch.zeros(num_envs)

    def act(self, obs, carry, fresh, generator):
        self.fresh.append(fresh.clone())
        action = torch.tensor([self.pace, 0.0, -1.0]).expand(len(fresh), 3)
        return action, torch.where(fresh, 0.0, carry) + 1


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(point_mass_checkpoint(tmp_path_factory.mktemp("world") / "point"))


def run(folder, policy=None, **changes):
    options = {"episodes": 10, "horizon": 20, "simulators": 3, **changes}
    return evaluate(Right() if policy is None else policy, folder, "reach_right", **options)


@pytest.fixture(scope="module")
def result(folder):
    return run(folder, imagined=25)


def test_a_policy_that_reaches_its_goal_succeeds_in_both_worlds(result):
    assert result.dream.rate == result.twin.rate == 1
    x = point_mass_starts().states["position"][:, 0].float().numpy()[result.twin.row]
    expected = np.ceil(np.round((0.5 - x) / 0.1, 4)).astype(int)
    assert result.twin.length.tolist() == expected.tolist()


def test_episodes_begin_from_the_same_held_out_starts_in_both_worlds(result):
    bank = point_mass_starts()
    assert result.dream.row[:10].tolist() == result.twin.row.tolist()
    assert set(bank.split[result.dream.row].tolist()) == {1}
    assert set(bank.task[result.dream.row].tolist()) == {bank.tasks.index("reach_right")}


def test_an_exact_dream_and_its_twin_tell_the_same_story(result):
    assert result.dream.length[:10].tolist() == result.twin.length.tolist()
    np.testing.assert_allclose(result.dream.returns[:10], result.twin.returns, rtol=1e-4)
    assert result.twin.found.all()


def test_a_policy_that_fails_is_cut_off_at_the_horizon(folder):
    lazy = run(folder, Right(0.0), episodes=4)
    assert lazy.twin.rate == lazy.dream.rate == 0
    assert lazy.twin.length.tolist() == lazy.dream.length.tolist() == [20] * 4
    assert lazy.summary()["classifier"]["episode_f1"] == 1  # nothing to find, nothing found


def test_the_policy_is_told_where_an_episode_begins(folder):
    policy = Right()
    run(folder, policy, dream=False, episodes=5, simulators=2)
    assert policy.fresh[0].all()
    assert sum(bool(f.all()) for f in policy.fresh) == 3  # two episodes at a time
    assert sum(bool(f.any()) for f in policy.fresh) == 3


class Obedient(Right):
    """Goes where it is told to."""

    def begin(self, carry, fresh, tasks):
        assert len(fresh) == len(tasks)
        way = torch.tensor([{"reach_right": (1.0, 0.0, -1.0), "reach_top": (0.0, 1.0, -1.0)}[t] for t in tasks])
        return torch.where(fresh[:, None], way, carry)

    def start(self, num_envs, generator):
        return torch.zeros(num_envs, 3)

    def act(self, obs, carry, fresh, generator):
        return carry, carry


def test_a_policy_of_several_tasks_is_told_what_to_do(folder):
    tasks, options = ["reach_right", "reach_top"], {"episodes": 10, "horizon": 20, "simulators": 3}
    found = evaluate(Obedient(), folder, tasks, **options)
    assert found.dream.rate == found.twin.rate == 1
    assert len(set(found.twin.task.tolist())) == 2
    assert evaluate(Right(), folder, tasks, **options).twin.rate == 0.5


def test_how_many_simulators_run_does_not_change_what_a_policy_without_noise_comes_to(folder):
    one, three = (run(folder, dream=False, simulators=n) for n in (1, 3))
    assert one.twin.to_dict() == three.twin.to_dict()


def test_a_result_says_where_it_comes_from(result, folder):
    told = result.to_dict()
    files = json.loads((Path(folder) / "config.json").read_text())["files"]
    assert told["hashes"]["model"] == files["model.safetensors"]
    assert told["hashes"]["starts"] == files["starts.safetensors"]
    assert set(told["hashes"]) >= {"model", "starts", "settings"}
    assert told["config"]["split"] == "val"  # the bank has no test starts
    assert {"commit", "machine", "library_version"} <= set(told)
    assert Evaluation.load(result.save(Path(folder).parent / "kept.json")).hashes == told["hashes"]


def test_a_seed_repeats_and_another_does_not(folder):
    a, b, c = (run(folder, "random", seed=s, episodes=6).to_dict() for s in (1, 1, 2))
    assert a == b
    assert a["episodes"] != c["episodes"]


def test_a_dream_that_runs_ahead_is_found_out(tmp_path):
    path = point_mass_checkpoint(tmp_path / "fast")
    opened = load(path)
    opened.model.gain.data *= 1.5
    fast = evaluate(Right(0.5), opened, "reach_right", episodes=8, horizon=10, clips=0)
    assert fast.dream.rate > fast.twin.rate
    drift = [fast.drift[h]["position"] for h in ("1", "5")]
    assert drift == pytest.approx([0.025, 0.125], rel=0.05)
    assert fast.score().imagined - fast.score().real == pytest.approx(fast.dream.rate - fast.twin.rate)


def test_the_summary_has_intervals_and_counts_starts(result):
    told = result.summary()
    assert told["twin"]["num_episodes"] == 10
    assert told["dream"]["num_episodes"] == 25
    assert told["dream"]["num_starts"] == len(set(result.dream.row.tolist())) <= 11
    assert told["twin"]["interval_95"] == pytest.approx([0.7224672, 1.0], abs=1e-6)


def test_further_imagined_episodes_give_an_estimate_of_real_success(tmp_path):
    path = point_mass_checkpoint(tmp_path / "noisy", PointMassConfig(noise=0.02))
    found = evaluate(Right(0.4), str(path), "reach_right", episodes=10, imagined=200, horizon=12)
    told = found.summary()["estimate"]
    assert told["num_real"] == 10
    assert told["num_imagined"] == 190
    assert told["low"] <= found.twin.rate <= told["high"]
    assert run_without_more(path).estimate() is None


def run_without_more(path):
    return evaluate("hold", str(path), "reach_right", episodes=2, horizon=3)


def test_it_is_saved_as_json_and_read_back(result, tmp_path):
    path = result.save(evaluation_file(tmp_path / "evaluations", "a/b c", result.task))
    assert path.name == "a_b_c.reach_right.json"
    assert json.loads(path.read_text())["twin"]["success_rate"] == 1
    assert Evaluation.load(path).to_dict() == result.to_dict()
    assert not list(path.parent.glob("*.part"))


def test_a_damaged_file_names_itself(tmp_path):
    (tmp_path / "broken.json").write_text('{"format": 1}')
    with pytest.raises(ValueError, match="broken.json cannot be read"):
        Evaluation.load(tmp_path / "broken.json")


def test_all_tasks_share_the_episodes(folder):
    mixed = evaluate("random", folder, "all", episodes=6, horizon=3, dream=False)
    assert np.bincount(mixed.twin.task).tolist() == [2, 2, 2]
    assert mixed.task == "reach_right,reach_top,turn_on_lamp"


def test_rows_repeat_only_when_all_were_used():
    bank = point_mass_starts()
    row, _ = choose_rows(bank, ["reach_top"], 25, "val", 0)
    own = len(bank.candidates("reach_top", "val"))
    assert len(set(row[:own].tolist())) == own
    assert set(np.unique(row, return_counts=True)[1].tolist()) <= {25 // own, 25 // own + 1}


class Looking(Right):
    obs = "pixels"

    def act(self, obs, carry, fresh, generator):
        assert obs["rgb_static"].shape == (len(fresh), 16, 16, 3)
        return super().act(obs, carry, fresh, generator)


def test_a_policy_may_ask_for_pixels(folder):
    assert run(folder, Looking(), episodes=2).twin.rate == 1


def test_cameras_that_the_model_does_not_read_are_not_drawn(folder, monkeypatch):
    asked, suite = (
        [],
        replace(evaluation.suite_of({"id": "point_mass"}), cameras={"rgb_static": "top", "rgb_x": "side"}),
    )
    opened = replace(load(folder), simulator={"id": "point_mass", "kwargs": {"cameras": ["side", "top", "other"]}})
    monkeypatch.setattr(evaluation, "suite_of", lambda simulator: suite)
    monkeypatch.setattr(evaluation.twin, "make_core", lambda *_, **options: asked.append(options) or 1 / 0)
    for policy in (Right(), Looking()):
        with pytest.raises(ZeroDivisionError):
            run(opened, policy, dream=False)
    assert asked[0]["simulator_kwargs"] == {"cameras": ("top", "other")}  # of another nothing is known
    assert asked[1]["simulator_kwargs"] == {}  # this one looks at all of them


def test_clips_show_successes_and_disagreements(tmp_path):
    pillow = pytest.importorskip("PIL.Image")
    opened = load(point_mass_checkpoint(tmp_path / "fast"))
    opened.model.gain.data *= 1.5
    found = evaluate(Right(0.5), opened, "reach_right", episodes=8, horizon=10, clips=2, clips_to=tmp_path / "clips")
    assert {c["kind"] for c in found.clips} <= {"successes", "disagreements"}
    assert "disagreements" in {c["kind"] for c in found.clips}
    with pillow.open(tmp_path / "clips" / found.clips[0]["file"]) as gif:
        assert gif.n_frames > 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"imagined": 2}, "needs an imagined one"),
        ({"episodes": 0}, "at least 1"),
        ({"dream": False, "twin": False}, "nothing to evaluate"),
        ({"split": "held out"}, "split must be"),
        ({"split": "test"}, "no test start"),
    ],
)
def test_settings_that_cannot_be_are_refused(folder, changes, message):
    with pytest.raises(ValueError, match=message):
        run(folder, **changes)


def test_a_policy_that_returns_nan_is_told_so(folder):
    with pytest.raises(ValueError, match="the policy returned NaN or infinity in 3 of 3 envs"):
        run(folder, Right(float("nan")), dream=False)


def test_an_unknown_task_is_refused(folder):
    with pytest.raises(ValueError, match="unknown task \\['fly'\\]"):
        evaluate("hold", folder, "fly")


def test_an_id_without_a_world_model_is_refused():
    with pytest.raises(ValueError, match="stands for no world model"):
        open_world("Dream-v0")


def test_clips_that_nobody_asks_for_ask_for_nothing():
    plain, shown = EvaluationConfig(), EvaluationConfig(clips=3)
    assert plain.asks_no_more_than(shown)
    assert not shown.asks_no_more_than(plain)
    assert not plain.asks_no_more_than(EvaluationConfig(seed=1))


def test_a_config_is_refused_whose_numbers_make_no_sense():
    with pytest.raises(ValueError, match="clips at least 0"):
        EvaluationConfig(clips=-1)
