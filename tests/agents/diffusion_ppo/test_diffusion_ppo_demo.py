"""The demo's part on fine-tuning, on a point mass that takes seconds."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from dreamgym_agents.diffusion_ppo import load_policy, save_policy
from point_policies import TINY_TUNE, make_policy
from safetensors.torch import load_file

pytest.importorskip("matplotlib")
pytest.importorskip("PIL")

from dreamgym_agents.diffusion_ppo.demo import RUN, TuningDemoConfig, demo_part, show, tune_and_score
from dreamgym_agents.diffusion_ppo.demo_page import section
from dreamgym_agents.diffusion_ppo.shipped import ship, shipped_for, shipped_policies, world_hash
from dreamgym_agents.diffusion_ppo.tuned import Tuned, flattery, gain, words

from dreamgym.cli import main
from dreamgym.evaluation.pages.parts import write_section
from dreamgym.evaluation.pages.report import write_report
from dreamgym.evaluation.policies.config import EvaluationConfig
from dreamgym.evaluation.policies.episodes import Episodes
from dreamgym.evaluation.policies.result import Evaluation
from dreamgym.training.checkpoint import load

CONFIG = TuningDemoConfig(
    tune=TINY_TUNE, num_envs=8, horizon=16, score=EvaluationConfig(episodes=6, simulators=3, clips=2)
)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return save_policy(tmp_path_factory.mktemp("policies") / "base", make_policy(), task="reach_right")


@pytest.fixture(scope="module")
def done(base, point_checkpoint, tmp_path_factory):
    return tune_and_score(base, load(point_checkpoint), tmp_path_factory.mktemp("demo") / RUN, CONFIG)


def test_fine_tuning_takes_no_step_in_the_simulator(done):
    assert done.sim_steps == 0
    assert done.dream_steps >= TINY_TUNE.total_steps
    assert json.loads((done.run / "tune.json").read_text())["real"] is False


def test_before_and_after_begin_from_the_same_held_out_starts_in_both_worlds(done):
    rows = [side.row.tolist() for e in (done.base, done.tuned) for side in (e.dream, e.twin)]
    assert rows == [rows[0]] * 4
    assert done.base.config.split == "val"
    assert len(rows[0]) == 6


def test_the_run_is_one_that_the_report_reads(done):
    page = write_report(done.run).read_text()
    assert "Before and after" in page


def test_the_section_has_curve_table_and_words(done):
    made = section(done)
    assert made.html.count("<svg") == 1
    assert len(done.course) == len(made.facts["course"]) == 3
    assert [row[0] for row in made.rows] == ["in the simulator", "in the dream", "dream minus simulator"]
    assert all(sentence.split(".")[0] in made.html for sentence in made.words[-1:])
    assert json.loads(json.dumps(made.facts))["sim_steps"] == 0


def test_a_second_demo_begins_anew_and_replaces_its_section(base, point_checkpoint, tmp_path):
    world = load(point_checkpoint)
    config = replace(CONFIG, score=replace(CONFIG.score, episodes=2, simulators=2, clips=0))
    for seed in (0, 1):
        told = show(base, world, tmp_path, replace(config, tune=replace(config.tune, seed=seed)))
        page = write_section(tmp_path, told).read_text()
    assert page.count('<section id="tuning">') == 1
    assert json.loads((tmp_path / "demo.json").read_text())["tuning"] == told.facts
    assert json.loads((tmp_path / RUN / "tune.json").read_text())["seed"] == 1


def made_up(dream, twin):
    """An evaluation with these outcomes."""

    def side(success):
        zero = np.zeros(len(success))
        index = np.arange(len(success))
        return Episodes(index, index * 0, success, index + 1, zero, zero, success, zero)

    return Evaluation("p", "w", ("reach_right",), EvaluationConfig(), side(dream), side(twin))


def outcomes(done, first=0, num=100):
    return np.roll(np.arange(num) < done, first)


def came_to(tmp_path, before, after):
    """A `Tuned` with these (dream, twin) successes of 100; afterwards from the 31st start on."""
    pair = [made_up(*(outcomes(k, first) for k in x)) for x, first in ((before, 0), (after, 30))]
    facts = {"dream_steps": 1000, "sim_steps": 0, "seconds": 2.0, "chosen": 4, "course": [], "course_episodes": 256}
    return Tuned(tmp_path, "reach_right", *pair, **facts)


def test_a_gain_within_its_interval_is_called_that(tmp_path):
    told = words(came_to(tmp_path, (50, 42), (60, 54)))
    assert "+12 points" in told[0]
    assert "cannot be told from chance" in told[0]
    assert "42 were done only after fine-tuning and 30 only before" in told[0]


def test_a_gain_beyond_its_interval_is_called_that(tmp_path):
    assert "more than chance explains" in words(came_to(tmp_path, (50, 40), (80, 75)))[0]


def test_harm_is_called_harm(tmp_path):
    assert "did harm" in words(came_to(tmp_path, (50, 75), (80, 40)))[0]


def test_a_dream_that_flatters_is_found_out(tmp_path):
    case = came_to(tmp_path, (78, 42), (94, 54))
    assert flattery(case.tuned)[0] == pytest.approx(0.4)
    assert "flatters the tuned policy by 40 points" in words(case)[1]
    assert "before fine-tuning it was 36" in words(case)[1]
    assert "agrees with the simulator" in words(came_to(tmp_path, (50, 42), (56, 54)))[1]
    assert "too strict" in words(came_to(tmp_path, (50, 42), (30, 64)))[1]


def test_no_better_policy_is_no_gain(tmp_path):
    case = came_to(tmp_path, (50, 42), (50, 42))
    case = replace(case, tuned=case.base)
    assert gain(case, "twin")[0] == 0
    assert "nothing new to show" in words(case)[0]
    assert "scoring took 5,050 there" in words(case)[1]


def test_a_policy_ships_for_the_shipped_dream_and_for_no_other(point_checkpoint):
    world = load("playtable")
    folder = shipped_for(world)
    assert folder in shipped_policies().values()
    assert load_policy(folder).config.feature_dim == world.spec.feature_shape[0]
    assert world_hash(load(point_checkpoint)) is not None
    assert shipped_for(load(point_checkpoint)) is None


def test_a_demo_of_another_dream_has_no_such_part(point_checkpoint, tmp_path):
    from types import SimpleNamespace

    assert demo_part(SimpleNamespace(checkpoint=load(point_checkpoint), folder=tmp_path, facts={"seed": 0})) is None
    assert list(tmp_path.iterdir()) == []


def cloned(folder, world_model):
    """A policy's folder, its cloning run beside it and a store, as ``clone`` leaves them."""
    save_policy(folder / "made", make_policy(), task="reach_right", world_model=world_model)
    (folder / "made.run").mkdir()
    recipe = {"epochs": 2, "demonstrations": 5, "seed": 0}
    (folder / "made.run" / "clone.json").write_text(json.dumps(recipe))
    (folder / "store").mkdir()
    (folder / "store" / "info.json").write_text('{"info": {"scene": "square", "seed": 3}}')
    return folder / "made"


