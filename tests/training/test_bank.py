from dataclasses import replace

import numpy as np
import pytest
import torch
from fakes import KEYS, FakeModel, Listener, episode

from dreamgym.data import EpisodeStore
from dreamgym.envs.core.starts import StartBank
from dreamgym.training.bank import BankConfig, build_starts, candidates, join_starts

TASKS = ("open_drawer", "turn_on_led")
WITH_SNAPSHOT = KEYS | {"snapshot": ((2,), "float64"), "success": ((), "bool")}


def play_episode(rng, number, rows=60):
    """The drawer opens in rows 10-20 and closes in 20-30; the LED goes on at row 35 and off at 45."""
    action = np.zeros((rows, 7), np.float32)
    action[:, 4:] = rng.uniform(-1, 1, 3)
    action[10:20, 1], action[20:30, 1] = 1, -1
    action[35, 3], action[45, 3] = 1, -1
    made = episode(rng, rows, action=action)
    made["snapshot"] = np.stack([np.full(rows, number), np.arange(rows)], 1).astype(np.float64)
    made["success"] = np.zeros(rows, bool)
    skills = [["open_drawer", 10, 20, True], ["wander", 20, 30, True], ["turn_on_led", 30, 36, True]]
    skills += [["turn_on_led", 46, 50, False]]
    return made, {"split": "val" if number % 4 == 3 else "train", "skills": skills}


@pytest.fixture
def play(tmp_path):
    rng = np.random.default_rng(0)
    store = EpisodeStore.create(tmp_path / "play", WITH_SNAPSHOT)
    store.append([play_episode(rng, i) for i in range(8)])
    return store


def test_starts_lie_where_a_skill_began_and_the_task_can_still_be_done(play):
    found = candidates(play, TASKS, offsets=(0, 4, 8))
    # From row 18 on the drawer has too little travel left; the unsuccessful press at row 46 is no start.
    assert {(c.frame, TASKS[c.task]) for c in found} == {
        (10, "open_drawer"),
        (14, "open_drawer"),
        (30, "turn_on_led"),
        (34, "turn_on_led"),
    }
    assert len(found) == 8 * 4


def test_a_start_holds_the_state_and_the_snapshot_of_its_very_frame(play):
    tensors, meta = build_starts(FakeModel(), [play], TASKS, BankConfig(num_train=6, num_val=2, context=8))
    assert meta["counts"] == {t: {"train": 6, "val": 2, "test": 0} for t in TASKS}
    assert tensors["state/scene"].dtype == torch.float16
    for i in range(len(tensors["task"])):
        number, frame = tensors["snapshot"][i].long().tolist()
        row = play.episode(number, ["scene_obs"], frame, frame + 1)["scene_obs"][0]
        np.testing.assert_allclose(tensors["state/scene"][i], row, atol=1e-3)
        assert play.metas[number]["split"] == ("train", "val")[int(tensors["split"][i])]


def test_the_core_reads_the_tensors(play):
    tensors, meta = build_starts(FakeModel(), [play], TASKS, BankConfig(num_train=4, num_val=2))
    bank = StartBank.from_tensors(tensors, meta["tasks"])
    assert len(bank.candidates("turn_on_led", "val")) == 2
    assert bank.state(torch.tensor([0]))["scene"].dtype == torch.float32


def test_a_demonstration_starts_at_its_first_row_on_padded_hold_steps(tmp_path):
    rng = np.random.default_rng(0)
    demos = EpisodeStore.create(tmp_path / "demos", WITH_SNAPSHOT)
    made, _ = play_episode(rng, 0)
    made["success"][17:] = True
    demos.append([(made, {"split": "train", "task": "open_drawer"})])
    config = BankConfig(num_train=1, num_val=0, context=4, offsets=(0,))
    tensors, _ = build_starts(FakeModel(history=2), [demos], ("open_drawer",), config)
    assert tensors["snapshot"][0].tolist() == [0, 0]


