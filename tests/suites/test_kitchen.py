"""FrankaKitchen: a suite in one file, from collected data to a dream whose success is read off the state."""

import gymnasium as gym
import numpy as np
import pytest
import torch

pytest.importorskip("gymnasium_robotics")

from dreamgym.rewards import DecodedStateReward
from dreamgym.suites import suite
from dreamgym.suites.collection import collect_suite
from dreamgym.suites.kitchen import GOALS, TASKS, KitchenRules, away, succeeded
from dreamgym.training import checkpoint
from dreamgym.training.bank import BankConfig, build_starts
from dreamgym.training.train import load_run, train


def done(*tasks: str) -> np.ndarray:
    """A state in which those tasks are done."""
    state = np.zeros(59, np.float32)
    for task in tasks:
        entries, goal = GOALS[task]
        state[list(entries)] = goal
    return state


@pytest.mark.parametrize("task", TASKS)
def test_the_rules_on_tensors_are_those_on_rows(task):
    rows = {"state": np.stack([done(task), done(), done(*(t for t in TASKS if t != task))])}
    now = {k: torch.from_numpy(v) for k, v in rows.items()}
    number = torch.full((3,), TASKS.index(task))
    progress = KitchenRules(TASKS, "cpu").progress(now, now, number)
    assert succeeded(task, rows, rows).tolist() == (progress > 0).tolist() == [True, False, False]
    np.testing.assert_allclose(0.3 - progress, away(task, rows), rtol=1e-5)


def test_goals_and_threshold_are_the_packages():
    from gymnasium_robotics.envs.franka_kitchen import kitchen_env

    own = {name.replace("_", " "): value for name, value in GOALS.items()}
    assert own.keys() == kitchen_env.OBS_ELEMENT_GOALS.keys()
    for name, (entries, goal) in own.items():
        np.testing.assert_array_equal(goal, kitchen_env.OBS_ELEMENT_GOALS[name])
        np.testing.assert_array_equal(np.array(entries) - 9, kitchen_env.OBS_ELEMENT_INDICES[name])
    assert kitchen_env.BONUS_THRESH == 0.3


def test_from_collected_data_to_a_dream_and_its_twin(tmp_path):
    store = collect_suite(
        "kitchen", tmp_path / "data", num_episodes=3, max_steps=20, tasks=("microwave",), progress=False
    ).store
    train(store.path, tmp_path / "run", "mlp", steps=4, batch_size=4, precision="fp32", changes={"hidden": [16]})
    model, tasks = load_run(tmp_path / "run"), ("microwave",)
    tensors, meta = build_starts(model, [store], tasks, BankConfig(num_train=2, num_val=1, num_test=0))
    checkpoint.save(
        tmp_path / "dream", model, {"decoded": DecodedStateReward("kitchen", tasks)}, tensors,
        simulator={"id": "kitchen", "kwargs": {}}, starts_meta=meta,
    )  # fmt: skip
    dream = gym.make("Dream-v0", checkpoint=str(tmp_path / "dream"), render_mode="rgb_array")
    twin = gym.make("Real-v0", world_model=str(tmp_path / "dream"))
    for env in (dream, twin):
        obs, _ = env.reset(seed=0)
        assert obs.shape == (59,)
        assert not env.step(env.action_space.sample())[4]["is_success"]
    assert dream.unwrapped.core.rules.horizon == suite("kitchen").horizon
    assert dream.render().std() > 0
    dream.close()
    twin.close()
