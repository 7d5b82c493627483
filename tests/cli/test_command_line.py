"""What all commands share: help, errors in one line, extras that are missing."""

import errno
import os
import re
import resource
import runpy
import subprocess
import sys
import threading
import types
from collections.abc import Callable
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from dreamgym import cli
from dreamgym.data.collect import CollectError


@pytest.mark.parametrize("command", sorted(cli.COMMANDS))
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main([command, "--help"])
    assert stop.value.code == 0
    assert command in capsys.readouterr().out


@pytest.mark.parametrize(
    ("command", "listed"),
    [("collect", ", point_mass"), ("evaluate", "point_mass 64"), ("fit", "latent_diffusion")],
)
def test_help_lists_what_is_registered(command: str, listed: str) -> None:
    """In a process of its own: tyro remembers the docstrings that it has read."""
    words = [command, "--help", "--import", "dreamgym.testing.point_mass"]
    run = [sys.executable, "-c", "from dreamgym.cli import main; main()", *words]
    told = subprocess.run(run, capture_output=True, text=True, env={**os.environ, "COLUMNS": "4000"}).stdout
    assert listed in told
    assert not re.search(r"\{(suites|families|horizons|robots|kinds)\}", told)


def test_unknown_command_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(["dance"])
    assert stop.value.code != 0


def test_missing_tyro_names_the_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tyro", None)
    with pytest.raises(SystemExit, match=r'pip install "dreamgym\[cli\]"'):
        cli.main(["info"])


