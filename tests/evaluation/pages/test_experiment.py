import json

import numpy as np
import pytest

from dreamgym.evaluation.pages.experiment import read_experiment
from dreamgym.evaluation.policies.config import EvaluationConfig
from dreamgym.evaluation.policies.episodes import Episodes
from dreamgym.evaluation.policies.result import Evaluation


def episodes(successes, num=10):
    done = np.arange(num) < successes
    task = np.zeros(num, int)
    return Episodes(np.arange(num), task, done, 5 + task, done * 1.0, done * 0.9, done, task * 0.1)


def evaluation(name, real, imagined, **training):
    return Evaluation(
        name,
        "point",
        ("open_drawer",),
        EvaluationConfig(episodes=10),
        episodes(imagined),
        episodes(real),
        training=training,
    )


def write_run(folder, real=(3, 5, 8), imagined=(4, 6, 9), chosen=None, log=True):
    folder.mkdir(parents=True)
    for i, (r, f) in enumerate(zip(real, imagined, strict=True)):
        made = evaluation(f"run/{i}", r, f, iteration=10 * i, dream_steps=1000 * i)
        made.save(folder / "evaluations" / f"{i}.json")
    if log:
        lines = [{"step": i, "dream_steps": 500 * i, "sim_steps": 0, "success_rate": 0.1 * i} for i in range(1, 6)]
        (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    if chosen is not None:
        (folder / "best").mkdir()
        (folder / "best" / "config.json").write_text(json.dumps({"policy": "x", "metrics": {"iteration": chosen}}))
    return folder


def test_a_run_is_read_whole(tmp_path):
    run = read_experiment(write_run(tmp_path / "drawer")).runs[0]
    assert (run.name, run.task) == ("drawer", "open_drawer")
    assert [line["steps"] for line in run.log] == [500, 1000, 1500, 2000, 2500]
    assert run.steps == (2500, 0)
    assert [s for s, _ in run.dated()] == [0, 1000, 2000]


def test_the_base_is_the_earliest_and_the_tuned_one_the_chosen_not_the_best(tmp_path):
    run = read_experiment(write_run(tmp_path / "a", real=(3, 9, 5), chosen=20)).runs[0]
    assert run.base.policy == "run/0"
    assert run.tuned.policy == "run/2"


def test_where_the_base_was_chosen_nothing_was_gained(tmp_path):
    run = read_experiment(write_run(tmp_path / "a", chosen=0)).runs[0]
    assert run.tuned is run.base


def test_steps_in_the_simulator_are_training_steps_too():
    online = [evaluation(f"p{i}", 1, 2, iteration=i, dream_steps=0, sim_steps=500 * i) for i in range(3)]
    assert [e.score().step for e in online] == [0, 500, 1000]
    assert evaluation("p", 1, 2, iteration=7).step == 7
    assert evaluation("p", 1, 2).step is None


def test_without_a_choice_the_last_policy_counts(tmp_path):
    assert read_experiment(write_run(tmp_path / "a")).runs[0].tuned.policy == "run/2"


def test_several_runs_stand_beside_each_other(tmp_path):
    for name in ("open_drawer/seed_0", "open_drawer/seed_1"):
        write_run(tmp_path / name, chosen=10)
    (tmp_path / "run.json").write_text('{"title": "Both seeds", "note": "A note."}')
    found = read_experiment(tmp_path)
    assert [r.name for r in found.runs] == ["open_drawer/seed_0", "open_drawer/seed_1"]
    assert (found.title, found.note) == ("Both seeds", "A note.")
    assert len(found.evaluations) == 6


def test_variants_of_an_experiment_are_told_apart(tmp_path):
    write_run(tmp_path / "vision" / "open_drawer_0")
    write_run(tmp_path / "online" / "open_drawer_0", log=False)
    runs = read_experiment(tmp_path).runs
    assert [(r.variant, r.label) for r in runs] == [("online", "online/0"), ("vision", "vision/0")]


def test_a_run_without_evaluations_knows_its_task_from_its_policies(tmp_path):
    folder = write_run(tmp_path / "a", real=(), imagined=())
    (folder / "policies" / "iteration_000000").mkdir(parents=True)
    (folder / "policies" / "iteration_000000" / "config.json").write_text('{"policy": "x", "task": "turn_on_led"}')
    assert read_experiment(tmp_path).runs[0].task == "turn_on_led"


def test_evaluations_alone_are_a_run_without_a_before(tmp_path):
    evaluation("random", 1, 2).save(tmp_path / "evaluations" / "random.json")
    run = read_experiment(tmp_path).runs[0]
    assert run.base is run.tuned is None
    assert run.log == []


def test_a_log_that_is_being_written_is_read_up_to_its_last_whole_line(tmp_path):
    folder = write_run(tmp_path / "a")
    with (folder / "log.jsonl").open("a") as file:
        file.write('{"step": 6, "dream_st')
    found = read_experiment(folder)
    assert len(found.runs[0].log) == 5
    assert found.unreadable == []


def test_the_log_of_cloning_is_not_a_run(tmp_path):
    (tmp_path / "clone").mkdir()
    (tmp_path / "clone" / "log.jsonl").write_text('{"step": 1, "loss": 0.5}\n')
    write_run(tmp_path / "a")
    assert [r.name for r in read_experiment(tmp_path).runs] == ["a"]


def test_what_cannot_be_read_is_left_out_and_named(tmp_path):
    write_run(tmp_path / "a")
    (tmp_path / "a" / "evaluations" / "9.json").write_text("{")
    found = read_experiment(tmp_path)
    assert len(found.evaluations) == 3
    assert found.unreadable == ["a/evaluations/9.json"]


def test_a_folder_without_an_experiment_says_what_would_make_one(tmp_path):
    with pytest.raises(ValueError, match="dreamgym evaluate"):
        read_experiment(tmp_path)
    with pytest.raises(FileNotFoundError, match="no folder"):
        read_experiment(tmp_path / "nowhere")
