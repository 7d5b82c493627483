"""Does a vector env keep Gymnasium's promises? Call `check_vector_env` from your own tests."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv

MODES = (AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP, AutoresetMode.DISABLED)


class Transition(NamedTuple):
    """One step of all envs, as numpy; obs and final_obs as lists of one observation an env."""

    obs: list[Any]
    reward: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    info: dict[str, Any]


def check_vector_env(
    make: Callable[[AutoresetMode], VectorEnv], steps: int = 40, horizon: int | None = None, seed: int = 0
) -> None:
    """Checks a vector env in each autoreset mode.

    The same seed gives the same rollout, another seed another one; what env 0 does changes nothing for the others; ends
    at the horizon are truncations; ``final_obs`` and ``final_info`` (same step), the reset step (next step) and partial
    resets (disabled) are right, and agree between the modes; arrays that were handed out are never written to again; a
    closed env refuses to step.

    Args:
        make: gives a new env of at least 2 envs in the mode it is handed.
        steps: length of the rollouts; some env should end within it.
        horizon: control steps of an episode, if it is to be checked.
        seed: of resets and actions.

    Raises:
        AssertionError: the first promise that is broken, in words.
    """
    rollouts = {}
    for mode in MODES:
        env = make(mode)
        assert env.num_envs >= 2, f"check_vector_env needs at least 2 envs, got {env.num_envs}"
        assert env.metadata.get("autoreset_mode") == mode, f"metadata['autoreset_mode'] must be {mode}"
        rollouts[mode] = check_seeds(env, steps, seed)
        check_independence(env, steps, seed)
        check_fresh_arrays(env, seed)
        if horizon is not None:
            check_horizon(env, horizon, seed)
        if mode == AutoresetMode.DISABLED:
            check_partial_reset(env, seed)
        check_close(env)
    check_same_step(rollouts[MODES[0]], rollouts[MODES[2]])
    check_next_step(rollouts[MODES[1]], rollouts[MODES[2]])


# ------------------------------------------------------------------------------------------------------------ rollouts


def rows(obs: Any, num_envs: int) -> list[Any]:
    """A batch of observations (array, tensor or dict of them) as one numpy observation an env."""
    if isinstance(obs, dict):
        parts = {k: rows(v, num_envs) for k, v in obs.items()}
        return [{k: v[i] for k, v in parts.items()} for i in range(num_envs)]
    return [None if obs[i] is None else array(obs[i]) for i in range(num_envs)]


def array(value: Any) -> Any:
    """A tensor as numpy; dicts inside too; anything else as it is."""
    if isinstance(value, dict):
        return {k: array(v) for k, v in value.items()}
    return value.detach().cpu().numpy().copy() if hasattr(value, "detach") else copy.deepcopy(value)


def equal(a: Any, b: Any, exact: bool = True) -> bool:
    """Whether two observations agree."""
    if isinstance(a, dict):
        return all(equal(a[k], b[k], exact) for k in a)
    a, b = np.asarray(a), np.asarray(b)
    return bool(np.array_equal(a, b)) if exact else bool(np.allclose(a, b, rtol=1e-4, atol=1e-5))


def actions(env: VectorEnv, steps: int, seed: int) -> list[np.ndarray]:
    """Random actions for ``steps`` steps."""
    env.action_space.seed(seed)
    return [env.action_space.sample() for _ in range(steps)]


def send(env: VectorEnv, action: np.ndarray) -> Any:
    """The action in the kind of array that the env takes."""
    if getattr(env.unwrapped, "array", "numpy") == "torch":
        import torch

        return torch.as_tensor(action)
    return action


def step(env: VectorEnv, action: np.ndarray) -> Transition:
    """One step, as numpy copies."""
    obs, reward, terminated, truncated, info = env.step(send(env, action))
    num, info = env.num_envs, dict(info)
    if "final_obs" in info:
        info["final_obs"] = rows(info["final_obs"], num)
    reward, terminated, truncated = array(reward), array(terminated), array(truncated)
    for name, value in (("reward", reward), ("terminated", terminated), ("truncated", truncated)):
        assert value.shape == (num,), f"{name} has shape {value.shape}, expected ({num},)"
        assert name == "reward" or value.dtype == np.bool_, f"{name} must be bool, got {value.dtype}"
    info = {k: v if k == "final_obs" else array(v) for k, v in info.items()}
    return Transition(rows(obs, num), reward, terminated, truncated, info)


def rollout(env: VectorEnv, plan: list[np.ndarray], seed: int) -> list[Transition]:
    """Steps from a seeded reset. In mode "disabled" it ends when every env has ended."""
    obs, _ = env.reset(seed=seed)
    first = rows(obs, env.num_envs)
    for one in first:
        fits = _contains(env.single_observation_space, one)
        assert fits, f"the observation after reset is not in single_observation_space {env.single_observation_space}"
    nothing = np.zeros(env.num_envs, bool)
    out = [Transition(first, np.zeros(env.num_envs), nothing, nothing, {})]
    ended = nothing
    for action in plan:
        out.append(step(env, action))
        ended = ended | out[-1].terminated | out[-1].truncated
        if env.metadata["autoreset_mode"] == AutoresetMode.DISABLED and ended.all():
            break
    return out


def _contains(space: Any, obs: Any) -> bool:
    if isinstance(obs, dict):
        return all(_contains(space[k], v) for k, v in obs.items())
    # A Discrete entry comes out of a batch as a 0-d array.
    return space.contains(np.int64(obs)) if space.shape == () else space.contains(obs)


# ------------------------------------------------------------------------------------------------------------- promises


def check_seeds(env: VectorEnv, steps: int, seed: int) -> list[Transition]:
    """The same seed gives the same rollout; another seed another start."""
    plan = actions(env, steps, seed)
    one, two = rollout(env, plan, seed), rollout(env, plan, seed)
    for t, (a, b) in enumerate(zip(one, two, strict=True)):
        assert equal(a.obs, b.obs) if _flat(a.obs) else all(map(equal, a.obs, b.obs)), (
            f"same seed, other observation at step {t}"
        )
        for name in ("reward", "terminated", "truncated"):
            assert equal(getattr(a, name), getattr(b, name)), f"same seed, other {name} at step {t}"
    others = [rollout(env, [], seed + 1 + k)[0].obs for k in range(3)]
    differs = any(not equal(x, y) for other in others for x, y in zip(one[0].obs, other, strict=True))
    assert differs, "four different seeds gave the same start in every env: reset ignores its seed"
    return one


def _flat(obs: list[Any]) -> bool:
    return not isinstance(obs[0], dict)


def check_independence(env: VectorEnv, steps: int, seed: int) -> None:
    """What env 0 does changes nothing for the others."""
    plan = actions(env, steps, seed)
    changed = [p.copy() for p in plan]
    for p, q in zip(changed, actions(env, steps, seed + 1), strict=True):
        p[0] = q[0]
    one, two = rollout(env, plan, seed), rollout(env, changed, seed)
    for t, (a, b) in enumerate(zip(one, two, strict=False)):
        for i in range(1, env.num_envs):
            same = equal(a.obs[i], b.obs[i], exact=False) and a.terminated[i] == b.terminated[i]
            assert same and a.truncated[i] == b.truncated[i], f"other actions in env 0 changed env {i} at step {t}"


def check_fresh_arrays(env: VectorEnv, seed: int) -> None:
    """Arrays that were handed out stay as they were."""
    held: list[tuple[Any, Any]] = []
    obs, info = env.reset(seed=seed)
    held.append(((obs, info), (array(_plain(obs)), array(_plain(info)))))
    for action in actions(env, 4, seed):
        out = env.step(send(env, action))
        held.append((out, tuple(array(_plain(v)) for v in out)))
    for t, (now, then) in enumerate(held):
        for part, kept in zip(now, then, strict=True):
            assert _unchanged(array(_plain(part)), kept), (
                f"an array handed out at step {t} was written to by a later step"
            )


def _plain(value: Any) -> Any:
    """Arrays of objects as lists, so that they can be compared entry by entry."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, np.ndarray) and value.dtype == object:
        return {i: _plain(v) for i, v in enumerate(value) if v is not None}
    return value