def test_a_policy_ships_in_half_precision_with_a_card_of_what_was_measured(point_checkpoint, tmp_path):
    source = cloned(tmp_path, point_checkpoint)
    found = ship(source, tmp_path / "store", tmp_path / "small", EvaluationConfig(episodes=4, horizon=8))
    weights = load_file(tmp_path / "small" / "policy.safetensors")
    assert {v.dtype for v in weights.values()} == {torch.float16}
    before, after = (load_policy(p).state_dict() for p in (source, tmp_path / "small"))
    torch.testing.assert_close(after, before, rtol=1e-3, atol=1e-4)
    told = json.loads((tmp_path / "small" / "config.json").read_text())["metrics"]
    assert told["evaluation"]["twin"]["success_rate"] == found.twin.rate
    assert told["world_sha256"] == world_hash(load(point_checkpoint))
    card = (tmp_path / "small" / "README.md").read_text()
    assert "--epochs 2 --seed 0" in card
    assert "--scene square --seed 3" in card
    assert f"| in the simulator | {100 * found.twin.rate:.1f}% |" in card


def test_a_tuned_policy_does_not_ship_as_a_base(point_checkpoint, tmp_path):
    save_policy(tmp_path / "tuned", make_policy().for_tuning(2), task="reach_right", world_model=point_checkpoint)
    with pytest.raises(ValueError, match="was fine-tuned"):
        ship(tmp_path / "tuned", tmp_path, tmp_path / "out")


def test_the_command_shows_it_alone(base, point_checkpoint, tmp_path, capsys):
    pytest.importorskip("tyro")
    words = ["--policy", str(base), "--checkpoint", point_checkpoint, "--out", str(tmp_path), "--num-workers", "0"]
    main(
        ["diffusion-ppo", "demo", *words, "--total-steps", "64", "--num-envs", "4", "--horizon", "8", "--episodes", "2"]
    )
    assert "0 steps in the simulator" in capsys.readouterr().out
    assert "Before and after" in (tmp_path / "index.html").read_text()
