"""Stores joined: the episodes of all, in order, under the keys they share."""

from __future__ import annotations

import numpy as np
import pytest
from fake_episodes import KEYS, make_episode

from dreamgym.data import EpisodeStore, join
from dreamgym.data.shards import locked


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


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("suite", ("pusht", "calvin")),
        ("robot", ("Panda", "Sawyer")),
        ("action", ({"low": [-1.0], "high": [1.0]}, {"low": [-2.0], "high": [1.0]})),
        ("frame_rate", (10.0, 20.0)),
    ],
)
def test_rows_that_mean_different_things_are_not_joined(tmp_path, key, values):
    paths = [EpisodeStore.create(tmp_path / str(i), KEYS, {key: value}).path for i, value in enumerate(values)]
    with pytest.raises(ValueError, match=f"different {key}: \\["):
        join(paths, tmp_path / "c")


def test_a_place_that_cannot_be_is_told_before_the_sources_are_read(tmp_path):
    (tmp_path / "file").write_text("mine")
    for place in (tmp_path / "file", tmp_path / "file" / "deep", tmp_path / ("x" * 250)):
        with pytest.raises(ValueError, match="choose another"):
            join([tmp_path / "nowhere"], place)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_store_within_a_store_is_refused(stores, tmp_path):
    a, b = stores
    for place in (a.path / "c", a.path / "shards" / "00000009"):
        with pytest.raises(ValueError, match="lies within the episode store"):
            join([b.path], place)
    assert len(EpisodeStore.open(a.path)) == 3  # as it was


def test_what_a_killed_join_left_is_cleared_and_a_living_one_is_not(stores, tmp_path):
    a, b = stores
    left = EpisodeStore.create(tmp_path / ".c.joining", {"other": ((2,), "float32")})
    made = join([a.path, b.path], tmp_path / "c")
    assert len(made) == 4 and not left.path.exists()
    (tmp_path / ".d.joining").mkdir()
    lock = locked(tmp_path / ".d.joining", exclusive=True, name=".collect.lock")
    with lock, pytest.raises(ValueError, match="another process is joining"):
        join([a.path], tmp_path / "d")
