"""Labelled frames: marks of demonstrations, and what a suite's oracle says of play."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # tests/fakes.py

import numpy as np
import pytest
import torch
from fakes import KEYS, FakeModel, Listener, episode

from dreamgym.data import EpisodeStore
from dreamgym.rewards.samples import (
    DEMO_POSTERIOR,
    PLAY_POSTERIOR,
    PlayWindows,
    Samples,
    add_demonstrations,
    add_play,
    tasks_of,
)
from dreamgym.suites import suite


class SlowFrames(FakeModel):
    """A frame spans three rows."""

    def __init__(self):
        super().__init__()
        self.spec = replace(self.spec, actions_per_frame=3)

    def imagine(self, state, action, generator=None):
        for each in action.unbind(1):
            state = super().imagine(state, each)
        return state


def marked(path, info=None):
    rng = np.random.default_rng(0)
    store = EpisodeStore.create(path, KEYS | {"success": ((), "bool")}, info)
    for length, first, split in ((20, 7, "train"), (13, 9, "train"), (13, 13, "val")):
        rows = episode(rng, length) | {"success": np.arange(length) >= first}
        store.append([(rows, {"task": "open_drawer", "split": split})])
    return store


def test_a_frame_of_several_actions_has_the_label_of_its_row(tmp_path):
    samples = Samples(("open_drawer",))
    add_demonstrations(samples, SlowFrames(), marked(tmp_path / "s"), passes=1, batch_size=2)
    _, label, source, group = samples.of(0)
    for number, (length, first) in enumerate(((20, 7), (13, 9), (13, 13))):
        own = label[(source == DEMO_POSTERIOR) & (group == number)]
        assert own.tolist() == [row >= first for row in range(0, length, 3)]


def test_play_is_labelled_by_the_suites_oracle_frames_apart(tmp_path):
    store = EpisodeStore.create(tmp_path / "play", KEYS)
    rng = np.random.default_rng(3)
    store.append([(episode(rng, 100), {}) for _ in range(4)])
    tasks, samples = suite("calvin").tasks, Samples(suite("calvin").tasks)
    add_play(samples, SlowFrames(), store, PlayWindows(num=8, context=3, steps=20, stride=1))
    pool, oracle = samples.pool().float(), suite("calvin").succeeded
    for i, task in enumerate(tasks):
        if not samples.rows[i]:
            continue
        rows, label, source, _ = samples.of(i)
        now, start = (pool[rows[source == PLAY_POSTERIOR][:, k]] for k in (0, 1))
        # The features of the fake world are its slider, drawer and lights.
        known = [torch.zeros(len(x), 24) for x in (start, now)]
        for scene, x in zip(known, (start, now), strict=True):
            scene[:, 0], scene[:, 1], scene[:, 4:6] = x[:, 0] * 0.28, x[:, 1] * 0.22, x[:, 2:4]
        wanted = oracle(task, *({"scene_obs": scene.numpy()} for scene in known))
        assert (label[source == PLAY_POSTERIOR].numpy() == wanted).mean() > 0.99


def test_play_that_no_oracle_can_judge_is_refused(tmp_path):
    keys = {"state": ((6,), "float32"), "action": ((2,), "float32")}
    store = EpisodeStore.create(tmp_path / "play", keys, {"suite": "pusht"})
    with pytest.raises(ValueError, match="'pusht', whose recorded state does not tell success"):
        add_play(Samples(("push_t",)), FakeModel(), store, PlayWindows())


def test_tasks_are_those_of_the_episodes_and_one_that_has_none_is_named(tmp_path):
    store = marked(tmp_path / "s")
    assert tasks_of(store) == tasks_of(store, ("open_drawer",)) == ("open_drawer",)
    with pytest.raises(ValueError, match=r"no episode of \['turn_on_led'\]: those of its episodes are"):
        tasks_of(store, ("turn_on_led", "open_drawer"))
    with pytest.raises(ValueError, match="no episode of any task"):
        tasks_of(EpisodeStore.create(tmp_path / "none", KEYS))


def test_a_model_that_is_told_something_is_told_what_each_demonstration_says(tmp_path):
    store = marked(tmp_path / "s")
    model = Listener(("open drawer",))
    add_demonstrations(Samples(("open_drawer",)), model, store, passes=1, batch_size=2)
    assert model.heard == ["open drawer"] * 3
    with pytest.raises(ValueError, match=r"no instruction for \['open_drawer'\]"):
        add_demonstrations(Samples(("open_drawer",)), Listener(("wave",)), store)


def test_play_that_says_nothing_is_refused_by_a_model_that_is_told_something(tmp_path):
    rng = np.random.default_rng(0)
    store = EpisodeStore.create(tmp_path / "play", KEYS, {"suite": "calvin"})
    store.append([(episode(rng, 60), {"split": "train"})])
    windows = PlayWindows(num=2, context=2, steps=8, batch_size=2)
    with pytest.raises(ValueError, match="an episode without a task"):
        add_play(Samples(("open_drawer",)), Listener(), store, windows)