@pytest.mark.parametrize(
    "error",
    [
        ValueError("a mend"),
        ImportError("a mend"),
        FileNotFoundError("a mend"),
        NotADirectoryError("a mend"),
        PermissionError("a mend"),
        CollectError("a mend"),
        ValueError("a\n  mend"),
        gymnasium.error.NameNotFound("a mend"),
    ],
)
def test_a_callers_mistake_ends_in_one_line(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        """Fails."""
        raise error

    monkeypatch.setattr(cli, "COMMANDS", {**cli.COMMANDS, "broken": broken})
    with pytest.raises(SystemExit, match="dreamgym: a mend"):
        cli.main(["broken"])


@pytest.mark.parametrize("make", [np.empty, torch.empty])
def test_a_memory_that_does_not_suffice_is_one_line(
    make: Callable[[int], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask() -> None:
        """Asks for exabytes."""
        make(10**18)

    monkeypatch.setattr(cli, "COMMANDS", {**cli.COMMANDS, "ask": ask})
    with pytest.raises(SystemExit, match="dreamgym: the memory does not suffice .*: ask for less"):
        cli.main(["ask"])


def _fills_a_disk(path: Path) -> None:
    """With a limit on the size of files, which Rust's writers and Python's meet alike."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        if path.suffix == ".safetensors":
            save_file({"x": torch.zeros(10_000)}, path)
        else:
            path.write_bytes(bytes(40_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("name", ["weights.safetensors", "rows.npy"])
def test_a_full_disk_is_one_line(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write() -> None:
        """Writes too much."""
        _fills_a_disk(tmp_path / name)

    monkeypatch.setattr(cli, "COMMANDS", {**cli.COMMANDS, "write": write})
    with pytest.raises(SystemExit, match="dreamgym: the disk is full, or files may not become larger"):
        cli.main(["write"])


def test_a_full_device_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def write() -> None:
        """Writes to a device without room."""
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(cli, "COMMANDS", {**cli.COMMANDS, "write": write})
    with pytest.raises(SystemExit, match="the same command goes on with it"):
        cli.main(["write"])


def test_a_defect_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        """Fails."""
        raise RuntimeError("a defect")

    monkeypatch.setattr(cli, "COMMANDS", {**cli.COMMANDS, "broken": broken})
    with pytest.raises(RuntimeError, match="a defect"):
        cli.main(["broken"])


MISTAKES = {
    "evaluate random --checkpoint pusht --no-twin --threads 0": "--threads must be at least 1",
    "evaluate random --checkpoint pusht --no-twin --threads 1000000000": "--threads must be at least 1 and at most",
    "evaluate random --checkpoint pusht --no-twin --device cuda:77": "--device cuda:77 cannot be used here",
    "evaluate random --checkpoint pusht --no-twin --out {file}": "is a file",
    "evaluate random --checkpoint pusht --json {folder}": "is a folder",
    "evaluate random --checkpoint nowhere": "nowhere",
    "evaluate random --checkpoint Dream-Nowhere-v0": "Dream-Nowhere",
    "demo --threads 0": "--threads must be at least 1",
    "demo --dream Dream-Nowhere-v0": "Dream-Nowhere",
    "demo --out {file}": "is a file",
    "join --stores {folder} --out {file}": "is a file",
    f"join --stores {{folder}} --out {{folder}}/{250 * 'x'}": "a name of over 241 bytes",
    "clips --store {folder} --out {file}/deep": "is no episode store",
    "compare a b --store {folder} --tolerance nan": "--tolerance must be at least 0, got nan",
    "compare a b --store {folder} --threads 1000000000": "--threads must be at least 1 and at most",
    "compare a b --store {folder} --json {file}/x.json": "is a file",
    "adapt --checkpoint a --store {folder} --run {folder}/run --out {file}": "is a file",
    "refinement train --store {folder} --checkpoint a --out {file}/p": "is a file",
    "fidelity --checkpoint a --store {folder} --json {folder}": "is a folder",
    "fit --store {folder} --run {folder}/run": "{folder}",
    "fit --store {folder} --run {file}": "{tmp",
    "finish --run {file} --stores {folder} --out {folder}/c": "{tmp",
    "report {file}": "{tmp",
    "diffusion-ppo clone --store {folder} --task t --checkpoint a --out {folder}/p --threads 0": "--threads",
    "diffusion-ppo clone --store {folder} --task t --checkpoint a --out {file}/p": "is a file",
    "diffusion-ppo tune --policy {folder} --run {file}": "is a file",
    "warpd train --store {folder} --out {folder}/p --threads 0": "--threads",
    "warpd train --store {folder} --out {folder}/p --device cuda:77": "--device cuda:77",
}


@pytest.mark.parametrize("words", MISTAKES)
def test_a_mistake_on_the_command_line_is_one_line(
    words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file, folder = tmp_path / "file", tmp_path / "folder"
    file.write_text("a file")
    folder.mkdir()
    with pytest.raises(SystemExit) as stop:
        cli.main(words.format(file=file, folder=folder).split())
    told = str(stop.value)
    assert told.startswith("dreamgym: "), capsys.readouterr().err
    assert MISTAKES[words].replace("{tmp", str(tmp_path)).replace("{folder}", str(folder)) in told
    assert "\n" not in told


def test_no_policy_is_a_mistake() -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(["evaluate", "--checkpoint", "pusht"])
    assert stop.value.code not in (0, None)


def test_an_interrupt_claims_nothing_that_a_command_did_not_say(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setitem(cli.COMMANDS, "info", interrupted)
    with pytest.raises(SystemExit):
        cli.main(["info"])
    assert capsys.readouterr().err == "dreamgym: stopped before it was done: run the same command again\n"


def test_an_interrupt_while_python_imports_it_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Interrupted(types.ModuleType):
        def __getattr__(self, name: str) -> object:
            raise KeyboardInterrupt

    monkeypatch.setitem(sys.modules, "dreamgym.cli", Interrupted("dreamgym.cli"))
    with pytest.raises(SystemExit) as stop:
        runpy.run_module("dreamgym", run_name="__main__")
    assert stop.value.code == 130
    assert capsys.readouterr().err == "dreamgym: stopped before it had begun\n"


def test_an_interrupt_while_the_command_line_is_imported_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted:
        def find_spec(self, name: str, path: object = None, target: object = None) -> None:
            if name == "tyro":
                raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "tyro", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Interrupted(), *sys.meta_path])
    with pytest.raises(SystemExit) as stop:
        cli.main(["info"])
    assert stop.value.code == 130


def test_a_thread_that_meets_a_full_disk_adds_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorBoard writes in a thread of its own; the command itself is told of the disk too, and ends in one line."""
    told: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", told.append)

    def command() -> None:
        for error in (OSError(errno.ENOSPC, "No space left on device"), RuntimeError("a defect")):
            thread = threading.Thread(target=_raise, args=(error,))
            thread.start()
            thread.join()

    monkeypatch.setitem(cli.COMMANDS, "info", command)
    cli.main(["info"])
    assert [type(args.exc_value) for args in told] == [RuntimeError]


def _raise(error: Exception) -> None:
    raise error


@pytest.mark.parametrize(
    "words",
    [
        ["encoder", "--store", "{store}", "--run", "{run}", "--kind", "dinov2", "--out", "{file}"],
        ["action-expert", "train", "--store", "{store}", "--out", "{other}"],
    ],
    ids=["encoder", "action-expert"],
)
def test_a_place_that_cannot_be_is_told_before_the_store_is_opened(words: list[str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("mine")
    places = {name: str(tmp_path / name) for name in ("store", "run", "file", "other")}
    with pytest.raises(SystemExit, match=r"dreamgym: .*(file|other) .*(is a file|no expert's folder)"):
        cli.main([word.format(**places) for word in words])
