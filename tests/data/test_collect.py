"""The runner: the same episodes whatever happens to its processes."""

from __future__ import annotations

import errno
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from fake_episodes import Factory

import dreamgym.data.workers as workers
from dreamgym.data import EpisodeStore, collect, episode_rng, split_of
from dreamgym.data.collect import Plan


def contents(store: EpisodeStore) -> dict[int, tuple[int, bytes]]:
    """Episode index -> what identifies its data; fails where one index is there twice."""
    found = {
        meta["episode_index"]: (int(n), store.episode(i)["action"].tobytes())
        for i, (meta, n) in enumerate(zip(store.metas, store.lengths, strict=True))
    }
    assert len(found) == len(store)
    return found


def test_it_stops_at_the_target_and_fills_the_metas(tmp_path: Path) -> None:
    result = collect(Factory(length=10), tmp_path / "s", num_steps=95, seed=7, info={"scene": "D"}, progress=False)
    assert (len(result.store), result.store.num_steps, result.new_episodes) == (10, 100, 10)
    assert (result.failed, result.stopped) == ({}, False)
    assert result.store.info == {"scene": "D", "seed": 7}
    meta = result.store.metas[3]
    assert meta == {"episode_index": 3, "seed": 7, "split": "train", "task": "task0", "skills": []}
    expected = episode_rng(7, 3)
    expected.integers(1)
    np.testing.assert_array_equal(result.store.episode(3)["action"][0], expected.random(7).astype(np.float32))


def test_one_of_twenty_is_held_out_and_of_fewer_too() -> None:
    assert [i for i in range(60) if split_of(i) == "val"] == [1, 21, 41]
    assert {split_of(i) for i in range(60)} == {"train", "val"}


def test_a_whole_split_is_marked_and_drawn_apart(tmp_path: Path) -> None:
    usual = collect(Factory(), tmp_path / "usual", num_episodes=21, progress=False).store
    assert {meta["split"] for meta in usual.metas} == {"train", "val"}
    for split in ("train", "val", "test"):
        made = collect(Factory(), tmp_path / split, num_episodes=3, split=split, progress=False).store
        assert {meta["split"] for meta in made.metas} == {split}
        assert not set(contents(made).values()) & set(contents(usual).values())


def test_workers_make_the_same_set_as_one(tmp_path: Path) -> None:
    one = collect(Factory(), tmp_path / "one", num_episodes=9, progress=False)
    three = collect(Factory(pause_s=0.02), tmp_path / "three", num_episodes=9, num_workers=3, progress=False)
    assert contents(one.store) == contents(three.store)
    assert set(contents(one.store)) == set(range(9))


def test_calling_again_adds_only_what_is_missing(tmp_path: Path) -> None:
    collect(Factory(), tmp_path / "s", num_episodes=2, progress=False)
    result = collect(Factory(), tmp_path / "s", num_episodes=5, progress=False)
    assert (result.new_episodes, len(result.store)) == (3, 5)
    assert collect(Factory(), tmp_path / "s", num_episodes=5, progress=False).new_episodes == 0
    assert contents(result.store) == contents(collect(Factory(), tmp_path / "o", num_episodes=5, progress=False).store)


COLLECTING = """
import sys, fake_episodes
from dreamgym.data import collect
if __name__ == "__main__":
    factory = fake_episodes.Factory(pause_s=float(sys.argv[2]), spread=5, started=sys.argv[3])
    result = collect(factory, sys.argv[1], num_episodes=20, num_workers=2, progress=False)
    print("stopped" if result.stopped else "whole", len(result.store))
"""


def start_collecting(tmp_path: Path, pause_s: float) -> subprocess.Popen[str]:
    """A collection in a process of its own, returned once a few of its episodes are in the store."""
    script, started = tmp_path / "collecting.py", tmp_path / "started"
    script.write_text(COLLECTING)
    started.mkdir()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, str(script), str(tmp_path / "s"), str(pause_s), str(started)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while len(list((tmp_path / "s" / "shards").glob("0*"))) < 3:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.01)
    return process


