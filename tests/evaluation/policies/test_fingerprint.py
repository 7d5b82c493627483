import json
import sys

import pytest

from dreamgym.evaluation.policies.fingerprint import fingerprint


@pytest.fixture
def package(tmp_path, monkeypatch):
    folder = tmp_path / "own_package"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "policy.py").write_text("from .nets import tower\nfrom own_package import helpers\nimport torch\n")
    (folder / "nets.py").write_text("from own_package.deep.blocks import block\n")
    (folder / "helpers.py").write_text("X = 1\n")
    (folder / "unused.py").write_text("X = 1\n")
    (folder / "deep").mkdir()
    (folder / "deep" / "__init__.py").write_text("")
    (folder / "deep" / "blocks.py").write_text("from .. import policy  # a circle\nX = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield folder
    for name in [n for n in sys.modules if n.partition(".")[0] == "own_package"]:
        del sys.modules[name]


@pytest.mark.parametrize("name", ["policy.py", "nets.py", "helpers.py", "deep/blocks.py"])
def test_a_policy_is_another_once_a_file_that_it_rests_on_was_edited(package, name):
    before = fingerprint("own_package.policy:Policy")
    assert before == fingerprint("own_package.policy:Policy")
    file = package / name
    file.write_text(file.read_text() + "Y = 2\n")
    assert None is not fingerprint("own_package.policy:Policy") != before


def test_a_file_that_it_does_not_import_does_not_count(package):
    before = fingerprint("own_package.policy:Policy")
    (package / "unused.py").write_text("Y = 2\n")
    assert fingerprint("own_package.policy:Policy") == before


def test_a_file_and_its_neighbours_by_a_path_that_looks_like_a_module(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.py").write_text("import neighbour\n")
    (tmp_path / "neighbour.py").write_text("X = 1\n")
    codes = [fingerprint("p.py:P"), fingerprint(f"{tmp_path}/p.py:P")]
    assert codes[0] == codes[1] is not None
    (tmp_path / "neighbour.py").write_text("X = 2\n")
    assert fingerprint("p.py:P") != codes[0]


def test_a_saved_policy_is_known_by_its_config(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"files": {"model": "ab"}}))
    before = fingerprint(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"files": {"model": "cd"}}))
    assert None is not fingerprint(str(tmp_path)) != before


def test_what_has_no_file_has_no_fingerprint(tmp_path):
    assert fingerprint("random") is None
    assert fingerprint(object()) is None
    assert fingerprint("no_such_package.paced:Still") is None
    assert fingerprint(f"{tmp_path}/no.py:Still") is None


def test_a_file_that_cannot_be_parsed_still_has_one(tmp_path):
    (tmp_path / "p.py").write_text("def (")
    assert fingerprint(f"{tmp_path}/p.py:P")
