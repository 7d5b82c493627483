"""Collecting a suite: what a store says of itself, what it refuses, and whole splits."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest

pytest.importorskip("gym_pusht")

from dreamgym.data import EpisodeStore, collect, join
from dreamgym.suites import store_facts, suite
from dreamgym.suites.collection import collect_suite
from dreamgym.suites.scripted import ScriptedEpisodes

OPTIONS = {"operators": ("random",), "max_steps": 6, "progress": False}


def actions(store):
    order = np.argsort([meta["episode_index"] for meta in store.metas])
    return [np.array(store.episode(int(i))["action"]) for i in order]


def test_a_store_says_what_it_holds(tmp_path):
    store = collect_suite("pusht", tmp_path / "s", num_episodes=2, **OPTIONS).store
    assert store.info == {
        "suite": "pusht",
        "kind": "demonstrations",
        "action": {"low": [0, 0], "high": [512, 512], "binary": [], "hold": [256, 256]},
        "frame_rate": 10.0,
        "split": None,
        "tasks": ["push_t"],
        "settings": {"operators": ["random"], "max_steps": 6, "linger": 10, "snapshots": True},
        "seed": 0,
    }
    facts = store_facts(store)
    assert facts.suite is suite("pusht")
    assert facts.action == suite("pusht").action
    assert facts.tasks == ("push_t",)


def test_the_same_settings_go_on_and_others_are_refused_with_what_differs(tmp_path):
    collect_suite("pusht", tmp_path / "s", num_episodes=1, **OPTIONS)
    assert collect_suite("pusht", tmp_path / "s", num_episodes=2, **OPTIONS).new_episodes == 1
    for change, told in (
        ({"max_steps": 7}, r"settings\.max_steps 6, not 7"),
        ({"operators": ("pusher",)}, r"settings\.operators \['random'\], not \['pusher'\]"),
        ({"split": "test"}, "split None, not 'test'"),
        ({"seed": 1}, "seed 0, not 1"),
    ):
        with pytest.raises(ValueError, match=f"was collected with {told}: go on with that or use another path"):
            collect_suite("pusht", tmp_path / "s", num_episodes=2, **(OPTIONS | change))
    with pytest.raises(ValueError, match="suite 'pusht', not 'metaworld'"):
        collect_suite("metaworld", tmp_path / "s", num_episodes=2, progress=False)


def test_a_store_of_before_it_said_so_goes_on_by_the_same_settings(tmp_path):
    who = ScriptedEpisodes(suite("pusht"), operators=("random",), max_steps=6)
    # What such a store's info was: the factory's fields, no tasks named meaning all.
    info = {"suite": "pusht", "tasks": [], "robot": "Panda", "linger": 10, "snapshots": True}
    info |= {"operators": ["random"], "max_steps": 6}
    collect(who, tmp_path / "s", num_episodes=1, info=info, progress=False)
    assert collect_suite("pusht", tmp_path / "s", num_episodes=2, **OPTIONS).new_episodes == 1
    with pytest.raises(ValueError, match=r"settings\.max_steps 6, not 9"):
        collect_suite("pusht", tmp_path / "s", num_episodes=2, **(OPTIONS | {"max_steps": 9}))


def test_imported_data_are_not_gone_on_with(tmp_path):
    keys = {"state": ((6,), "float32"), "action": ((2,), "float32")}
    store = EpisodeStore.create(tmp_path / "s", keys)
    store.append([({"state": np.zeros((3, 6)), "action": np.zeros((3, 2))}, {"source": "theirs"})])
    with pytest.raises(ValueError, match="were not collected by dreamgym"):
        collect_suite("pusht", tmp_path / "s", num_episodes=2, **OPTIONS)


def test_a_joined_store_is_not_gone_on_with(tmp_path):
    made = collect_suite("pusht", tmp_path / "s", num_episodes=1, **OPTIONS).store
    join([made.path, made.path], tmp_path / "twice")
    with pytest.raises(ValueError, match="was joined of"):
        collect_suite("pusht", tmp_path / "twice", num_episodes=4, **OPTIONS)


def test_a_test_store_is_all_test_and_none_of_its_episodes_is_in_another(tmp_path):
    usual = collect_suite("pusht", tmp_path / "usual", num_episodes=3, **OPTIONS).store
    test = collect_suite("pusht", tmp_path / "test", num_episodes=3, split="test", **OPTIONS).store
    assert {meta["split"] for meta in test.metas} == {"test"}
    assert test.info["split"] == "test"
    assert all(not np.array_equal(a, b) for a in actions(usual) for b in actions(test))
    again = collect_suite("pusht", tmp_path / "again", num_episodes=3, split="test", num_workers=2, **OPTIONS).store
    assert all(np.array_equal(a, b) for a, b in zip(actions(test), actions(again), strict=True))


def test_options_and_kinds_of_others_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"demonstrations of pusht takes tasks, operators, .*; got scene"):
        collect_suite("pusht", tmp_path / "s", num_episodes=1, scene="D")
    with pytest.raises(ValueError, match="calvin collects play or .* or operators, got 'walks'"):
        collect_suite("calvin", tmp_path / "s", "walks")
    with pytest.raises(ValueError, match="play of calvin takes scene, image_size, episode_steps; got operators"):
        collect_suite("calvin", tmp_path / "s", "play", num_steps=1, operators=("random",))
    with pytest.raises(ValueError, match="has no end of its own: give num_episodes or num_steps"):
        collect_suite("pusht", tmp_path / "s")
    with pytest.raises(ValueError, match="split must be one of"):
        collect_suite("pusht", tmp_path / "s", num_episodes=1, split="tests")
    assert not (tmp_path / "s").exists()


def test_a_play_table_store_takes_one_scene_and_kind(tmp_path):
    pytest.importorskip("pybullet")
    path, options = tmp_path / "s", {"image_size": 8, "episode_steps": 4, "progress": False}
    assert collect_suite("calvin", path, num_episodes=1, **options).store.info["scene"] == "playtable"
    with pytest.raises(ValueError, match="scene 'playtable', not 'D'"):
        collect_suite("calvin", path, num_episodes=2, scene="D", **options)
    with pytest.raises(ValueError, match="kind 'play', not 'attempts'"):
        collect_suite("calvin", path, "attempts", image_size=8, progress=False)


def test_play_of_before_stores_said_what_they_hold_goes_on_and_is_not_mixed(tmp_path):
    pytest.importorskip("pybullet")
    options = {"image_size": 8, "episode_steps": 4}
    collect(suite("calvin").collector("play", **options), tmp_path / "s", num_episodes=1, progress=False)
    assert EpisodeStore.open(tmp_path / "s").info == {"seed": 0}
    assert collect_suite("calvin", tmp_path / "s", num_episodes=2, progress=False, **options).new_episodes == 1
    with pytest.raises(ValueError, match="kind 'play', not 'demonstrations'"):
        collect_suite("calvin", tmp_path / "s", "demonstrations", image_size=8, progress=False)
    with pytest.raises(ValueError, match=r"settings\.episode_steps 4, not 5"):
        collect_suite("calvin", tmp_path / "s", num_episodes=2, image_size=8, episode_steps=5, progress=False)


def test_a_robosuite_store_has_its_arm(tmp_path):
    pytest.importorskip("robosuite")
    done = collect_suite("robosuite", tmp_path / "s", num_episodes=1, robot="Sawyer", **(OPTIONS | {"max_steps": 3}))
    assert done.store.info["robot"] == "Sawyer"
    assert done.store.info["action"] == json_form(asdict(suite("robosuite").robots["Sawyer"]))
    simulator = suite("robosuite").recorded_in(done.store.info, done.store.metas[0])
    assert simulator == {"id": "robosuite", "kwargs": {"robot": "Sawyer"}}
    with pytest.raises(ValueError, match="robot 'Sawyer', not 'Panda'"):
        collect_suite("robosuite", tmp_path / "s", num_episodes=2, **(OPTIONS | {"max_steps": 3}))


def json_form(value):
    return {k: list(v) for k, v in value.items()}


def test_a_missing_simulator_is_told_before_any_process_starts(tmp_path, monkeypatch):
    monkeypatch.setattr("dreamgym.suites.base.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r'gym_pusht.*pip install "dreamgym\[pusht\]"'):
        collect_suite("pusht", tmp_path / "s", num_episodes=1, progress=False)
    assert not (tmp_path / "s").exists()