def test_killed_and_resumed_it_ends_with_the_same_set(tmp_path: Path) -> None:
    process = start_collecting(tmp_path, pause_s=0.3)
    process.kill()
    process.wait()
    at_kill = contents(EpisodeStore.open(tmp_path / "s"))
    assert 3 <= len(at_kill) < 20
    # The orphaned workers finish what they had in flight, maybe after the resumed call made the same episode.
    resumed = collect(Factory(spread=5), tmp_path / "s", num_episodes=20, num_workers=2, progress=False)
    time.sleep(0.6)
    resumed.store.refresh()
    found = contents(resumed.store)
    assert {index: found[index] for index in at_kill} == at_kill
    unbroken = collect(Factory(spread=5), tmp_path / "unbroken", num_episodes=20, progress=False)
    assert found == contents(unbroken.store)


def test_an_interrupt_finishes_what_is_in_flight(tmp_path: Path) -> None:
    process = start_collecting(tmp_path, pause_s=0.3)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    store = EpisodeStore.open(tmp_path / "s")
    assert process.returncode == 0
    assert output.split() == ["stopped", str(len(store))]
    assert len(store) < 20
    assert set(contents(store)) == {int(name) for name in os.listdir(tmp_path / "started")}


def test_a_second_interrupt_gives_up(tmp_path: Path) -> None:
    process = start_collecting(tmp_path, pause_s=1.0)
    before = len(EpisodeStore.open(tmp_path / "s"))
    process.send_signal(signal.SIGINT)
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode not in (0, None)
    assert len(EpisodeStore.open(tmp_path / "s")) - before <= 1


def test_a_failed_episode_is_tried_again_with_another_seed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    result = collect(Factory(raises_once=(1,)), tmp_path / "s", num_episodes=3, progress=False)
    seeds = {meta["episode_index"]: meta["seed"] for meta in result.store.metas}
    assert seeds == {0: 0, 1: workers.RETRY_SEED_OFFSET, 2: 0}
    assert result.failed == {}
    assert "the gripper of episode 1 fell off" in caplog.text
    assert "Traceback" in caplog.text


def test_an_episode_that_fails_twice_is_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    result = collect(Factory(raises_always=(1,)), tmp_path / "s", num_steps=30, progress=False)
    assert set(contents(result.store)) == {0, 2, 3}
    assert list(result.failed) == [1]
    assert "fell off" in result.failed[1]
    assert "1 episodes failed twice and are left out: [1]" in caplog.text


