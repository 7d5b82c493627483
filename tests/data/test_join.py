"""Stores joined: the episodes of all, in order, under the keys they share."""

from __future__ import annotations

import numpy as np
import pytest
from fake_episodes import KEYS, make_episode

from dreamgym.data import EpisodeStore, join


@pytest.fixture
def stores(tmp_path):
    a = EpisodeStore.create(tmp_path / "a", KEYS, {"scene": "D"})
    a.append([(make_episode(0, 5), {"n": 0}), (make_episode(1, 7), {"n": 1})])
    a.append([(make_episode(2, 4), {"n": 2})])
    b = EpisodeStore.create(tmp_path / "b", KEYS | {"success": ((), "bool")})
    b.append([(make_episode(3, 6) | {"success": np.ones(6, bool)}, {"n": 3})])
    return a, b


def test_a_joined_store_holds_all_episodes_and_the_shared_keys(stores, tmp_path):
    a, b = stores
    made = join([a.path, b.path, b.path], tmp_path / "c")
    assert [m["n"] for m in made.metas] == [0, 1, 2, 3, 3]
    assert set(made.keys) == set(KEYS)
    for i, n in enumerate([0, 1, 2, 3, 3]):
        np.testing.assert_array_equal(made.episode(i)["robot_obs"][:, 0], n)
    assert made.info["scene"] == "D" and made.info["joined"] == ["a", "b", "b"]
    assert len(EpisodeStore.open(tmp_path / "c")) == 5


def test_sources_are_left_alone_when_the_joined_store_grows(stores, tmp_path):
    a, b = stores
    made = join([a.path, b.path], tmp_path / "c")
    made.append([(make_episode(9, 3), {"n": 9})])
    assert len(EpisodeStore.open(a.path)) == 3 and len(EpisodeStore.open(b.path)) == 1


def test_what_cannot_be_joined_is_told(stores, tmp_path):
    with pytest.raises(ValueError, match="no store to join"):
        join([], tmp_path / "c")
    with pytest.raises(ValueError, match="is a store already"):
        join([stores[0].path], stores[1].path)
    other = EpisodeStore.create(tmp_path / "d", {"state": ((3,), "float32")})
    with pytest.raises(ValueError, match="no key is the same"):
        join([stores[0].path, other.path], tmp_path / "e")


def test_a_joined_store_says_what_all_say_and_names_all_tasks(tmp_path):
    common = {"suite": "mine", "frame_rate": 10.0, "scene": "D"}
    infos = [{**common, "kind": "play", "tasks": ["a", "b"]}, {**common, "kind": "attempts", "tasks": ["b", "c"]}]
    paths = [EpisodeStore.create(tmp_path / str(i), KEYS, info).path for i, info in enumerate(infos)]
    made = join(paths, tmp_path / "c")
    assert made.info == {**common, "tasks": ["a", "b", "c"], "joined": ["0", "1"]}


@pytest.mark.parametrize("key", ["suite", "robot", "action", "frame_rate"])
def test_rows_that_mean_different_things_are_not_joined(tmp_path, key):
    paths = [EpisodeStore.create(tmp_path / str(i), KEYS, {key: i}).path for i in range(2)]
    with pytest.raises(ValueError, match=f"different {key}: \\[0, 1\\]"):
        join(paths, tmp_path / "c")
