"""Rollouts that must not change while the code is rearranged: every shipped dream and its twin, on every face.

    python tests/golden/golden_rollouts.py            # records anew into rollouts.npz: only when a change of results is
    meant
    python tests/golden/golden_rollouts.py libero     # those of one dream and its twin alone; the others stay

Only public names are used, so the same file runs on any commit. An observation is kept as its product with four fixed
vectors, in float64: a difference anywhere in it shows.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch

import dreamgym

FILE = Path(__file__).with_name("rollouts.npz")
DREAMS = {
    "playtable": "Dream-PlayTable-v0",
    "calvin_d": "Dream-CALVIN-v0",
    "libero": "Dream-LIBERO-v0",
    "metaworld": "Dream-Metaworld-v0",
    "pusht": "Dream-PushT-v0",
    "robosuite": "Dream-Robosuite-v0",
}
TWINS = {name: env_id.replace("Dream-", "Real-") for name, env_id in DREAMS.items()}
ASSETS = {"calvin_d": "DREAMGYM_CALVIN_ASSETS", "libero": "DREAMGYM_LIBERO_ASSETS"}
TASKS = {"libero": "libero_goal/turn_on_the_stove"}  # of the twin: a model of each task takes seconds to load
MODES = ("same_step", "next_step", "disabled")
ENVS, STEPS, HORIZON, SEED = 5, 24, 10, 3
TWIN_ENVS, TWIN_STEPS, TWIN_HORIZON = 2, 7, 4


def cases() -> list[str]:
    """Names of all rollouts: kind/checkpoint/face/mode/chunk/reward."""
    out = []
    for name in DREAMS:
        out += [f"dream/{name}/vector/{mode}/{chunk}/success" for mode in MODES for chunk in (1, 4)]
        out += [f"dream/{name}/vector/{mode}/1/probability" for mode in MODES]
        out += [
            f"dream/{name}/{face}/own/{chunk}/success"
            for face in ("torch", "single", "sb3", "torchrl")
            for chunk in (1, 4)
        ]
        if name in TASKS:
            out += [f"twin/{name}/vector/same_step/4/success", f"twin/{name}/single/own/1/success"]
            continue
        out += [f"twin/{name}/vector/{mode}/1/success" for mode in MODES]
        out += [f"twin/{name}/vector/same_step/4/success"]
        out += [f"twin/{name}/{face}/own/1/success" for face in ("single", "sb3", "torchrl")]
    return out


def missing_assets(case: str) -> str | None:
    """The variable that says where the assets of the case's simulator are, if it is needed and not set."""
    kind, name, *_ = case.split("/")
    variable = ASSETS.get(name) if kind == "twin" else None
    return None if variable is None or os.environ.get(variable) else variable


def rollout(case: str) -> dict[str, np.ndarray]:
    """Plays one case; every array has a row a step."""
    kind, name, face, mode, chunk, reward = case.split("/")
    twin = kind == "twin"
    envs, steps, horizon = (TWIN_ENVS, TWIN_STEPS, TWIN_HORIZON) if twin else (ENVS, STEPS, HORIZON)
    kwargs: dict[str, Any] = {"horizon": horizon, "reward": reward}
    if twin:
        kwargs |= {"world_model": name} | ({"task": TASKS[name]} if name in TASKS else {})
    else:
        kwargs |= {"uncertainty": face not in ("torchrl",)}
    if chunk != "1":
        kwargs["chunk"] = int(chunk)
    log = _Log()
    if face == "single":
        _single(gym.make((TWINS if twin else DREAMS)[name], **kwargs), steps, log)
    elif face in ("vector", "torch"):
        if face == "vector":
            kwargs["autoreset_mode"] = mode
        array = "torch" if face == "torch" else "numpy"
        _vector(gym.make_vec((TWINS if twin else DREAMS)[name], num_envs=envs, array=array, **kwargs), steps, log, mode)
    elif face == "sb3":
        _sb3(dreamgym.sb3_env((TWINS if twin else DREAMS)[name], num_envs=envs, **kwargs), steps, log)
    else:
        _torchrl(dreamgym.torchrl_env((TWINS if twin else DREAMS)[name], num_envs=envs, **kwargs), steps, log)
    return log.arrays()


class _Log:
    def __init__(self) -> None:
        self.rows: dict[str, list[np.ndarray]] = {}

    def add(self, **values: Any) -> None:
        for key, value in values.items():
            self.rows.setdefault(key, []).append(np.asarray(value))

    def arrays(self) -> dict[str, np.ndarray]:
        return {k: np.stack(v) for k, v in self.rows.items()}


def _seen(obs: Any) -> np.ndarray:
    """[B, 4]: the observation's product with four fixed vectors."""
    flat = np.asarray(obs, np.float64).reshape(len(obs), -1)
    return flat @ np.random.default_rng(0).standard_normal((flat.shape[1], 4))


