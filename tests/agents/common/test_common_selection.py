"""Which episodes of a store demonstrate."""

import numpy as np
import pytest
from dreamgym_agents.common.selection import select_demonstrations
from point_policies import write_store

from dreamgym.data import EpisodeStore


def test_only_successes_of_the_task_and_the_split_are_taken(tmp_path):
    store = write_store(tmp_path / "store")
    assert len(select_demonstrations(store, ["reach_right"], num=50, successful=True)) == 2
    assert len(select_demonstrations(store, ["reach_right"], num=1, successful=True)) == 1
    assert len(select_demonstrations(store, ["reach_right"], "val", successful=True)) == 1
    with pytest.raises(ValueError, match="no successful training demonstrations.*it has tasks \\['reach_right'\\]"):
        select_demonstrations(store, ["reach_top"], successful=True)


def operators(view):
    return [meta.get("operator") for meta in view.metas]


def test_those_who_roam_do_not_demonstrate_and_no_split_means_training(tmp_path):
    store = EpisodeStore.create(tmp_path / "store", {"action": ((1,), "float32")})
    for operator, split in (("script", "train"), ("random", "train"), ("script", None), ("script", "val")):
        told = {"task": "reach_right", "operator": operator} | ({"split": split} if split else {})
        store.append([({"action": np.zeros((3, 1), np.float32)}, told)])
    view = EpisodeStore.open(tmp_path / "store")
    assert operators(select_demonstrations(view)) == ["script", "script"]
    assert operators(select_demonstrations(view, split="val")) == ["script"]


def test_a_task_that_is_missing_is_named_beside_those_that_are_there(tmp_path):
    store = write_store(tmp_path / "store")
    told = r"no training demonstrations of \['fly'\]; it has tasks \['reach_right'\]"
    with pytest.raises(ValueError, match=told):
        select_demonstrations(store, ["reach_right", "fly"])
    with pytest.raises(ValueError, match="no test demonstrations of any task"):
        select_demonstrations(store, split="test")
