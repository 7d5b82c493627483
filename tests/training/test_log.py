import builtins
import json
import logging
import sys
from pathlib import Path

import pytest

from dreamgym.training.log import RunLog, truncate_log
from dreamgym.world_models.recipe import FitConfig


def test_a_line_names_step_and_stage(tmp_path: Path) -> None:
    log = RunLog(tmp_path, 0)
    log.write(1, "train", {"loss": 2.0})
    log.write_evaluation(1, "train", {"mae": 0.5})
    log.close()
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert lines == [
        {"step": 1, "stage": "train", "loss": 2.0},
        {"step": 1, "stage": "train", "eval": {"mae": 0.5}},
    ]


def test_weights_and_biases_gets_the_same_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    for first in (1, 3):  # a run that goes on is the same run
        log = RunLog(tmp_path, first - 1, "wandb", {"lr": 0.5})
        log.write(first, "train", {"loss": 2.0 / first})
        log.write_evaluation(first + 1, "train", {"mae": 0.25})
        log.close()
    name = (tmp_path / "wandb.id").read_text()
    files = sorted((tmp_path / "wandb").glob(f"offline-run-*-{name}/run-{name}.wandb"))
    assert files
    written = b"".join(file.read_bytes() for file in files)
    for word in (b"train/loss", b"eval/mae", b"dreamgym", b'"lr"' if b'"lr"' in written else b"lr"):
        assert word in written
    assert wandb.run is None
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 4


def test_a_missing_wandb_is_told_with_the_pip_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ImportError, match=r'pip install "dreamgym\[wandb\]"'):
        RunLog(tmp_path, 0, "wandb")
    with pytest.raises(ValueError, match="log must be one of"):
        FitConfig(log="paper")


def test_what_a_killed_run_wrote_after_its_last_save_is_dropped(tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    file.write_text('{"step": 1, "loss": 1}\n[3]\n{"step": 2, "loss": 1}\n{"step": 3, "lo')
    truncate_log(file, 1)
    assert file.read_text() == '{"step": 1, "loss": 1}\n'


def test_a_missing_tensorboard_is_nothing_to_warn_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    whole = builtins.__import__

    def without(name: str, *rest: object) -> object:
        if "tensorboard" in name:
            raise ImportError(name)
        return whole(name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without)
    with caplog.at_level(logging.INFO):
        log = RunLog(tmp_path, 0)
        log.write(1, "train", {"loss": 2.0})
        log.close()
    assert not caplog.records
    assert not (tmp_path / "tensorboard").exists()
