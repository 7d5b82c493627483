"""kill -9 at random moments of each command that works for long: nothing finished is lost, and the end is the same.

Each job runs in a process of its own and is killed, process group and all, at a random moment of the time that it takes
when nobody disturbs it; the next run goes on. The last one is left alone, and its result compared. The short form has
two kills a job, the slow one twenty (``-m slow``; figures in docs/reliability.md).
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from disc import SMALL, make_store
from fake_episodes import Factory
from point_policies import TINY_TUNE, make_policy, write_store

pytest.importorskip("accelerate")
pytest.importorskip("diffusers")

import gymnasium as gym
from dreamgym_agents.diffusion_ppo import save_policy
from dreamgym_agents.diffusion_ppo.recipes import PolicyChoice, clone_task
from dreamgym_agents.diffusion_ppo.schedules import CloneConfig
from dreamgym_agents.diffusion_ppo.tune import tune
from safetensors.torch import load_file

from dreamgym.data import EpisodeStore, collect
from dreamgym.evaluation.making.finish import finish_run
from dreamgym.evaluation.making.settings import FinishConfig
from dreamgym.evaluation.policies.batch import evaluate_all
from dreamgym.evaluation.policies.config import EvaluationConfig
from dreamgym.testing import point_mass_checkpoint
from dreamgym.training.progress import latest
from dreamgym.training.train import train

Result = Mapping[str, Any]


@dataclass(frozen=True)
class Job:
    """What is killed.

    Attributes:
        prepare: makes what the work reads, in a folder.
        run: does the work, or goes on with it, in (prepared folder, own folder).
        kept: what is finished so far, by name; it may never shrink or change.
        result: what must be the same in the end, by name.
    """

    prepare: Callable[[Path], Any]
    run: Callable[[Path, Path], Any]
    kept: Callable[[Path], Result]
    result: Callable[[Path], Result]


# ------------------------------------------------------------------ the jobs


def collected(own: Path) -> Result:
    if not (own / "store" / "info.json").exists():
        return {}
    store = EpisodeStore.open(own / "store")
    found = {m["episode_index"]: store.episode(i)["action"].tobytes() for i, m in enumerate(store.metas)}
    assert len(found) == len(store)  # none twice
    return {str(k): v for k, v in found.items()}


def run_collect(given: Path, own: Path) -> None:
    collect(Factory(pause_s=0.1, spread=5), own / "store", num_episodes=6, num_workers=2, progress=False)


def run_fit(given: Path, own: Path) -> None:
    options = {"batch_size": 16, "length": 8, "warmup": 5, "ema": 0.9, "save_every": 0.2, "log_every": 20}
    train(given / "store", own / "run", steps=120, changes=SMALL, **options)


def run_finish(given: Path, own: Path) -> None:
    if not (own / "run").exists():  # what is kept of a finish stands beside its run
        shutil.copytree(given / "run", own / "copy", dirs_exist_ok=True)
        (own / "copy").rename(own / "run")
    rewards = {"epochs": 12, "batch_size": 32}
    config = FinishConfig(rewards=rewards, fidelity={"windows": 16}, twin_per_task=0)
    finish_run(own / "run", [given / "store"], own / "made", config, progress=False)


def prepare_run(folder: Path) -> None:
    make_store(folder / "store")
    train(folder / "store", folder / "run", steps=60, changes=SMALL, batch_size=16, length=10, warmup=5, ema=0.9)


def run_clone(given: Path, own: Path) -> None:
    config = CloneConfig(epochs=300, checkpoint_every_s=0.1)
    world, run = str(given / "point"), own / "policy.run"
    made = clone_task(given / "demos", "reach_right", world, PolicyChoice("gaussian"), config, run)
    save_policy(own / "policy", made, task="reach_right", world_model=world)


def prepare_point(folder: Path) -> None:
    point_mass_checkpoint(folder / "point")
    write_store(folder / "demos")


def run_tune(given: Path, own: Path) -> None:
    options = {"task": "reach_right", "horizon": 16, "reward": "probability", "chunk": 4, "array": "torch"}
    env = gym.make_vec("Dream-v0", num_envs=8, checkpoint=str(given / "point"), **options)
    tune(make_policy("gaussian"), env, TINY_TUNE, own / "run", task="reach_right")


def run_evaluate(given: Path, own: Path) -> None:
    config = EvaluationConfig(episodes=16, split="val", simulators=4)
    for done in evaluate_all(["random", "hold"], str(given / "point"), "reach_right", config, out=own / "out"):
        assert done.dream is not None


def saved_steps(own: Path) -> Result:
    """The number of updates that are kept, which may only grow, and nothing else."""
    found = [p for name in ("run", "policy.run") if (p := latest(own / name))]
    return {"updates": int(found[0].name.removeprefix("step_"))} if found else {}


def weights(own: Path) -> Result:
    files = [*own.rglob("policy/*.safetensors"), *own.rglob("best/*.safetensors")]
    files += [] if files else [*latest(own / "run").glob("model.safetensors")]  # type: ignore[union-attr]
    assert files
    return {f"{file.name}/{k}": v.numpy().tobytes() for file in files for k, v in load_file(file).items()}


def curve(own: Path) -> Result:
    """Each line of the log but its seconds, and the weights."""
    out = {}
    for file in own.rglob("log.jsonl"):
        for line in map(json.loads, file.read_text().splitlines()):
            told = {k: v for k, v in line.items() if "second" not in k and "per_s" not in k}
            out[f"{line['step']}{'eval' in line}"] = json.dumps(told, sort_keys=True)
    return {**out, **weights(own)}


def made_parts(own: Path) -> Result:
    """Parts that are whole, and the checkpoint."""
    parts = {p.parent.name: (p.parent / "tensors.safetensors").read_bytes() for p in own.glob("run/finish/*/key.json")}
    return {**parts, **checkpoint_files(own)}


def checkpoint_files(own: Path) -> Result:
    return {f.name: f.read_bytes() for f in (own / "made").glob("*.safetensors")}


def evaluations(own: Path) -> Result:
    """Success of each episode, by file: what was written whole."""
    told = {f.name: json.loads(f.read_text()) for f in (own / "out").glob("*.json")}
    return {k: json.dumps([v["dream"], v["twin"]], sort_keys=True) for k, v in told.items()}


def only_point(folder: Path) -> None:
    point_mass_checkpoint(folder / "point")


JOBS = {
    "collect": Job(lambda folder: None, run_collect, collected, collected),
    "fit": Job(lambda folder: make_store(folder / "store"), run_fit, saved_steps, curve),
    "finish": Job(prepare_run, run_finish, made_parts, checkpoint_files),
    "clone": Job(prepare_point, run_clone, saved_steps, weights),
    "tune": Job(only_point, run_tune, saved_steps, curve),
    "evaluate": Job(only_point, run_evaluate, evaluations, evaluations),
}


# ------------------------------------------------------------------ killing


def start(job: Job, given: Path, own: Path) -> multiprocessing.process.BaseProcess:
    def work() -> None:
        os.setsid()
        with open(own.parent / "told", "a") as told:
            os.dup2(told.fileno(), 1)
            os.dup2(told.fileno(), 2)
            job.run(given, own)

    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    return process


def to_its_end(job: Job, given: Path, own: Path) -> float:
    began = time.monotonic()
    process = start(job, given, own)
    process.join(300)
    assert process.exitcode == 0, (own.parent / "told").read_text()[-3000:]
    return time.monotonic() - began


def kill(process: multiprocessing.process.BaseProcess, after: float) -> bool:
    """Whether it was still at work then."""
    process.join(after)
    working = process.is_alive()
    if working:
        os.killpg(process.pid, signal.SIGKILL)  # type: ignore[arg-type]
    process.join()
    return working


def survives(name: str, kills: int, tmp_path: Path) -> int:
    """How many kills hit the job at work; fails where one of them lost or changed something."""
    job, rng = JOBS[name], random.Random(name)
    given, whole, own = (tmp_path / n for n in ("given", "whole", "own"))
    for folder in (given, whole, own):
        folder.mkdir()
    job.prepare(given)
    takes = to_its_end(job, given, whole)
    wanted, died, before = job.result(whole), 0, {}
    for tries in range(5 * kills):
        if died == kills:
            break
        if before and before == job.kept(whole):
            own = tmp_path / f"own{tries}"  # it is done: begin anew
            own.mkdir()
            before = {}
        died += kill(start(job, given, own), max(0.05, rng.uniform(0.0, takes)))
        now = job.kept(own)
        for key, value in before.items():
            assert key in now
            assert now[key] >= value if isinstance(value, int) else now[key] == value
        before = now
    to_its_end(job, given, own)
    assert job.result(own) == wanted
    return died


@pytest.mark.parametrize("name", [name for name in JOBS if name != "collect"])  # see tests/data/test_collect.py
def test_two_kills_lose_nothing(name: str, tmp_path: Path) -> None:
    assert survives(name, 2, tmp_path) == 2


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", JOBS)
def test_twenty_kills_lose_nothing(name: str, tmp_path: Path) -> None:
    assert survives(name, 20, tmp_path) == 20
