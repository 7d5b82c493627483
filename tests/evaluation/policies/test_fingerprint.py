import json
import sys
from importlib.metadata import EntryPoint, entry_points

import pytest

from dreamgym.evaluation.policies import load
from dreamgym.evaluation.policies.fingerprint import BUILT_IN, fingerprint, own_files


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


@pytest.fixture
def saved(package, tmp_path, monkeypatch):
    """A saved policy whose loader is ``own_package.policy:load``."""
    found = [EntryPoint("own", "own_package.policy:load", "dreamgym.policies")]
    monkeypatch.setattr("dreamgym.evaluation.policies.fingerprint.entry_points", lambda group: found)
    folder = tmp_path / "saved"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"policy": "own", "files": {"model": "ab"}}))
    return folder


def test_a_saved_policy_is_known_by_its_config(saved):
    before = fingerprint(saved)
    (saved / "config.json").write_text(json.dumps({"policy": "own", "files": {"model": "cd"}}))
    assert None is not fingerprint(str(saved)) != before


@pytest.mark.parametrize("name", ["policy.py", "deep/blocks.py"])
def test_a_saved_policy_is_another_once_the_code_that_loads_it_was_edited(saved, package, name):
    before = fingerprint(saved)
    (package / name).write_text((package / name).read_text() + "Y = 2\n")
    assert None is not fingerprint(saved) != before
    (package / "unused.py").write_text("Y = 2\n")
    assert fingerprint(saved) != before


def test_a_saved_policy_that_nothing_loads_has_none(saved):
    (saved / "config.json").write_text(json.dumps({"policy": "somebody elses"}))
    assert fingerprint(saved) is None
    (saved / "config.json").write_text("{")
    assert fingerprint(saved) is None


def test_the_loaders_of_this_repositorys_agents_have_source_files():
    for entry in entry_points(group="dreamgym.policies"):
        assert own_files(entry.module), entry


def test_a_module_without_a_source_file_is_known_by_its_distributions_version(monkeypatch):
    before = fingerprint("numpy.random.mtrand:RandomState")  # compiled
    assert before is not None
    monkeypatch.setattr("dreamgym.evaluation.policies.fingerprint.version", lambda name: "0.0.0")
    assert fingerprint("numpy.random.mtrand:RandomState") != before


def test_a_built_in_policy_is_known_by_the_module_that_defines_it(tmp_path, monkeypatch):
    before = fingerprint("random")
    assert set(BUILT_IN) == set(load.BUILT_IN)
    edited = tmp_path / "load.py"
    edited.write_text("# another\n")
    monkeypatch.setitem(BUILT_IN, "random", edited)
    assert None is not before != fingerprint("random")


def test_a_policy_that_a_package_brought_by_name_is_known_by_its_code(package, monkeypatch):
    made = [EntryPoint("planner", "own_package.policy:planner", "dreamgym.policy_factories")]
    monkeypatch.setattr("dreamgym.evaluation.policies.fingerprint.entry_points", lambda group, name: made)
    before = fingerprint("planner")
    (package / "nets.py").write_text("Y = 2\n")
    assert None is not before != fingerprint("planner")


def test_what_has_no_file_has_no_fingerprint(tmp_path):
    assert fingerprint(object()) is None
    assert fingerprint(f"{tmp_path}/no_such_folder") is None
    assert fingerprint("no_such_name") is None
    assert fingerprint("no_such_package.paced:Still") is None
    assert fingerprint(f"{tmp_path}/no.py:Still") is None


def test_a_file_that_cannot_be_parsed_still_has_one(tmp_path):
    (tmp_path / "p.py").write_text("def (")
    assert fingerprint(f"{tmp_path}/p.py:P")
