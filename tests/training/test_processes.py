"""Training on two processes: gloo on the CPU, started as people start it."""

import json
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from launched import two_processes

from dreamgym.data import EpisodeStore
from dreamgym.training.processes import Processes
from dreamgym.training.progress import latest
from dreamgym.training.train import train

SETTINGS = {
    "steps": 8,
    "batch_size": 8,
    "length": 6,
    "log_every": 1,
    "eval_every": 4,
    "precision": "fp32",
    "threads": 1,
}
# Of one frame's history, so that every prediction of a window counts: the loss is a plain mean over windows.
SETTINGS["changes"] = {"history": 1, "hidden": [32], "ensemble": 2}
SCRIPT = """
import json, sys
from dreamgym.training.train import train
settings = json.loads(sys.argv[3])
train(sys.argv[1], sys.argv[2], "mlp", **settings)
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    made = EpisodeStore.create(
        tmp_path_factory.mktemp("data") / "store", {"action": ((2,), "float32"), "state": ((6,), "float32")}
    )
    rng = np.random.default_rng(0)
    for i in range(6):
        action = rng.uniform(-1, 1, (60, 2)).astype(np.float32)
        state = np.concatenate([action.cumsum(0), rng.normal(size=(60, 4))], 1).astype(np.float32)
        made.append([({"action": action, "state": state}, {"split": "val" if i == 5 else "train"})])
    return Path(made.path)


def start(store: Path, run: Path, launcher: str = "torchrun", **changes: object) -> "subprocess.Popen[str]":
    script = run.parent / "script.py"
    script.write_text(SCRIPT)
    return two_processes(script, store, run, json.dumps({**SETTINGS, **changes}), launcher=launcher)


def log(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def curve(run: Path) -> list[float]:
    return [line["loss"] for line in log(run) if "loss" in line]


def test_two_processes_follow_the_curve_of_one_with_the_same_batch(store, tmp_path):
    train(store, tmp_path / "one", "mlp", **SETTINGS)
    process = start(store, tmp_path / "two")
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors[-6000:]
    assert len(curve(tmp_path / "two")) == 8  # one of them writes
    np.testing.assert_allclose(curve(tmp_path / "two"), curve(tmp_path / "one"), rtol=1e-5)
    evaluated = [[line for line in log(tmp_path / run) if "loss" not in line] for run in ("one", "two")]
    assert [sorted(line) for line in evaluated[0]] == [sorted(line) for line in evaluated[1]]
    # One process goes on with the run of two, along the same curve.
    for run in ("one", "two"):
        train(store, tmp_path / run, "mlp", **{**SETTINGS, "steps": 10})
    np.testing.assert_allclose(curve(tmp_path / "two"), curve(tmp_path / "one"), rtol=1e-5)


@pytest.mark.slow
def test_accelerate_starts_two_processes_that_follow_it_too(store, tmp_path):
    train(store, tmp_path / "one", "mlp", **SETTINGS)
    process = start(store, tmp_path / "two", launcher="accelerate", steps=8)
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors[-6000:]
    np.testing.assert_allclose(curve(tmp_path / "two"), curve(tmp_path / "one"), rtol=1e-5)


@pytest.mark.slow
def test_a_signal_to_one_of_them_stops_both_and_is_kept(store, tmp_path):
    process = start(store, tmp_path / "run", steps=1_000_000)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not (
        (tmp_path / "run/log.jsonl").exists() and len(log(tmp_path / "run")) > 5
    ):
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)  # torchrun hands it on
    process.communicate(timeout=120)
    assert latest(tmp_path / "run") is not None


@pytest.mark.slow
def test_a_batch_that_cannot_be_shared_is_refused(store, tmp_path):
    process = start(store, tmp_path / "run", batch_size=7)
    _, errors = process.communicate(timeout=240)
    assert process.returncode != 0
    assert "batch_size=7 cannot be shared out among 2 processes: choose a multiple of 2" in errors


def test_what_cannot_be_shared_and_a_wrong_number_are_told(monkeypatch):
    assert Processes(0, 4).share(12, "num_envs") == 3
    with pytest.raises(ValueError, match="num_envs=10 cannot be shared out among 4 processes"):
        Processes(0, 4).share(10, "num_envs")
    for wrong in ("0", "two", "-1"):
        monkeypatch.setenv("WORLD_SIZE", wrong)
        with pytest.raises(ValueError, match="WORLD_SIZE says how many"):
            Processes.current()
