import json
import re
import subprocess

import torch

from dreamgym.provenance import ROOT, commit, machine, provenance


def test_the_commit_is_that_of_this_checkout():
    told = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    head = told.stdout.strip()
    assert commit().removesuffix("+") == head  # both empty where this is no checkout
    assert re.fullmatch(r"([0-9a-f]{40}\+?)?", commit())


def test_the_machine_names_cores_and_threads():
    assert re.search(r", \d+ cores, \d+ torch threads$", machine())
    assert f"{torch.get_num_threads()} torch threads" in machine()


def test_a_result_says_where_it_comes_from_in_json():
    told = json.loads(json.dumps(provenance({"model": "ab" * 32})))
    assert set(told) == {"commit", "machine", "library_version", "hashes"}
    assert told["hashes"] == {"model": "ab" * 32}
