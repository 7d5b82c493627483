import pytest
import torch
from fakes import FakeModel

pytest.importorskip("pybullet")

from dreamgym.envs.core.starts import StartBank
from dreamgym.evaluation.making.rollouts import (
    RolloutConfig,
    Rollouts,
    choose_sequences,
    operator_rollouts,
    score_rollouts,
    success_agreement,
)
from dreamgym.rewards import DecodedStateReward
from dreamgym.sims.calvin import CalvinEnv
from dreamgym.suites import suite
from dreamgym.suites.trials import open_trials

TASKS = ("open_drawer", "close_drawer")
CONFIG = RolloutConfig(per_task=2, noise=0.05, miss_share=0.0)


def roll_out(bank, tasks=TASKS, config=CONFIG, sensors=("rgb_static",)):
    trials = open_trials(suite("calvin"), sensors, image_size=8)
    try:
        return operator_rollouts(bank, tasks, trials, config)
    finally:
        trials.close()


@pytest.fixture(scope="module")
def bank():
    model, env = FakeModel(), CalvinEnv(scene="playtable", cameras=())
    states, snapshots = [], []
    for i, task in enumerate(TASKS):
        obs, _ = env.reset(seed=i, options={"task": task})
        states.append(model.start({k: torch.from_numpy(obs[k])[None, None] for k in ("robot_obs", "scene_obs")}))
        snapshots.append(torch.from_numpy(env.snapshot()))
    env.close()
    joined = {k: torch.cat([s[k] for s in states]) for k in states[0]}
    return StartBank(joined, TASKS, torch.arange(2), torch.ones(2), torch.stack(snapshots))


@pytest.fixture(scope="module")
def rollouts(bank):
    return roll_out(bank)


def test_experts_begin_at_the_banks_starts_and_mostly_succeed(bank, rollouts):
    assert rollouts.row.tolist() == [0, 0, 1, 1]
    assert rollouts.obs["rgb_static"].shape == (4, rollouts.action.shape[1] + 1, 3, 8, 8)
    for i, row in enumerate(rollouts.row):
        torch.testing.assert_close(rollouts.obs["scene_obs"][i, 0], bank.states["scene"][row], atol=1e-4, rtol=0)
    assert not rollouts.success[:, 0].any()
    assert rollouts.success.any(1).float().mean() >= 0.5


def test_padding_repeats_the_last_frame_and_does_not_count(rollouts):
    for i, length in enumerate(rollouts.length.tolist()):
        later = rollouts.obs["scene_obs"][i, length:]
        assert torch.equal(later, later[:1].expand_as(later))
        assert int(rollouts.mask[i].sum()) == length


def test_a_seed_repeats_the_rollouts(bank, rollouts):
    again = roll_out(bank)
    assert torch.equal(again.action, rollouts.action)
    assert torch.equal(again.obs["scene_obs"], rollouts.obs["scene_obs"])


def test_the_rules_on_filtered_real_frames_agree_with_the_simulator(bank, rollouts):
    model, reward = FakeModel(), DecodedStateReward("calvin", TASKS[::-1])
    agreement = success_agreement(reward, rollouts, score_rollouts(model, reward, bank, rollouts))
    assert set(agreement) == set(TASKS)
    for name in TASKS:
        assert agreement[name]["f1_real"] == 1
        assert agreement[name]["num_episodes"] == 2


def test_a_dream_that_stands_still_never_succeeds(bank, rollouts):
    reward = DecodedStateReward("calvin", TASKS)
    scores = score_rollouts(FakeModel(slip=-1.0), reward, bank, rollouts)
    assert scores.dream.max() == 0
    assert scores.uncertainty.shape == scores.dream.shape == (4, rollouts.action.shape[1] + 1)


def test_a_bank_without_snapshots_is_refused(bank):
    with pytest.raises(ValueError, match="snapshots"):
        roll_out(StartBank(bank.states, TASKS, bank.task, bank.split))


def test_a_filled_episode_goes_on_to_the_horizon(bank):
    config = RolloutConfig(per_task=1, horizon=60, linger=None, noise=0.0, miss_share=0.0)
    made = roll_out(bank, TASKS[:1], config, sensors=())
    assert made.length.tolist() == [60]
    assert set(made.obs) == {"robot_obs", "scene_obs"}


def test_sequences_take_each_task_once_and_successes_first():
    success = torch.zeros(6, 4, dtype=torch.bool)
    success[[1, 5], 3] = True
    rollouts = Rollouts(
        ("a", "b"),
        torch.arange(6),
        torch.tensor([0, 0, 0, 1, 1, 1]),
        torch.full((6,), 3),
        torch.zeros(6, 3, 7),
        {},
        success,
    )
    assert choose_sequences(rollouts, 3).row.tolist() == [1, 5, 0]
