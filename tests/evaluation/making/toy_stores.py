"""Stores of the toys: episodes of scripted actions in their simulators, with success marks."""

import numpy as np

from dreamgym.data import EpisodeStore
from dreamgym.testing.points import SIZE, TASKS


def record(env, act, length, rng, goal=0.1):
    """Rows of one episode: the task is done while the point is right of ``goal``."""
    obs, _ = env.reset(seed=int(rng.integers(2**31)), options={"task": TASKS[0]})
    rows = {}
    for t in range(length):
        action = np.asarray(act(t), np.float32)
        success = np.bool_(obs["robot_obs"][0] > goal)
        for key, value in {**obs, "action": action, "success": success, "snapshot": env.snapshot()}.items():
            rows.setdefault(key, []).append(np.asarray(value))
        obs, *_ = env.step(action)
    return {k: np.stack(v) for k, v in rows.items()}


def make_store(path, env, draw, info, episodes=8, length=41, metas=None, goal=0.1):
    keys = {
        "action": (env.action_space.shape, "float32"), "robot_obs": ((3,), "float32"), "success": ((), "bool"),
        "rgb_static": ((SIZE, SIZE, 3), "uint8"), "snapshot": (env.reset(seed=0) and env.snapshot().shape, "float64"),
    }  # fmt: skip
    store, rng = EpisodeStore.create(path, keys, info), np.random.default_rng(0)
    for i in range(episodes):
        meta = {"task": TASKS[0], "split": "val" if i % 2 else "train"} | (metas(i) if metas else {})
        store.append([(record(env, draw(rng, i), length, rng, goal), meta)])
    return store


def wander(dim):
    def draw(rng, i):
        goal = rng.uniform(-1, 1, dim)
        goal[0] = abs(goal[0])
        return lambda t: np.clip(goal + 0.3 * rng.normal(size=dim), -1, 1)

    return draw
