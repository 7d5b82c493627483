"""Episodes on disk: what goes in comes out, and what breaks loses nothing."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import pickle
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from fake_episodes import KEYS, make_episode

import dreamgym.data.shards as shards
from dreamgym.data import EpisodeStore


@pytest.fixture
def store(tmp_path: Path) -> EpisodeStore:
    return EpisodeStore.create(tmp_path / "store", KEYS, info={"scene": "D"})


def fill(store: EpisodeStore, lengths: list[int], per_shard: int = 1) -> None:
    metas = [{"split": "val" if i % 3 == 2 else "train", "i": i} for i in range(len(lengths))]
    episodes = [(make_episode(i, n), metas[i]) for i, n in enumerate(lengths)]
    for start in range(0, len(episodes), per_shard):
        store.append(episodes[start : start + per_shard])


@pytest.mark.parametrize("per_shard", [1, 2])
def test_episodes_come_back_as_they_went_in(store: EpisodeStore, per_shard: int) -> None:
    fill(store, [5, 9, 3], per_shard)
    again = EpisodeStore.open(store.path)
    assert len(again) == 3
    assert again.lengths.tolist() == [5, 9, 3]
    assert again.num_steps == 17
    assert again.info == {"scene": "D"}
    assert [meta["i"] for meta in again.metas] == [0, 1, 2]
    for i, n in enumerate([5, 9, 3]):
        for name, expected in make_episode(i, n).items():
            array = again.episode(i)[name]
            assert array.dtype == expected.dtype
            np.testing.assert_array_equal(array, expected)


def test_a_part_of_an_episode_stays_within_it(store: EpisodeStore) -> None:
    fill(store, [5, 9], per_shard=2)
    part = store.episode(1, keys=["robot_obs"], start=2, stop=6)
    assert list(part) == ["robot_obs"]
    assert part["robot_obs"][:, 0].tolist() == [1] * 4
    assert part["robot_obs"][:, 1].tolist() == [2, 3, 4, 5]
    with pytest.raises(ValueError, match="outside episode 1, which has 9 rows"):
        store.episode(1, start=2, stop=10)


def test_arrays_are_mapped_and_read_only(store: EpisodeStore) -> None:
    fill(store, [5])
    array = store.episode(0)["rgb_static"]
    assert isinstance(array.base, np.memmap) or isinstance(getattr(array.base, "base", None), np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 0


def test_select_reads_the_same_rows(store: EpisodeStore) -> None:
    fill(store, [5, 9, 3, 4, 4, 6])
    val = store.select(split="val")
    assert len(val) == 2
    assert val.num_steps == 9
    assert val.episode(1)["robot_obs"][0, 0] == 5
    assert len(store.select(lambda meta: meta["i"] > 3, split="train")) == 1
    assert len(store.select(task="no such entry")) == 0


def test_what_was_written_anew_is_told_from_what_was_there(tmp_path: Path, store: EpisodeStore) -> None:
    fill(store, [3, 4])
    before, held_out = store.written(), store.select(lambda meta: False).written()
    assert EpisodeStore.open(store.path).written() == before
    again = EpisodeStore.create(tmp_path / "again", store.keys)
    again.append([(store.episode(i), meta) for i, meta in enumerate(store.metas)])
    assert again.metas == store.metas and again.written() != before
    again.append([(store.episode(0), store.metas[0])])
    assert again.first(len(store)).written() != again.written() != held_out


def test_unknown_key_is_named(store: EpisodeStore) -> None:
    fill(store, [5])
    with pytest.raises(ValueError, match=r"no key \['depth'\]; it has \['action', 'rgb_static', 'robot_obs'\]"):
        store.episode(0, keys=["depth"])


def test_refresh_sees_what_another_appended(store: EpisodeStore) -> None:
    other = EpisodeStore.open(store.path)
    fill(store, [5, 6])
    assert len(other) == 0
    other.refresh()
    other.refresh()
    assert other.lengths.tolist() == [5, 6]


def test_create_opens_an_existing_store_of_the_same_keys(store: EpisodeStore) -> None:
    fill(store, [5])
    assert len(EpisodeStore.create(store.path, KEYS)) == 1
    with pytest.raises(ValueError, match="exist_ok=True"):
        EpisodeStore.create(store.path, KEYS, exist_ok=False)
    with pytest.raises(ValueError, match="use another path"):
        EpisodeStore.create(store.path, {"action": ((4,), "float32")})


def test_a_store_survives_pickling(store: EpisodeStore) -> None:
    fill(store, [5])
    store.episode(0)["action"]
    again = pickle.loads(pickle.dumps(store))
    np.testing.assert_array_equal(again.episode(0)["action"], store.episode(0)["action"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda e: e.pop("action"), "has keys"),
        (lambda e: e.update(depth=np.zeros(5)), "has keys"),
        (lambda e: e.update(action=np.zeros((5, 8), np.float32)), r"'action' is float32"),
        (lambda e: e.update(rgb_static=np.zeros((5, 4, 6, 3), np.float32)), "'rgb_static' is uint8"),
        (lambda e: e.update(action=np.zeros((4, 7), np.float32)), "same number of rows"),
        (lambda e: e["robot_obs"].__setitem__((3, 2), np.nan), "NaN or an infinity at row 3"),
        (lambda e: e.update(robot_obs=np.full((5, 15), 1e300)), "NaN or an infinity at row 0"),
    ],
)
def test_an_episode_that_does_not_fit_leaves_nothing(store: EpisodeStore, change, message: str) -> None:
    good, bad = make_episode(0, 5), make_episode(1, 5)
    change(bad)
    with pytest.raises(ValueError, match=message):
        store.append([(good, {}), (bad, {})])
    assert len(EpisodeStore.open(store.path)) == 0
    assert list((store.path / "shards").iterdir()) == []


def test_float64_is_stored_as_float32(store: EpisodeStore) -> None:
    episode = make_episode(0, 5)
    store.append([({**episode, "action": episode["action"].astype(np.float64)}, {})])
    np.testing.assert_array_equal(store.episode(0)["action"], episode["action"])


def test_a_meta_that_is_no_json_is_refused(store: EpisodeStore) -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        store.append([(make_episode(0, 5), {"seed": np.int64(3)})])
    assert len(EpisodeStore.open(store.path)) == 0


@pytest.mark.parametrize(
    "keys", [{}, {"a/b": ((1,), "u1")}, {"..": ((1,), "u1")}, {"a": ((0,), "u1")}, {"a": ((), "O")}]
)
def test_keys_that_cannot_be_files_are_refused(tmp_path: Path, keys: dict) -> None:
    with pytest.raises(ValueError, match=r"key|shape|dtype"):
        EpisodeStore.create(tmp_path / "store", keys)


def test_a_full_disk_keeps_what_was_there(store: EpisodeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(store, [5, 6])

    def write_until_full(folder: Path, value: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(shards, "write_json", write_until_full)
    with pytest.raises(OSError, match="disk is full: these episodes were not written") as caught:
        store.append([(make_episode(2, 7), {})])
    monkeypatch.undo()
    assert caught.value.errno == errno.ENOSPC
    assert sorted(os.listdir(store.path / "shards")) == ["00000000", "00000001"]
    store.append([(make_episode(2, 7), {})])
    assert EpisodeStore.open(store.path).lengths.tolist() == [5, 6, 7]


def test_a_truly_full_disk_keeps_what_was_there(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = shutil.which("mount")
    options = ["-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    if not mount or subprocess.run([mount, *options], capture_output=True, check=False).returncode:
        pytest.skip("may not mount a tmpfs here")
    try:
        store = EpisodeStore.create(disk / "store", KEYS)
        with pytest.raises(OSError, match="disk is full") as caught:
            fill(store, [200] * 100)
        assert caught.value.errno == errno.ENOSPC
        again = EpisodeStore.open(store.path)
        assert len(again) > 0
        assert [path.name for path in (store.path / "shards").glob(".*")] == []
        for i in range(len(again)):
            np.testing.assert_array_equal(again.episode(i)["rgb_static"], make_episode(i, 200)["rgb_static"])
        del again, store
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


WRITER = """
import sys, fake_episodes
from dreamgym.data import EpisodeStore
store = EpisodeStore.create(sys.argv[1], fake_episodes.KEYS)
for i in range(int(sys.argv[2]), 100_000):
    store.append([(fake_episodes.make_episode(i, 300), {"i": i})])
    print(i, flush=True)
