"""The command line: clone, then tune, on a store and a world that take a second."""

import json
import signal

import pytest
from point_policies import make_policy, write_store

pytest.importorskip("tyro")

from dreamgym_agents.diffusion_ppo import load_policy, save_policy
from torch.optim import Adam

from dreamgym.cli import main
from dreamgym.evaluation.policies.evaluate import evaluate
from dreamgym.testing.instructed_point import instructed_point_checkpoint
from dreamgym.testing.two_robots import two_robots_checkpoint
from dreamgym.training.ema import EMA


def test_clone_then_tune(point_checkpoint, tmp_path, capsys):
    write_store(tmp_path / "demos")
    base, run = tmp_path / "base", tmp_path / "run"
    words = ["clone", "--store", str(tmp_path / "demos"), "--task", "reach_right", "--out", str(base)]
    main(["diffusion-ppo", *words, "--checkpoint", point_checkpoint, "--kind", "gaussian", "--epochs", "2"])
    assert json.loads((base / "config.json").read_text())["policy"] == "gaussian_ppo"
    assert "held_out_loss" in (tmp_path / "base.run" / "log.jsonl").read_text()
    words = ["tune", "--policy", str(base), "--run", str(run), "--env", "Dream-v0", "--checkpoint", point_checkpoint]
    main(["diffusion-ppo", *words, "--num-envs", "4", "--horizon", "8", "--total-steps", "64", "--eval-every", "1"])
    told = json.loads((run / "best" / "config.json").read_text())
    assert told["task"] == "reach_right"
    assert told["world_model"] == point_checkpoint
    assert "0 simulator steps" in capsys.readouterr().out


def test_clone_tune_and_evaluate_where_a_frame_spans_five_actions(tmp_path, capsys):
    world = str(two_robots_checkpoint(tmp_path / "world"))
    write_store(tmp_path / "demos", (21, 24, 26))
    main(clone_words(tmp_path, world, "--kind", "gaussian"))
    config = load_policy(tmp_path / "base").config
    assert (config.chunk, config.actions_per_frame) == (5, 5)
    words = ["tune", "--policy", str(tmp_path / "base"), "--run", str(tmp_path / "run"), "--env", "Dream-v0"]
    words += ["--checkpoint", world, "--num-envs", "4", "--horizon", "20", "--total-steps", "80", "--eval-every", "1"]
    main(["diffusion-ppo", *words, "--set", "eval_episodes=4"])
    found = evaluate(str(tmp_path / "run" / "best"), world, "reach_right", episodes=4, horizon=20)
    assert set(found.dream.length.tolist()) <= {5, 10, 15, 20}
    assert found.dream.length.tolist() == found.twin.length.tolist()


def test_a_world_that_instructions_drive_is_refused(tmp_path):
    write_store(tmp_path / "demos")
    world = str(instructed_point_checkpoint(tmp_path / "world"))
    with pytest.raises(SystemExit, match="cannot drive a model of family 'instructed_point', whose actions are instr"):
        main(clone_words(tmp_path, world))


def test_what_is_wrong_is_told_without_a_traceback(tmp_path):
    with pytest.raises(SystemExit, match="is no policy"):
        main(["diffusion-ppo", "tune", "--policy", str(tmp_path), "--run", str(tmp_path / "run")])


def test_a_place_that_cannot_be_written_is_told_before_anything_is_trained(point_checkpoint, tmp_path):
    write_store(tmp_path / "demos")
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "mine").write_text("notes")
    with pytest.raises(SystemExit, match="base exists and is no policy's folder: choose another path"):
        main(clone_words(tmp_path, point_checkpoint))
    assert not (tmp_path / "base.run").exists()


def clone_words(tmp_path, checkpoint, *more):
    words = ["diffusion-ppo", "clone", "--store", str(tmp_path / "demos"), "--task", "reach_right"]
    return [*words, "--checkpoint", checkpoint, "--out", str(tmp_path / "base"), "--epochs", "1", *more]


def test_cloning_on_a_store_that_is_not_finished_says_so(point_checkpoint, tmp_path, caplog):
    write_store(tmp_path / "demos", (9, 12))
    main(clone_words(tmp_path, point_checkpoint, "--episodes", "2"))
    assert "has 1 of the 2 successful training demonstrations of reach_right" in caplog.text
    assert "holds out no" not in caplog.text


def test_a_diffusion_policy_may_act_by_ddim(point_checkpoint, tmp_path):
    write_store(tmp_path / "demos")
    main(clone_words(tmp_path, point_checkpoint, "--sampler", "ddim", "--ddim-steps", "3"))
    config = load_policy(tmp_path / "base").config
    assert (config.sampler, config.ddim_steps) == ("ddim", 3)
    with pytest.raises(SystemExit, match="no denoising steps"):
        main(clone_words(tmp_path, point_checkpoint, "--kind", "gaussian", "--sampler", "ddim"))


def test_a_clone_asked_for_something_else_does_not_pass_for_it(point_checkpoint, tmp_path):
    write_store(tmp_path / "demos")
    main(clone_words(tmp_path, point_checkpoint))
    with pytest.raises(SystemExit, match="begun with other settings.*demonstrations"):
        main(clone_words(tmp_path, point_checkpoint, "--episodes", "1"))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("name", ["clone", "tune"])
def test_a_stopped_run_ends_with_the_code_of_its_signal_and_goes_on(
    name, number, code, point_checkpoint, tmp_path, monkeypatch, capsys
):
    write_store(tmp_path / "demos")
    save_policy(tmp_path / "made", make_policy(), task="reach_right", world_model=point_checkpoint)
    tuning = ["diffusion-ppo", "tune", "--policy", str(tmp_path / "made"), "--run", str(tmp_path / "run")]
    tuning += ["--env", "Dream-v0", "--checkpoint", point_checkpoint, "--num-envs", "2", "--horizon", "8"]
    words = {
        "clone": clone_words(tmp_path, point_checkpoint, "--set", "epochs=3", "ema_start=0", "ema_every=1"),
        "tune": [*tuning, "--total-steps", "64", "--tuned-steps", "2", "--set", "eval_episodes=2"],
    }
    step = EMA.update if name == "clone" else Adam.step

    def signalled(self, *args):
        signal.raise_signal(number)
        return step(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(*((EMA, "update") if name == "clone" else (Adam, "step")), signalled)
        with pytest.raises(SystemExit) as stop:
            main(words[name])
    assert stop.value.code == code
    assert "; the same command goes on" in capsys.readouterr().err
    main(words[name])
    assert "wrote" in (out := capsys.readouterr().out) or "best by return" in out


def test_every_field_of_a_config_can_be_given_on_the_command_line(point_checkpoint, tmp_path):
    write_store(tmp_path / "demos")
    main(clone_words(tmp_path, point_checkpoint, "--kind", "gaussian", "--set", "ema=0.5", "batch_size=7"))
    told = json.loads((tmp_path / "base.run" / "clone.json").read_text())
    assert (told["ema"], told["batch_size"], told["epochs"]) == (0.5, 7, 1)


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("colour=1", "no field 'colour'; it has"),
        ("ema", "expected FIELD=JSON"),
        ("ema=fast", "ema is float"),
        ("epochs=0", "epochs must be at least 1"),
    ],
)
def test_a_field_that_cannot_be_is_told(word, told, tmp_path):
    with pytest.raises(SystemExit, match=told):
        main(clone_words(tmp_path, "playtable", "--set", word))
