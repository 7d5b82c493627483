"""The same action sequences in a dream and in its twin, through the envs that users step: what each of them shows."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
import torch

from dreamgym.evaluation.making.measures import StateReader, measures_of
from dreamgym.evaluation.statistics.comparison import Sequences, Trajectories

if TYPE_CHECKING:
    from dreamgym.training.checkpoint import Checkpoint

MANY = 64
"""Dreams at once, for the speed of many."""


def run_dream(
    dream_id: str, checkpoint: Checkpoint, sequences: Sequences, seed: int = 0
) -> tuple[Trajectories, dict[str, float]]:
    """The sequences in the dream, all at once; and its speed, pictures aside."""
    num, steps = sequences.action.shape[:2]
    reader = StateReader(checkpoint.model, checkpoint.probe)
    cameras = checkpoint.spec.cameras
    env = _dreams(dream_id, checkpoint, num, steps + 1)
    env.reset(seed=seed, options={"start": sequences.row, "task": sequences.task})
    log: dict[str, list[Any]] = {}
    infos: list[Mapping[str, Any]] = []
    began = time.perf_counter()
    for t in range(steps + 1):
        if t:
            infos.append(env.step(sequences.action[:, t - 1])[-1])
        with torch.no_grad():
            state = env.unwrapped.core.state
            for key, image in checkpoint.model.decode(state, cameras).items() if cameras else ():
                log.setdefault(key, []).append((image * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy())
            for key, value in reader(state).items():
                log.setdefault(key, []).append(value.cpu().numpy())
    seconds = time.perf_counter() - began
    env.close()
    speed = {"dream_1": _speed(dream_id, checkpoint, 1), "dream_many": _speed(dream_id, checkpoint, MANY)}
    stacked = {k: np.stack(v, 1) for k, v in log.items()}
    frames = {k: stacked[k] for k in cameras}
    state_log = {k: v for k, v in stacked.items() if k not in cameras}
    return Trajectories(frames, state_log, *_columns(infos, num), seconds), speed


def _dreams(dream_id: str, checkpoint: Checkpoint, num_envs: int, horizon: int) -> Any:
    return gym.make_vec(
        dream_id, num_envs=num_envs, checkpoint=checkpoint, task="all", horizon=horizon, reward="probability",
        autoreset_mode="disabled", split=None,
    )  # fmt: skip


def _speed(dream_id: str, checkpoint: Checkpoint, num_envs: int, at_least_s: float = 1.0) -> float:
    """Imagined steps per second through the env's own step."""
    env = _dreams(dream_id, checkpoint, num_envs, 10**9)
    env.reset(seed=0)
    actions = env.action_space.sample()
    for _ in range(5):
        env.step(actions)
    began, rounds = time.perf_counter(), 0
    while time.perf_counter() - began < at_least_s:
        env.step(actions)
        rounds += 1
    rate = rounds * num_envs / (time.perf_counter() - began)
    env.close()
    return rate


def run_twin(real_id: str, checkpoint: Checkpoint, sequences: Sequences, seed: int = 0) -> Trajectories:
    """The sequences in the real simulator behind the dream's spaces, one after the other."""
    num, steps = sequences.action.shape[:2]
    kwargs: dict[str, Any] = {
        "world_model": checkpoint,
        "task": "all",
        "horizon": steps + 1,
        "reward": "probability",
        "split": None,
    }
    env: Any = gym.make(real_id, **kwargs)
    sim = env.unwrapped.core.sims.envs[0]
    log: dict[str, list[np.ndarray]] = {}
    infos: list[list[Mapping[str, Any]]] = []
    seconds = 0.0
    for row, task, actions in zip(sequences.row, sequences.task, sequences.action, strict=True):
        env.reset(seed=seed, options={"start": int(row), "task": int(task)})
        seen, told = [sim.observe()], []
        for action in actions:
            began = time.perf_counter()
            told.append(env.step(action)[-1])
            seconds += time.perf_counter() - began
            seen.append(sim.observe())
        infos.append(told)
        for key in seen[0]:
            log.setdefault(key, []).append(np.stack([s[key] for s in seen]))
    env.close()
    stacked = {k: np.stack(v) for k, v in log.items()}
    cameras = [k for k in checkpoint.spec.cameras if k in stacked]
    measured = {m.key for m in measures_of(checkpoint.simulator)}
    state = {k: v for k, v in stacked.items() if k in measured}
    by_step = [{k: np.array([told[t][k] for told in infos]) for k in _INFOS if k in infos[0][0]} for t in range(steps)]
    return Trajectories({k: stacked[k] for k in cameras}, state, *_columns(by_step, num), seconds)


_INFOS = ("success_probability", "is_success", "uncertainty")


def _columns(infos: Sequence[Mapping[str, Any]], num: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Success probability, success and uncertainty, each [N, T + 1], from the infos of T steps; 0 at the start."""
    out = []
    for key in _INFOS:
        values = [np.asarray(info.get(key, np.zeros(num))) for info in infos]
        out.append(np.stack([np.zeros_like(values[0]), *values], 1))
    return out[0].astype(np.float32), out[1].astype(bool), out[2].astype(np.float32)