def _unchanged(a: Any, b: Any) -> bool:
    if isinstance(a, dict):
        return set(a) == set(b) and all(_unchanged(a[k], b[k]) for k in a)
    return bool(np.array_equal(np.asarray(a), np.asarray(b)))


def check_horizon(env: VectorEnv, horizon: int, seed: int) -> None:
    """An episode that nothing else ends is truncated, not terminated, after exactly ``horizon`` steps."""
    plan = actions(env, horizon, seed)
    run = rollout(env, plan, seed)
    early = np.zeros(env.num_envs, bool)
    for transition in run[1:horizon]:
        early |= transition.terminated | transition.truncated
    if early.all():
        return
    assert len(run) == horizon + 1, f"every env ended before the horizon of {horizon}"
    last = run[horizon]
    wrong = [i for i in range(env.num_envs) if not early[i] and not last.terminated[i] and not last.truncated[i]]
    assert not wrong, f"envs {wrong} were neither terminated nor truncated after {horizon} steps"
    both = last.terminated & last.truncated & ~early
    assert not both.any(), "an end at the horizon must be truncation alone"


def check_partial_reset(env: VectorEnv, seed: int) -> None:
    """Mode "disabled": ``options["reset_mask"]`` resets those envs and leaves the others where they are."""
    run = rollout(env, actions(env, 3, seed), seed)
    mask = np.zeros(env.num_envs, bool)
    mask[0] = True
    before = run[-1].obs
    after = rows(env.reset(options={"reset_mask": mask})[0], env.num_envs)
    for i in range(1, env.num_envs):
        assert equal(before[i], after[i]), f"a partial reset of env 0 changed the observation of env {i}"


