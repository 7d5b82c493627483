import json
from importlib.metadata import EntryPoint
from types import SimpleNamespace

import pytest

from dreamgym.cli import main
from dreamgym.evaluation.pages import parts
from dreamgym.evaluation.pages.page import MORE, document
from dreamgym.evaluation.pages.parts import Section, add_parts, insert, write_section

PAGE = document("a demo", ["<h2>first</h2>", MORE, "<h2>last</h2>"])


def say(demo):
    return Section("said", f"<p>{demo.word}</p>", {"word": demo.word}, words=["said so"])


def keep_quiet(demo):
    return None


def lack(demo):
    raise ImportError('it needs more: pip install "dreamgym[report]"')


@pytest.fixture
def registered(monkeypatch):
    def register(*names):
        found = [EntryPoint(n, f"{__name__}:{n}", parts.GROUP) for n in names]
        monkeypatch.setattr(parts, "entry_points", lambda group: found if group == parts.GROUP else [])

    return register


@pytest.fixture
def demo(tmp_path):
    (tmp_path / "index.html").write_text(PAGE)
    (tmp_path / "demo.json").write_text('{"seed": 0}')
    return SimpleNamespace(folder=tmp_path, word="once")


def test_a_section_goes_to_its_place_and_later_ones_behind_it():
    page = insert(insert(PAGE, "one", "<p>1</p>"), "two", "<p>2</p>")
    order = [page.index(x) for x in ("first", "<p>1</p>", "<p>2</p>", "last")]
    assert order == sorted(order)


def test_a_section_replaces_the_older_one_of_its_name():
    page = insert(insert(PAGE, "one", r"<p>\1 old</p>"), "one", r"<p>\1 new</p>")
    assert "old" not in page
    assert page.count("<section") == 1
    assert r"\1 new" in page


def test_a_foreign_page_is_refused():
    with pytest.raises(ValueError, match="no place"):
        insert("<html></html>", "one", "")


def test_the_parts_of_other_packages_write_page_and_figures(registered, demo):
    registered("say", "keep_quiet")
    assert [s.name for s in add_parts(demo)] == ["said"]
    assert "<p>once</p>" in (demo.folder / "index.html").read_text()
    assert json.loads((demo.folder / "demo.json").read_text()) == {"seed": 0, "said": {"word": "once"}}


def test_a_part_that_lacks_an_extra_spoils_nothing(registered, demo, caplog):
    registered("lack", "say")
    assert [s.name for s in add_parts(demo)] == ["said"]
    assert "pip install" in caplog.text


def test_a_section_without_a_demo_gets_a_page_of_its_own(tmp_path):
    page = write_section(tmp_path / "new", Section("said", "<p>alone</p>", {}))
    assert "<p>alone</p>" in page.read_text()


def test_a_section_has_a_name_that_a_page_can_hold():
    with pytest.raises(ValueError, match="lower-case"):
        Section('"><script>', "", {})


@pytest.mark.parametrize("words", [[], ["--no-tune"]])
def test_the_command_shows_the_parts_unless_told_not_to(words, registered, demo, monkeypatch, capsys):
    pytest.importorskip("tyro")
    pytest.importorskip("rich")
    registered("say")
    demo.facts = {"dream_id": "Dream", "real_id": "Real"}
    demo.speed = {"dream_1": 1.0, "dream_many": 2.0, "real": 3.0}
    monkeypatch.setattr("dreamgym.evaluation.pages.demo.run_demo", lambda *_: demo)
    monkeypatch.setattr("dreamgym.evaluation.pages.demo.demo_rows", lambda _: (["steps", "drawer"], [["1", "2 cm"]]))
    main(["demo", *words])
    assert ("said so" in capsys.readouterr().out) == (not words)
    assert ("<p>once</p>" in (demo.folder / "index.html").read_text()) == (not words)
