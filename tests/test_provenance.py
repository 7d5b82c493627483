import json
import os
import re
import resource
import subprocess
import sys

import pytest
import torch

from dreamgym.provenance import ROOT, commit, machine, provenance


def test_the_commit_is_that_of_this_checkout():
    told = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    head = told.stdout.strip()
    assert commit().removesuffix("+") == head  # both empty where this is no checkout
    assert re.fullmatch(r"([0-9a-f]{40}\+?)?", commit())


@pytest.mark.skipif(sys.platform == "win32", reason="no limits on file sizes")
def test_a_full_disk_while_the_commit_is_looked_up_leaves_no_lock_on_the_checkout(tmp_path, monkeypatch):
    def git(*words):
        who = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        return subprocess.run(["git", "-C", str(tmp_path), *who, *words], capture_output=True, text=True, check=True)

    (tmp_path / "dreamgym").mkdir()
    for number in range(40):
        (tmp_path / "dreamgym" / f"module_{number}.py").write_text("x = 1\n")
    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "first")
    for file in (tmp_path / "dreamgym").iterdir():
        os.utime(file, (1, 1))  # the index is behind
    monkeypatch.setattr("dreamgym.provenance.ROOT", tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        told = commit.__wrapped__()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not (tmp_path / ".git" / "index.lock").exists()
    assert told == git("rev-parse", "HEAD").stdout.strip()
    (tmp_path / "dreamgym" / "module_0.py").write_text("x = 2\n")
    assert commit.__wrapped__() == told + "+"


def test_the_machine_names_cores_and_threads():
    assert re.search(r", \d+ cores, \d+ torch threads$", machine())
    assert f"{torch.get_num_threads()} torch threads" in machine()


def test_a_result_says_where_it_comes_from_in_json():
    told = json.loads(json.dumps(provenance({"model": "ab" * 32})))
    assert set(told) == {"commit", "machine", "library_version", "hashes"}
    assert told["hashes"] == {"model": "ab" * 32}
