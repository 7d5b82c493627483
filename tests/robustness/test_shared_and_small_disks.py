"""Two writers on one store, and disks that are too small: one line, and what was there opens."""

from __future__ import annotations

import io
import multiprocessing
import resource
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from disc import make_store
from fake_episodes import KEYS, Factory, make_episode
from point_policies import write_store

pytest.importorskip("tyro")
pytest.importorskip("accelerate")
pytest.importorskip("diffusers")

from dreamgym import cli
from dreamgym.data import EpisodeStore, collect
from dreamgym.testing import point_mass_checkpoint
from dreamgym.training.train import load_run

FORK = multiprocessing.get_context("fork")


def apart(work: Callable[[], object], told: Path) -> multiprocessing.process.BaseProcess:
    """``work`` in a process of its own; what it said on stderr, and what ended it, goes to a file."""

    def run() -> None:
        sys.stderr = said = io.StringIO()  # no file, whose size may be limited
        try:
            work()
        except BaseException as ended:
            said.write(f"{type(ended).__name__}: {ended}"[:1500])
            raise
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            told.write_text(said.getvalue())

    process = FORK.Process(target=run)
    process.start()
    return process


def append_many(path: Path, first: int, count: int) -> None:
    store = EpisodeStore.create(path, KEYS)
    for number in range(first, first + count):
        store.append([(make_episode(number, 5 + number % 7), {"number": number})])


def test_two_writers_append_to_one_store(tmp_path: Path) -> None:
    writers = [apart(lambda k=k: append_many(tmp_path / "s", 100 * k, 40), tmp_path / f"told{k}") for k in (0, 1)]
    for writer in writers:
        writer.join(120)
        assert writer.exitcode == 0
    store = EpisodeStore.open(tmp_path / "s")
    assert sorted(m["number"] for m in store.metas) == [*range(40), *range(100, 140)]
    for i, meta in enumerate(store.metas):
        assert (store.episode(i)["robot_obs"][:, 0] == meta["number"]).all()


def test_two_collections_share_one_store(tmp_path: Path) -> None:
    def work() -> None:
        collect(Factory(pause_s=0.05, spread=5), tmp_path / "s", num_episodes=8, progress=False)

    writers = [apart(work, tmp_path / f"told{k}") for k in (0, 1)]
    for writer in writers:
        writer.join(180)
        assert writer.exitcode == 0
    store = EpisodeStore.open(tmp_path / "s")
    assert sorted(m["episode_index"] for m in store.metas) == list(range(8))


def command(words: list[str], limit: int | None) -> None:
    """A command under a limit on the size of files: what a small disk does, without mounting one."""
    if limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    cli.main(words)


def fit_words(folder: Path, steps: int) -> list[str]:
    words = ["fit", "--store", str(folder / "store"), "--run", str(folder / "run"), "--steps", str(steps)]
    return [*words, "--batch-size", "8", "--length", "8", "--save-every", "0.1", "--set", "hidden=[64,64]"]


def clone_words(folder: Path, epochs: int) -> list[str]:
    words = ["diffusion-ppo", "clone", "--store", str(folder / "demos"), "--task", "reach_right"]
    return [*words, "--checkpoint", str(folder / "point"), "--out", str(folder / "base"), "--epochs", str(epochs)]


def evaluate_words(folder: Path) -> list[str]:
    words = ["evaluate", "random", "hold", "--checkpoint", str(folder / "point"), "--tasks", "reach_right"]
    return [*words, "--episodes", "12", "--out", str(folder / "out")]


@pytest.mark.parametrize("name", ["fit", "clone", "evaluate"])
def test_a_small_disk_ends_a_command_in_one_line(name: str, tmp_path: Path) -> None:
    make_store(tmp_path / "store")
    write_store(tmp_path / "demos")
    point_mass_checkpoint(tmp_path / "point")
    words = {"fit": fit_words(tmp_path, 60), "clone": clone_words(tmp_path, 1), "evaluate": evaluate_words(tmp_path)}
    first = {"fit": fit_words(tmp_path, 20)}.get(name)
    if first is not None:
        apart(lambda: command(first, None), tmp_path / "told").join(120)
    process = apart(lambda: command(words[name], 2_000), tmp_path / "told")
    process.join(120)
    told = (tmp_path / "told").read_text()
    assert process.exitcode == 1, told
    assert "SystemExit: dreamgym: the disk is full, or files may not become larger" in told
    if name == "fit":
        assert load_run(tmp_path / "run").config.hidden == (64, 64)  # of the twenty updates before
    again = apart(lambda: command(words[name], None), tmp_path / "told")
    again.join(180)
    assert again.exitcode == 0
    assert not list(tmp_path.rglob(".tmp-*"))


if sys.platform == "win32":
    pytest.skip("limits on file sizes", allow_module_level=True)
