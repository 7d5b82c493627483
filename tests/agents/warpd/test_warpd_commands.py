"""The command line: an agent from a store, found again by its folder."""

import json
from typing import get_args, get_type_hints

import numpy as np
import pytest
import torch
from dreamgym_agents.warpd import Demonstrations
from dreamgym_agents.warpd.options import TrainOptions
from dreamgym_agents.warpd.recipes import METHODS, bounds
from dreamgym_agents.warpd.saving import load
from warpd_points import walk

from dreamgym.cli import main
from dreamgym.data import EpisodeStore

pytest.importorskip("tyro")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path, generator = tmp_path_factory.mktemp("points") / "demos", torch.Generator().manual_seed(0)
    episodes = []
    for i, task in enumerate(["left", "right"] * 4):
        obs, action = walk(task, 12, generator)
        operator = "random" if i == 7 else "script"
        meta = {"task": task, "split": "train", "suite": "locomotion", "operator": operator}
        episodes.append(({"state": obs.numpy(), "action": action.numpy()}, meta))
    EpisodeStore.create(path, {"state": ((2,), np.float32), "action": ((2,), np.float32)}).append(episodes)
    return path


def words(store, out, *more):
    small = ["--vae-epochs", "2", "--diffusion-epochs", "2", "--width", "8"]
    return ["warpd", "train", "--store", str(store), "--out", str(out), *small, *more]


@pytest.mark.parametrize(
    "method", ["warpd", "warpd_no_world_model", "diffusion_policy", "latent_diffusion_policy", "mlp"]
)
def test_every_method_is_trained_and_loaded_by_its_folder(method, store, tmp_path, capsys):
    length = ("--length", "8") if "diffusion" in method else ()
    main(words(store, tmp_path / "made", "--task", "left", "--method", method, *length))
    assert "wrote" in capsys.readouterr().out
    policy = load(tmp_path / "made")
    action, _ = policy.act(torch.zeros(3, 2), policy.start(3), torch.ones(3, dtype=torch.bool))
    assert action.shape == (3, 2)
    assert json.loads((tmp_path / "made" / "config.json").read_text())["metrics"]["demonstrations"] == 4


def test_every_method_can_be_asked_for():
    assert get_args(get_type_hints(TrainOptions)["method"]) == METHODS


def test_several_tasks_need_one_to_act_on_and_roaming_is_left_out(store, tmp_path):
    with pytest.raises(SystemExit, match="say with --task which"):
        main(words(store, tmp_path / "made"))
    main(words(store, tmp_path / "made", "--tasks", "left", "right", "--task", "right"))
    told = json.loads((tmp_path / "made" / "config.json").read_text())
    assert (told["task"], told["metrics"]["demonstrations"]) == ("right", 7)


def test_what_is_wrong_is_told_without_a_traceback(store, tmp_path):
    with pytest.raises(SystemExit, match=r"no training demonstrations of \['up'\].*it has tasks \['left', 'right'\]"):
        main(words(store, tmp_path / "made", "--task", "up"))
    with pytest.raises(SystemExit, match=r"no training demonstrations of \['up'\]"):
        main(words(store, tmp_path / "made", "--tasks", "left", "up", "--task", "left"))
    with pytest.raises(SystemExit, match="--checkpoint playtable: WARPD needs .*family 'rssm' does not"):
        main(words(store, tmp_path / "made", "--task", "left", "--checkpoint", "playtable"))


def test_a_place_that_cannot_be_written_is_told_before_anything_is_trained(store, tmp_path):
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "mine").write_text("notes")
    with pytest.raises(SystemExit, match="made exists and is no agent's folder: choose another path"):
        main(words(store, tmp_path / "made", "--task", "left"))
    assert not (tmp_path / "made.run").exists()


def test_a_task_that_is_not_learned_is_refused_before_training(store, tmp_path):
    with pytest.raises(SystemExit, match=r"--task up is not among the tasks to learn, \['left', 'right'\]"):
        main(words(store, tmp_path / "made", "--tasks", "left", "right", "--task", "up"))
    assert not (tmp_path / "made.run").exists()


def test_what_is_learned_from_another_observation_is_asked_for_by_its_name(tmp_path):
    generator, path = torch.Generator().manual_seed(0), tmp_path / "demos"
    episodes = []
    for _ in range(3):
        obs, action = walk("left", 12, generator)
        episodes.append(({"robot": obs.numpy(), "action": action.numpy()}, {"task": "left", "suite": "pusht"}))
    EpisodeStore.create(path, {"robot": ((2,), np.float32), "action": ((2,), np.float32)}).append(episodes)
    main(words(path, tmp_path / "made", "--obs-key", "robot", "--method", "mlp", "--length", "8"))
    policy = load(tmp_path / "made")
    assert (policy.obs_key, policy.obs) == ("robot", "dict")
    assert policy.agent.config.action_origin == ()  # PushT's origin is of its state


def test_a_device_that_is_not_there_is_told(store, tmp_path):
    with pytest.raises(SystemExit, match="--device nonsense cannot be used here"):
        main(words(store, tmp_path / "made", "--task", "left", "--device", "nonsense"))


def test_what_is_not_learned_as_it_stands_is_told(tmp_path, capsys):
    generator, path, episodes = torch.Generator().manual_seed(0), tmp_path / "demos", []
    for steps in (12, 9, 12, 5):
        obs, action = walk("left", steps, generator)
        obs, action = (torch.cat([x, torch.full((steps, 1), 3.0)], 1) for x in (obs, action))
        episodes.append(({"state": obs.numpy(), "action": action.numpy()}, {"task": "left"}))  # of no split: all train
    EpisodeStore.create(path, {"state": ((3,), np.float32), "action": ((3,), np.float32)}).append(episodes)
    main(words(path, tmp_path / "made", "--suite", "locomotion"))
    told = capsys.readouterr().out
    assert "observation entries [2] never change in these demonstrations: they are left out" in told
    assert "action entries [2] never change in these demonstrations: they are kept as they are" in told
    assert "2 of 4 demonstrations have fewer than 12 steps: their last row is repeated" in told
    policy = load(tmp_path / "made")
    action, _ = policy.act(torch.zeros(2, 3), policy.start(2), torch.ones(2, dtype=torch.bool))
    assert action[:, 2].tolist() == [3.0, 3.0]


@pytest.mark.parametrize(("condition", "length"), [("state", 64), ("task", 12)])
def test_what_generation_is_told_decides_the_length(condition, length, store, tmp_path):
    more = ("--suite", "robosuite", "--condition", condition)
    main(words(store, tmp_path / "made", "--task", "left", *more))
    assert json.loads((tmp_path / "made" / "config.json").read_text())["config"]["length"] == length


def test_a_run_of_other_settings_is_not_gone_on_with(store, tmp_path):
    main(words(store, tmp_path / "made", "--task", "left"))
    with pytest.raises(SystemExit, match=r"begun with other settings: config.train.seed 0, not 1"):
        main(words(store, tmp_path / "made", "--task", "left", "--seed", "1"))


def test_a_gripper_that_never_moves_has_bounds_too():
    obs, action = np.zeros((3, 1)), np.array([[0.0, 1.0], [2.0, 1.0], [1.0, 1.0]])
    found = bounds(Demonstrations.from_episodes([(obs, action)]))
    assert (found.low, found.high) == ((0.0, 0.5), (2.0, 1.5))