"""


def test_a_killed_writer_loses_no_finished_episode(tmp_path: Path) -> None:
    path = tmp_path / "store"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", WRITER, str(path), "0"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for _ in range(5):
        process.stdout.readline()
    process.kill()
    reported = 5 + len(process.stdout.read().split())
    process.wait()
    store = EpisodeStore.open(path)
    assert len(store) - reported in (0, 1)  # killed between publishing and reporting
    for i in range(len(store)):
        assert store.metas[i]["i"] == i
        np.testing.assert_array_equal(store.episode(i)["action"], make_episode(i, 300)["action"])


def test_leftovers_are_ignored_by_open_and_cleared_by_create(store: EpisodeStore) -> None:
    fill(store, [5])
    orphan = store.path / "shards" / ".tmp-1-dead"
    orphan.mkdir()
    (orphan / "action.npy").write_bytes(b"half")
    assert len(EpisodeStore.open(store.path)) == 1
    assert orphan.exists()
    assert len(EpisodeStore.create(store.path, KEYS)) == 1
    assert not orphan.exists()


def test_leftovers_stay_while_somebody_appends(store: EpisodeStore) -> None:
    in_progress = store.path / "shards" / ".tmp-1-alive"
    in_progress.mkdir()
    with shards.locked(store.path, exclusive=False):
        store.clean()
    assert in_progress.exists()


def append_many(path: str, writer: int, count: int) -> None:
    store = EpisodeStore.create(path, KEYS)
    for i in range(count):
        store.append([(make_episode(100 * writer + i, 3 + i % 4), {"number": 100 * writer + i})])


def test_two_processes_append_to_one_store(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    path, count = tmp_path / "store", 12
    writers = [context.Process(target=append_many, args=(str(path), writer, count)) for writer in (1, 2)]
    for writer in writers:
        writer.start()
    reader, seen = None, []
    while any(writer.is_alive() for writer in writers):  # what a reader has seen never moves
        if reader is None and (path / "info.json").exists():
            reader = EpisodeStore.open(path)
        if reader is not None:
            reader.refresh()
            numbers = [meta["number"] for meta in reader.metas]
            assert numbers[: len(seen)] == seen
            seen = numbers
        time.sleep(0.01)
    assert [writer.exitcode for writer in writers] == [0, 0]
    store = EpisodeStore.open(path)
    numbers = [meta["number"] for meta in store.metas]
    assert sorted(numbers) == [100 * w + i for w in (1, 2) for i in range(count)]
    assert [n for n in numbers if n < 200] == sorted(n for n in numbers if n < 200)
    assert [int(store.episode(i)["robot_obs"][-1, 0]) for i in range(len(store))] == numbers


def test_opening_what_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nowhere is no episode store: expected .* collect or import one first"):
        EpisodeStore.open(tmp_path / "nowhere")
    (tmp_path / "info.json").write_text('{"fps": 30}')
    with pytest.raises(ValueError, match="of another kind"):
        EpisodeStore.open(tmp_path)
    (tmp_path / "info.json").write_text('{"format": ')
    with pytest.raises(ValueError, match="cannot be read"):
        EpisodeStore.open(tmp_path)


def test_creating_in_a_folder_of_other_files(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(ValueError, match=r"holds 'thesis.tex': use another path"):
        EpisodeStore.create(tmp_path, KEYS)
    assert os.listdir(tmp_path) == ["thesis.tex"]


def test_a_newer_store_asks_for_an_upgrade(store: EpisodeStore) -> None:
    head = json.loads((store.path / "info.json").read_text())
    (store.path / "info.json").write_text(json.dumps({**head, "version": 99}))
    with pytest.raises(ValueError, match=r"version 99.*upgrade dreamgym"):
        EpisodeStore.open(store.path)


def shard_of(store: EpisodeStore, number: int) -> Path:
    return store.path / "shards" / f"{number:08d}"


@pytest.mark.parametrize("damage", ["truncated", "longer", "missing", "garbage", "other shape"])
def test_a_damaged_shard_is_named_at_once_and_can_be_given_up(store: EpisodeStore, damage: str) -> None:
    fill(store, [5, 6])
    file = shard_of(store, 1) / "action.npy"
    if damage == "truncated":
        file.write_bytes(file.read_bytes()[:-10])
    elif damage == "longer":
        file.write_bytes(file.read_bytes() + b"\0" * 28)
    elif damage == "missing":
        file.unlink()
    elif damage == "garbage":
        file.write_bytes(b"not numpy")
    else:
        np.save(file, np.zeros((6, 3), np.float32))
    with pytest.raises(ValueError, match=r"00000001/action.npy is damaged .*give it up \(mv .*00000001.lost\)"):
        EpisodeStore.open(store.path)
    shard_of(store, 1).rename(f"{shard_of(store, 1)}.lost")
    again = EpisodeStore.open(store.path)
    assert again.episode(0)["action"].shape == (5, 7)
    fill(again, [4])
    assert EpisodeStore.open(store.path).lengths.tolist() == [5, 4]


@pytest.mark.parametrize("header", [b"{'descr': '<f4', 'fortran_order': False, 'shape': (6, 7", b"[" * 90, b"{'a': 1}"])
def test_a_damaged_header_is_named(store: EpisodeStore, header: bytes) -> None:
    fill(store, [5, 6])
    file = shard_of(store, 1) / "action.npy"
    whole = file.read_bytes()
    size = int.from_bytes(whole[8:10], "little")
    file.write_bytes(whole[:10] + header.ljust(size - 1) + b"\n" + whole[10 + size :])
    with pytest.raises(ValueError, match=r"00000001/action.npy is damaged .*give it up"):
        EpisodeStore.open(store.path).episode(1)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_shard_that_was_deleted_is_missed(store: EpisodeStore, number: int) -> None:
    for rows in (5, 6, 7):
        fill(store, [rows])
    shutil.rmtree(shard_of(store, number))
    told = rf"has lost the shard 0000000{number} .*put it back, or go on.*mkdir .*0000000{number}.lost"
    for use in (EpisodeStore.open, lambda path: EpisodeStore.create(path, KEYS), lambda path: fill(store, [4])):
        with pytest.raises(ValueError, match=told):
            use(store.path)
    Path(f"{shard_of(store, number)}.lost").mkdir()
    left = [rows for i, rows in enumerate((5, 6, 7)) if i != number]
    assert EpisodeStore.open(store.path).lengths.tolist() == left
    fill(EpisodeStore.open(store.path), [4])
    assert EpisodeStore.open(store.path).lengths.tolist() == [*left, 4]


def test_a_store_of_before_its_shards_were_counted_opens_and_counts_from_then_on(store: EpisodeStore) -> None:
    fill(store, [5, 6])
    (store.path / "count.json").unlink()
    fill(EpisodeStore.open(store.path), [7])
    shutil.rmtree(shard_of(store, 2))
    with pytest.raises(ValueError, match="has lost the shard 00000002"):
        EpisodeStore.open(store.path)


def test_a_count_that_was_not_written_is_no_loss(store: EpisodeStore) -> None:
    """A writer that is killed, or has no room, between publishing a shard and counting it."""
    fill(store, [5])
    before = (store.path / "count.json").read_text()
    fill(store, [6])
    (store.path / "count.json").write_text(before)
    assert EpisodeStore.open(store.path).lengths.tolist() == [5, 6]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"shards": "2"}', '{"shards": -1}', '{"shards": 1e400}'])
def test_a_damaged_count_is_named(store: EpisodeStore, text: str) -> None:
    fill(store, [5])
    (store.path / "count.json").write_text(text)
    with pytest.raises(ValueError, match=r"count.json is damaged .*or delete it"):
        EpisodeStore.open(store.path)


@pytest.mark.parametrize(
    "text",
    ["{", "[]", '{"episodes": [{"start": 0}]}', '{"episodes": [{"start": 1, "length": 4, "meta": {}}]}', "[" * 100_000],
)
def test_a_damaged_index_is_named(store: EpisodeStore, text: str) -> None:
    fill(store, [5])
    (shard_of(store, 0) / "index.json").write_text(text)
    with pytest.raises(ValueError, match=r"00000000/index.json is damaged .*give it up"):
        EpisodeStore.open(store.path)


@pytest.mark.parametrize("length", [4, 6, 0])
def test_an_index_of_another_length_is_noticed(store: EpisodeStore, length: int) -> None:
    fill(store, [5])
    file = shard_of(store, 0) / "index.json"
    index = json.loads(file.read_text())
    index["episodes"][0]["length"] = length
    file.write_text(json.dumps(index))
    with pytest.raises(ValueError, match=r"00000000/(index.json|\w+.npy) is damaged .*give it up"):
        EpisodeStore.open(store.path)
