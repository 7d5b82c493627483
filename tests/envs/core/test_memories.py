"""What is kept of the bank's starts never outlives the weights and starts that it came from."""

import pytest
import torch

from dreamgym.envs.core import memories
from dreamgym.envs.core.core import DreamCore
from dreamgym.rewards import SuccessClassifier, SuccessConfig
from dreamgym.testing.point_mass import PointMassModel, PointMassReward, point_mass_starts


class Counted(SuccessClassifier):
    """Counts how many episodes it was asked to begin."""

    asked = 0

    def start(self, model, state, task):
        self.asked += len(task)
        return super().start(model, state, task)


def core(**options):
    torch.manual_seed(0)
    reward = Counted(SuccessConfig(PointMassReward().tasks, 3, (8,), (8,), compare_start=True), [2.0, 2.0, 2.0])
    return DreamCore(
        PointMassModel(), reward, point_mass_starts(), num_envs=3, horizon=1, **{"task": "reach_right", **options}
    )


def step(env):
    """One step, in which every env ends and begins anew."""
    env.step(torch.zeros(env.num_envs, *env.action_space.shape))


def check_memory(env, rows=slice(None)):
    with torch.no_grad():
        expected = env.reward.start(env.model, env.state, env.counters["task"])["start"]
    torch.testing.assert_close(env.memory["start"][rows], expected[rows])


def test_the_reward_model_is_asked_once_for_every_start_of_the_bank():
    env = core()
    env.reset(seed=0)
    for _ in range(50):
        step(env)
        check_memory(env)
    asked = env.reward.asked - 50 * env.num_envs  # what the check asked
    assert asked <= env.num_envs + len(env.starts)


@pytest.mark.parametrize("what", ["weights", "starts", "replaced"])
def test_what_was_written_to_is_asked_for_again(what):
    env = core()
    env.reset(seed=0)
    step(env)
    with torch.no_grad():
        if what == "weights":
            env.reward.start_layer.weight.mul_(2.0)
        elif what == "starts":
            next(iter(env.starts.states.values())).add_(0.1)
        else:
            env.reward.start_layer.weight = torch.nn.Parameter(env.reward.start_layer.weight * 2.0)
            env.reset(seed=0)
    step(env)
    check_memory(env)


def test_memories_too_large_to_keep_are_asked_for_each_time(monkeypatch):
    monkeypatch.setattr(memories, "MOST_BYTES", 1)
    env = core()
    env.reset(seed=0)
    for _ in range(3):
        step(env)
        check_memory(env)


def test_starts_given_by_the_caller_are_not_taken_for_rows_of_the_bank():
    env = core(autoreset="disabled")
    env.reset(seed=0)
    step(env)
    state = {k: v + 0.3 for k, v in env.state.items()}
    env.reset(mask=torch.tensor([True, False, True]), options={"state": state})
    check_memory(env, [0, 2])