def test_a_worker_that_dies_is_replaced(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    result = collect(Factory(dies_once=(1,)), tmp_path / "s", num_episodes=4, num_workers=2, progress=False)
    assert set(contents(result.store)) == {0, 1, 2, 3}
    assert f"died with exit code -{signal.SIGKILL.value}" in caplog.text


def test_a_broken_generator_stops_it(tmp_path: Path) -> None:
    collect(Factory(), tmp_path / "s", num_episodes=1, progress=False)
    broken = Factory(raises_always=tuple(range(1, 100)))
    with pytest.raises(RuntimeError, match="3 episodes in a row failed: RuntimeError: the gripper of episode"):
        collect(broken, tmp_path / "s", num_episodes=50, progress=False)
    with pytest.raises(RuntimeError, match=r"no episode was collected into .*fell off"):
        collect(Factory(raises_always=(0,)), tmp_path / "other", num_episodes=1, progress=False)


class Lacking:
    """A generator that misses a package, or files."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __call__(self, worker_seed: int) -> Lacking:
        raise self.error


@pytest.mark.parametrize("error", [ImportError("no simulator"), FileNotFoundError("no assets")], ids=str)
def test_what_is_missing_is_told_once(error: Exception, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(type(error), match=str(error)):
        collect(Lacking(error), tmp_path / "s", num_episodes=5, progress=False)
    assert not caplog.text  # one line, not a traceback an episode and try


def test_a_script_without_a_main_guard_is_told_so(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        f"import sys; sys.path[:0] = {[str(Path(__file__).parent)]!r}\n"
        "from fake_episodes import Factory\n"
        "from dreamgym.data import collect\n"
        f"collect(Factory(), {str(tmp_path / 's')!r}, num_episodes=1, progress=False)\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert '`if __name__ == "__main__":`' in done.stderr.splitlines()[-1]


class FullDisk:
    """A generator whose third episode meets a full disk when it is stored."""

    def __call__(self, worker_seed: int) -> FullDisk:
        self.inner = Factory()(worker_seed)
        return self

    def episode(self, episode_index: int) -> tuple[dict[str, np.ndarray], dict[str, object]]:
        if episode_index == 2:
            from dreamgym.data import store

            def write_until_full(*args: object) -> None:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

            store.write_shard = write_until_full  # in the worker's process
        return self.inner.episode(episode_index)


def test_a_full_disk_is_one_clear_error_and_loses_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with (
        caplog.at_level(logging.WARNING),
        pytest.raises(OSError, match=r"disk is full.*keeps every finished episode: free room and call again") as caught,
    ):
        collect(FullDisk(), tmp_path / "s", num_episodes=5, progress=False)
    assert caught.value.errno == errno.ENOSPC
    assert set(contents(EpisodeStore.open(tmp_path / "s"))) == {0, 1}
    assert "again with another seed" not in caplog.text
    assert len(collect(Factory(), tmp_path / "s", num_episodes=5, progress=False).store) == 5


def test_a_place_for_no_store_is_refused_before_the_first_episode(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(ValueError, match="taken is a file, not a folder"):
        collect(Factory(), tmp_path / "taken", num_episodes=2, progress=False)
    assert not caplog.text


def test_one_store_takes_one_collection(tmp_path: Path) -> None:
    collect(Factory(), tmp_path / "s", num_episodes=1, seed=3, info={"scene": "D", "sizes": (64, 64)}, progress=False)
    with pytest.raises(ValueError, match="collected with seed 3, not 4"):
        collect(Factory(), tmp_path / "s", num_episodes=2, seed=4, progress=False)
    with pytest.raises(ValueError, match="collected with scene 'D', not 'A'"):
        collect(Factory(), tmp_path / "s", num_episodes=2, seed=3, info={"scene": "A"}, progress=False)
    same = {"scene": "D", "sizes": (64, 64)}
    assert collect(Factory(), tmp_path / "s", num_episodes=1, seed=3, info=same, progress=False).new_episodes == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "either num_steps or num_episodes"),
        ({"num_steps": 5, "num_episodes": 5}, "either num_steps or num_episodes"),
        ({"num_steps": 0}, "at least 1"),
        ({"num_episodes": 5, "num_workers": 0}, "at least 1"),
        ({"num_episodes": 5, "seed": -1}, "at least 0"),
        ({"num_episodes": 5, "split": "tests"}, "split must be one of"),
    ],
)
def test_arguments_out_of_range(tmp_path: Path, arguments: dict[str, int | str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        collect(Factory(), tmp_path / "s", progress=False, **arguments)
    assert not (tmp_path / "s").exists()


def test_the_plan_hands_out_only_what_is_surely_needed() -> None:
    plan = Plan(num_steps=50, num_episodes=None, done={0: 10, 1: 10, 3: 10})
    assert [plan.next(), plan.next(), plan.next()] == [2, 4, None]
    plan.finish(2, 10)
    assert plan.next() is None
    plan.finish(4, 5)  # shorter than the longest, so one more is needed after all
    assert [plan.next(), plan.next()] == [5, None]


def test_the_plan_puts_a_second_try_first() -> None:
    plan = Plan(num_steps=None, num_episodes=4, done={})
    assert [plan.next(), plan.next()] == [0, 1]
    plan.fail(0, "why")
    assert (plan.next(), plan.is_retry(0), plan.is_retry(1)) == (0, True, False)
    plan.put_back(0)
    assert plan.next() == 0
    plan.fail(0, "why")
    assert (plan.failed, plan.failed_in_a_row) == ({0: "why"}, 1)
    assert [plan.next(), plan.next(), plan.next()] == [2, 3, None]
    plan.finish(1, 5)
    assert plan.failed_in_a_row == 0
    assert plan.expected_steps == 20