def check_same_step(same: list[Transition], disabled: list[Transition]) -> None:
    """``final_obs`` and ``final_info`` are there exactly where an env ended, and hold what "disabled" shows there."""
    alive = np.ones(len(same[0].obs), bool)
    for t, one in enumerate(same[1:], 1):
        done = one.terminated | one.truncated
        mask = np.asarray(one.info.get("_final_obs", np.zeros(len(done), bool)))
        assert equal(mask, done), f"info['_final_obs'] at step {t} is {mask.tolist()}, but {done.tolist()} ended"
        if done.any():
            assert "final_info" in one.info and equal(one.info["_final_info"], done), (
                f"final_info is missing at step {t}"
            )
        for i in np.flatnonzero(done & alive):
            if t < len(disabled):
                shown = disabled[t].obs[i]
                close = equal(one.info["final_obs"][i], shown, exact=False)
                assert close, f"final_obs of env {i} at step {t} is not the observation in which its episode ended"
        alive &= ~done


def check_next_step(nexts: list[Transition], disabled: list[Transition]) -> None:
    """The step after an end ignores the action, pays nothing, and shows a new episode."""
    ended = np.zeros(len(nexts[0].obs), bool)
    alive = ~ended
    for t, one in enumerate(nexts[1:], 1):
        assert not one.reward[ended].any(), f"the reset step {t} pays a reward"
        assert not (one.terminated | one.truncated)[ended].any(), f"the reset step {t} ends an episode"
        if t < len(disabled):
            for i in np.flatnonzero(alive):
                assert equal(one.obs[i], disabled[t].obs[i], exact=False), f"env {i} differs between modes at step {t}"
        ended = one.terminated | one.truncated
        alive &= ~ended


def check_close(env: VectorEnv) -> None:
    """A closed env refuses to step, and may be closed twice."""
    action = actions(env, 1, 0)[0]
    env.close()
    env.close()
    try:
        env.step(send(env, action))
    except Exception:  # which error is the env's choice
        return
    raise AssertionError("step after close must raise")
