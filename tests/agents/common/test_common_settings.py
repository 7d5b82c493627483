"""A run goes on only with what it was begun with."""

import json

import pytest
from dreamgym_agents.common.settings import keep_settings


@pytest.fixture(autouse=True)
def progress(tmp_path):
    """What a run has once it has saved: its settings are pinned from then on."""
    for run in (tmp_path, tmp_path / "run"):
        (run / "progress" / "step_00000001").mkdir(parents=True)


def test_nothing_is_pinned_before_there_is_progress(tmp_path):
    file = tmp_path / "new" / "run.json"
    keep_settings(file, {"lr": 0.1, "chunk": 40})
    keep_settings(file, {"lr": 0.2})
    assert json.loads(file.read_text()) == {"lr": 0.2}
    (file.parent / "clone" / "progress" / "step_00000002").mkdir(parents=True)  # of a stage
    with pytest.raises(ValueError, match="lr 0.2, not 0.3"):
        keep_settings(file, {"lr": 0.3})


def test_the_same_again_is_welcome_and_what_is_free_may_change(tmp_path):
    file = tmp_path / "run" / "run.json"
    keep_settings(file, {"lr": 0.1, "sizes": (8, 8), "hours": 1}, free=("hours",))
    keep_settings(file, {"lr": 0.1, "sizes": (8, 8), "hours": 9}, free=("hours",))
    assert json.loads(file.read_text()) == {"lr": 0.1, "sizes": [8, 8], "hours": 9}


def test_each_change_is_named_then_and_now(tmp_path):
    file = tmp_path / "run.json"
    keep_settings(file, {"config": {"train": {"seed": 0, "lr": 0.1}}, "kind": "mlp"})
    told = "config.train.seed 0, not 1; kind 'mlp', not 'unet'. Use a new run directory"
    with pytest.raises(ValueError, match=told):
        keep_settings(file, {"config": {"train": {"seed": 1, "lr": 0.1}}, "kind": "unet"})
    assert json.loads(file.read_text())["kind"] == "mlp"


def test_what_an_older_version_left_out_is_unchanged_or_its_default(tmp_path):
    file = tmp_path / "run.json"
    file.write_text('{"lr": 0.1}')
    keep_settings(file, {"lr": 0.1, "decay": True})
    file.write_text('{"lr": 0.1}')
    with pytest.raises(ValueError, match="decay False, not True"):
        keep_settings(file, {"lr": 0.1, "decay": True}, read=lambda held: {"decay": False, **held})


def test_a_stop_while_they_are_written_leaves_those_of_before(tmp_path, monkeypatch):
    file = tmp_path / "run.json"
    keep_settings(file, {"lr": 0.1})
    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.write_text", lambda path, text, **_: path.open("w").close() or 1 / 0)
        with pytest.raises(ZeroDivisionError):
            keep_settings(file, {"lr": 0.1, "more": 1})
    keep_settings(file, {"lr": 0.1, "more": 2})
    assert json.loads(file.read_text())["more"] == 2


@pytest.mark.parametrize("content", ["", "[1]", "[" * 9999])
def test_damaged_settings_are_named(tmp_path, content):
    file = tmp_path / "run.json"
    file.write_text(content)
    with pytest.raises(ValueError, match=r"run\.json .*(cannot be read|is damaged)"):
        keep_settings(file, {"lr": 0.1})
