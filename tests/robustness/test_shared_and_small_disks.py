"""Two writers on one store, small disks and places that cannot be written: one line, and what was there opens."""

from __future__ import annotations

import ctypes
import io
import multiprocessing
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from fake_episodes import KEYS, Factory, make_episode

pytest.importorskip("tyro")
pytest.importorskip("accelerate")
pytest.importorskip("diffusers")

from commands import WORDS, give, give_trained

from dreamgym import cli
from dreamgym.data import EpisodeStore, collect
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


def command(words: list[str], limit: int | None = None, as_user: bool = False) -> None:
    """A command; under a limit on the size of files, as a small disk does it without mounting one, or as a user."""
    torch.set_num_threads(1)
    if limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    if as_user:
        give_up_overrides()
    cli.main(words)


def give_up_overrides() -> None:
    """What permissions say counts from here on for root too."""
    libc, header, held = ctypes.CDLL(None), (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    assert libc.capget(header, held) == 0
    for i in (0, 1):  # effective and permitted: without CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH
        held[i] &= ~0b110
    assert libc.capset(header, held) == 0


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("given")
    give(folder)
    return folder


@pytest.fixture(scope="module")
def trained(given: Path) -> Path:
    give_trained(given)
    return given


def ended(words: list[str], tmp_path: Path, **how: Any) -> tuple[int | None, str]:
    """A command's exit code in a process of its own, and what it said."""
    process = apart(lambda: command(words, **how), tmp_path / "told")
    process.join(300)
    return process.exitcode, (tmp_path / "told").read_text()


FULL = "SystemExit: dreamgym: the disk is full, or files may not become larger"
SMALL = {"compare --json": 300, "evaluate --json": 300}
"""Bytes that a file may have; 1,500 of others."""
NEVER_FILLED = ("join", "pull", "play", "ship")
"""Links, downloads, waits for a person, and writes what `clone` does."""


def small_disk(name: str, given: Path, tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    words = WORDS[name].format(given=given, out=place / "out").split()
    code, told = ended(words, tmp_path, limit=SMALL.get(name, 1500))
    assert code == 1, told
    assert FULL in told
    assert "Traceback" not in told
    assert not [file for file in place.rglob("*") if file.suffix == ".tmp" or file.name.startswith(".tmp-")]
    if name.split()[-1] in ("--json", "--out", "--pictures", "report", "rewards", "starts", "finish"):
        assert not (place / "out").exists()  # whole or not at all
    assert ended(words, tmp_path) == (0, "")


@pytest.mark.parametrize("name", ["clone", "evaluate", "export --pictures png"])
def test_a_small_disk_ends_a_command_in_one_line(name: str, given: Path, tmp_path: Path) -> None:
    small_disk(name, given, tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", [name for name in WORDS if name not in NEVER_FILLED])
def test_a_small_disk_ends_every_command_in_one_line(name: str, trained: Path, tmp_path: Path) -> None:
    small_disk(name, trained, tmp_path)


def test_a_run_that_met_a_small_disk_is_as_it_was_before(given: Path, tmp_path: Path) -> None:
    words = WORDS["fit"].format(given=given, out=tmp_path / "run").split()
    assert ended([*words, "--save-every", "0.1"], tmp_path) == (0, "")
    code, told = ended([*words, "--steps", "60", "--save-every", "0.1"], tmp_path, limit=2_000)
    assert (code, FULL in told) == (1, True)
    assert load_run(tmp_path / "run").config.hidden == (64, 64)  # of the five updates before
    assert ended([*words, "--steps", "60"], tmp_path) == (0, "")


@pytest.mark.parametrize("name", WORDS)
def test_a_place_that_cannot_be_written_is_told_before_the_work(name: str, given: Path, tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir(mode=0o555)
    code, told = ended(WORDS[name].format(given=given, out=place / "out").split(), tmp_path, as_user=True)
    assert code == 1, told
    assert f"{place / 'out'}: {place} cannot be written to (Permission denied): choose another path" in told
    assert told.startswith("SystemExit: dreamgym: ")
    assert not list(place.iterdir())


if sys.platform == "win32":
    pytest.skip("limits on file sizes", allow_module_level=True)
