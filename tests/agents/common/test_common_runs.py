"""Runs of stages: budgets, progress, log, signals."""

import json
import signal

import pytest
import torch
from dreamgym_agents.common.runs import StageRun, finished, load_finished, run_stages
from torch import nn

from dreamgym.training.ema import EMA
from dreamgym.training.stop import Stopped


class Walk(StageRun):
    """Adds its step's number to a weight; three units of its budget a step."""

    unit = "metre"

    def __init__(self, name, budget, average=False, at=None):
        self.name = self.folder = name
        self.budget, self.at = budget, at or (lambda count: None)
        self.module = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(self.module.weight)
        self.optimizer = torch.optim.Adam(self.module.parameters())
        self.ema = EMA(self.module, 0.5) if average else None
        self.told = []

    @property
    def weight(self):
        return self.module.weight.item()

    @property
    def done(self):
        return 3 * self.count

    def begin(self, fresh):
        self.told.append(("begin", fresh))

    def step(self):
        self.at(self.count)
        with torch.no_grad():
            self.module.weight += self.count + 1
        if self.ema is not None:
            self.ema.update(self.module)
        self.told.append(self.count)
        return {"weight": self.weight}

    def finish(self):
        self.told.append("finish")

    def extra(self):
        return {"last": self.count}

    def restore(self, extra):
        self.told.append(extra)


def lines(run):
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def test_stages_take_their_turns_and_the_log_counts_on(tmp_path):
    stages = [Walk("first", 6), Walk("second", 7)]
    run_stages(stages, tmp_path, show=False)
    assert [s.weight for s in stages] == [1 + 2, 1 + 2 + 3]
    assert stages[1].told == [("begin", True), 0, 1, 2, "finish"]
    assert [(x["step"], x["stage"], x["weight"]) for x in lines(tmp_path)] == [
        (1, "first", 1.0), (2, "first", 3.0), (3, "second", 1.0), (4, "second", 3.0), (5, "second", 6.0),
    ]  # fmt: skip


def test_a_killed_run_goes_on_from_its_last_save(tmp_path):
    def killed(count):
        if count == 2:
            raise MemoryError

    with pytest.raises(MemoryError):
        run_stages([Walk("first", 3), Walk("second", 12, at=killed)], tmp_path, save_every_s=-1, show=False)
    again = [Walk("first", 3), Walk("second", 12)]
    run_stages(again, tmp_path, show=False)
    assert again[0].told == [("begin", False), {"last": 1}]
    assert again[1].told == [("begin", False), {"last": 2}, 2, 3, "finish"]
    assert again[1].weight == 1 + 2 + 3 + 4
    assert [x["step"] for x in lines(tmp_path)] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_stops_after_the_step_under_way(number, code, tmp_path):
    stage = Walk("first", 12, at=lambda count: signal.raise_signal(number) if count == 1 else None)
    with pytest.raises(Stopped, match="stopped after 6 of 12 metres") as stopped:
        run_stages([stage, Walk("second", 3)], tmp_path, show=False)
    assert stopped.value.exit_code == code
    assert stage.told == [("begin", True), 0, 1]
    again = Walk("first", 12)
    run_stages([again], tmp_path, show=False)
    assert again.told == [("begin", False), {"last": 2}, 2, 3, "finish"]


def test_a_signal_in_the_last_step_of_all_is_too_late(tmp_path):
    stage = Walk("first", 6, at=lambda count: signal.raise_signal(signal.SIGINT) if count == 1 else None)
    run_stages([stage], tmp_path, show=False)
    assert stage.told[-1] == "finish"


def test_the_average_is_what_is_left_and_what_is_found_again(tmp_path):
    stage, plain = Walk("first", 9, average=True), Walk("other", 9)
    run_stages([stage], tmp_path, show=False)
    run_stages([plain], tmp_path / "plain", show=False)
    assert 0 < stage.weight < plain.weight
    again = Walk("first", 9, average=True)
    run_stages([again], tmp_path, show=False)
    assert again.weight == stage.weight
    module = nn.Linear(1, 1, bias=False)
    assert load_finished(tmp_path, "first", 3, module)
    assert module.weight.item() == stage.weight
    assert finished(tmp_path, "first", 4) is None
    assert not load_finished(tmp_path, "second", 1, module)


def test_curves_go_to_weights_and_biases_where_asked(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    run_stages([Walk("first", 2), Walk("second", 2)], tmp_path, show=False, log="wandb")
    name = (tmp_path / "wandb.id").read_text()
    assert len(list((tmp_path / "wandb").glob(f"offline-run-*-{name}"))) >= 1