def test_a_failed_attempt_gives_its_first_row_alone(tmp_path):
    demos = EpisodeStore.create(tmp_path / "demos", WITH_SNAPSHOT)
    demos.append([(play_episode(np.random.default_rng(0), 0)[0], {"split": "train", "task": "open_drawer"})])
    assert [c.frame for c in candidates(demos, TASKS, offsets=(0, 4, 8))] == [0]


def test_without_snapshots_in_the_data_the_bank_has_none(tmp_path, play):
    bare = EpisodeStore.create(tmp_path / "bare", KEYS)
    tensors, _ = build_starts(FakeModel(), [play, bare], TASKS, BankConfig(num_train=2, num_val=0))
    assert "snapshot" not in tensors


def test_a_task_that_never_began_is_named(play):
    with pytest.raises(ValueError, match="close_drawer"):
        build_starts(FakeModel(), [play], ("close_drawer",))


def test_an_episode_of_the_test_split_gives_one_start(tmp_path, play):
    rng = np.random.default_rng(1)
    test = EpisodeStore.create(tmp_path / "test", WITH_SNAPSHOT)
    test.append([(rows, {**meta, "split": "test"}) for rows, meta in (play_episode(rng, 100 + i) for i in range(7))])
    config = BankConfig(num_train=2, num_val=0, num_test=50)
    tensors, meta = build_starts(FakeModel(), [play, test], TASKS, config)
    of_test = tensors["split"] == 2
    assert sorted(tensors["snapshot"][of_test, 0].tolist()) == [100.0 + i for i in range(7)]
    assert sorted(counts["test"] for counts in meta["counts"].values()) == [3, 4]
    bank = StartBank.from_tensors(tensors, meta["tasks"])
    assert sum(len(bank.candidates(task, "test")) for task in TASKS) == 7


def test_no_more_test_starts_than_wanted(tmp_path, play):
    rng = np.random.default_rng(1)
    test = EpisodeStore.create(tmp_path / "test", WITH_SNAPSHOT)
    test.append([(rows, {**meta, "split": "test"}) for rows, meta in (play_episode(rng, 100 + i) for i in range(7))])
    _, meta = build_starts(FakeModel(), [play, test], TASKS, BankConfig(num_train=2, num_val=0, num_test=2))
    assert [counts["test"] for counts in meta["counts"].values()] == [2, 2]


class SlowFrames(FakeModel):
    """A frame spans three rows; remembers the frames it was shown, and the actions between them."""

    def __init__(self):
        super().__init__()
        self.spec = replace(self.spec, actions_per_frame=3)
        self.seen, self.done = [], []

    def start(self, history, generator=None, instruction=None):
        self.seen.append(history["scene_obs"][:, -1])
        return super().start(history, generator)

    def observe(self, state, action, obs, generator=None):
        self.done.append(action)
        return super().observe(state, action, obs, generator)


def test_frames_of_several_actions_are_filtered_so_many_rows_apart(play):
    model = SlowFrames()
    config = BankConfig(num_train=2, num_val=0, num_test=0, context=4, offsets=(0,))
    tensors, _ = build_starts(model, [play], ("turn_on_led",), config)
    shown = torch.stack(model.seen, 1)  # [starts, frames, 24]
    for i, (number, frame) in enumerate(tensors["snapshot"].long().tolist()):
        rows = play.episode(number)
        np.testing.assert_array_equal(shown[i], rows["scene_obs"][frame - 9 : frame + 1 : 3])
        np.testing.assert_array_equal(torch.cat([a[i] for a in model.done]), rows["action"][frame - 9 : frame])


def foreign(path, task=None):
    """Episodes of an imported store: no skills, no snapshots, no marks, and perhaps no task."""
    rng = np.random.default_rng(0)
    store = EpisodeStore.create(path, KEYS)
    for i in range(6):
        meta = {"split": ("train", "val", "test")[i % 3], **({} if task is None else {"task": task})}
        store.append([(episode(rng, 40), meta)])
    return store