def _actions(space: gym.Space, steps: int, shape: tuple[int, ...]) -> np.ndarray:
    """Random actions within the bounds, [steps, *shape]."""
    draw = np.random.default_rng(SEED).uniform(0.0, 1.0, (steps, *shape))
    return (space.low + (space.high - space.low) * draw).astype(np.float32)


def _infos(info: dict[str, Any]) -> dict[str, np.ndarray]:
    keys = ("is_success", "success_probability", "uncertainty", "task", "horizon_reached")
    return {k: np.asarray(info[k], np.float64) for k in keys if k in info}


def _vector(env: gym.vector.VectorEnv, steps: int, log: _Log, mode: str) -> None:
    actions = _actions(env.single_action_space, steps, (env.num_envs, *env.single_action_space.shape))
    obs, info = env.reset(seed=SEED)
    first = _seen(obs)
    log.add(obs=first, task=np.asarray(info["task"]), start=np.asarray(info["start"]))
    final = np.zeros_like(first)
    for t, action in enumerate(actions):
        action_in = torch.from_numpy(action) if env.unwrapped.array == "torch" else action
        obs, reward, terminated, truncated, info = env.step(action_in)
        last = final.copy()
        if "final_obs" in info:
            for i in np.flatnonzero(np.asarray(info["_final_obs"])):
                last[i] = _seen(np.asarray(info["final_obs"][i])[None])[0]
        told = {f"info_{k}": v for k, v in _infos(info).items()}
        log.add(obs_after=_seen(obs), reward=reward, terminated=terminated, truncated=truncated, final=last, **told)
        if mode == "disabled" and t % 6 == 5:
            done = np.asarray(terminated) | np.asarray(truncated)
            if done.any():
                obs, info = env.reset(options={"reset_mask": done})
                log.add(again=_seen(obs))
    env.close()


def _single(env: gym.Env, steps: int, log: _Log) -> None:
    actions = _actions(env.action_space, steps, env.action_space.shape)
    obs, _ = env.reset(seed=SEED)
    log.add(obs=_seen(obs[None]))
    for action in actions:
        obs, reward, terminated, truncated, info = env.step(action)
        info = {k: v for k, v in info.items() if k != "task"}
        log.add(obs_after=_seen(obs[None]), reward=reward, terminated=terminated, truncated=truncated, **_infos(info))
        if terminated or truncated:
            obs, _ = env.reset()
            log.add(again=_seen(obs[None]))
    env.close()


def _sb3(env: Any, steps: int, log: _Log) -> None:
    actions = _actions(env.action_space, steps, (env.num_envs, *env.action_space.shape))
    env.seed(SEED)
    log.add(obs=_seen(env.reset()))
    for action in actions:
        obs, reward, done, infos = env.step(action)
        final = [i["terminal_observation"] if "terminal_observation" in i else np.zeros_like(obs[0]) for i in infos]
        told = [
            [float(i.get(k, 0)) for k in ("is_success", "success_probability", "TimeLimit.truncated")] for i in infos
        ]
        log.add(obs_after=_seen(obs), reward=reward, done=done, final=_seen(np.stack(final)), infos=told)
    env.close()


def _torchrl(env: Any, steps: int, log: _Log) -> None:
    space = env.core.action_space
    actions = torch.from_numpy(_actions(space, steps, (env.core.num_envs, *space.shape)))
    env.set_seed(SEED)
    at = iter(actions)
    with torch.no_grad():
        out = env.rollout(steps, policy=lambda td: td.set("action", next(at)), break_when_any_done=False)
    keys = ("reward", "terminated", "truncated", "is_success", "success_probability")
    for t in range(steps):
        now = out[:, t]
        rows = {k: now["next", k].numpy().astype(np.float64) for k in keys}
        log.add(obs=_seen(now["observation"].numpy()), obs_after=_seen(now["next", "observation"].numpy()), **rows)
    env.close()


def main(names: Sequence[str]) -> None:
    torch.set_num_threads(1)
    wanted = [case for case in cases() if not names or case.split("/")[1] in names]
    arrays: dict[str, np.ndarray] = {}
    if names:
        with np.load(FILE) as file:
            arrays = {k: file[k] for k in file.files if k.split("/")[1] not in names}
    for case in wanted:
        if (variable := missing_assets(case)) is not None:
            sys.exit(f"set {variable}: {case} is among the rollouts")
        for key, value in rollout(case).items():
            arrays[f"{case}:{key}"] = value
    np.savez_compressed(FILE, **arrays)
    sys.stdout.write(f"{len(wanted)} rollouts recorded, {FILE.stat().st_size / 2**20:.1f} MiB\n")


if __name__ == "__main__":
    main(sys.argv[1:])