def test_data_of_no_task_begin_anywhere_and_suit_any_task(tmp_path):
    config = BankConfig(num_train=5, num_val=5, num_test=5, context=8)
    tensors, meta = build_starts(FakeModel(), [foreign(tmp_path / "s")], (), config)
    assert meta["counts"] == {"any": {"train": 5, "val": 5, "test": 2}}  # a test episode gives one start
    bank = StartBank.from_tensors(tensors, meta["tasks"])
    assert [len(bank.candidates("whatever", split)) for split in ("train", "val", "test")] == [5, 5, 2]
    assert bank.snapshot is None


def test_demonstrations_without_marks_begin_at_their_first_row(tmp_path):
    found = candidates(foreign(tmp_path / "s", "push"), ["push"], offsets=(0, 4))
    assert [(c.frame, c.task) for c in found] == [(0, 0)] * 6


def test_test_starts_are_added_behind_the_banks_own(tmp_path, play):
    rng = np.random.default_rng(1)
    test = EpisodeStore.create(tmp_path / "test", WITH_SNAPSHOT)
    test.append([(rows, {**meta, "split": "test"}) for rows, meta in (play_episode(rng, 100 + i) for i in range(4))])
    bank = build_starts(FakeModel(), [play], TASKS, BankConfig(num_train=4, num_val=2))
    more = build_starts(FakeModel(), [test], TASKS, BankConfig(), splits=("test",))
    tensors, meta = join_starts(bank, more)
    size = len(bank[0]["task"])
    assert all(torch.equal(tensors[k][:size], v) for k, v in bank[0].items())
    assert tensors["split"][size:].tolist() == [2] * 4
    assert meta["counts"] == {t: {"train": 4, "val": 2, "test": 2} for t in TASKS}
    with pytest.raises(ValueError, match=r"already has \['test'\] starts"):
        join_starts((tensors, meta), more)


def test_starts_of_other_tasks_are_not_added(play):
    bank = build_starts(FakeModel(), [play], TASKS, BankConfig(num_train=4, num_val=2))
    more = build_starts(FakeModel(), [play], TASKS[:1], BankConfig(num_train=1), splits=("train",))
    with pytest.raises(ValueError, match="do not belong to the bank"):
        join_starts(bank, more)


def test_a_split_without_starts_of_a_task_is_named(play):
    with pytest.raises(ValueError, match="no test start"):
        build_starts(FakeModel(), [play], TASKS, BankConfig(), splits=("test",))


def test_a_model_that_is_told_something_is_told_the_task_of_each_start(play):
    model = Listener(("open drawer", "turn on the lamp"))
    with pytest.raises(ValueError, match="no instruction for .*turn_on_led"):
        build_starts(model, [play], TASKS, BankConfig(num_train=2, num_val=1))
    model = Listener(("open drawer", "turn on led"))
    tensors, _ = build_starts(model, [play], TASKS, BankConfig(num_train=3, num_val=1))
    assert model.heard == [model.spec.instructions[t] for t in tensors["task"].tolist()]
    assert set(model.heard) == set(model.spec.instructions)


def test_the_words_of_a_demonstration_come_before_its_tasks(tmp_path):
    store, rng = EpisodeStore.create(tmp_path / "demos", KEYS), np.random.default_rng(0)
    said = ("open drawer", "pull", "shout")  # the last is nothing that the model knows
    store.append([(episode(rng, 20), {"split": "train", "task": "open_drawer", "instruction": s}) for s in said])
    model = Listener(("open drawer", "pull"))
    build_starts(model, [store], ("open_drawer",), BankConfig(num_train=3, num_val=0, offsets=(0,)))
    assert model.heard == ["open drawer", "pull", "open drawer"]
