from functools import partial

import pytest
import torch
from torch import nn

pytest.importorskip("torchrl")

from tensordict.nn import TensorDictModule
from torchrl.collectors import Collector
from torchrl.collectors.distributed import DistributedCollector
from torchrl.envs import EnvBase
from torchrl.envs.utils import check_env_specs

import dreamgym
import dreamgym.testing  # so that processes that import this file know its families too

pytestmark = pytest.mark.filterwarnings("ignore")


def make(folder, **options):
    return dreamgym.torchrl_env("Dream-v0", checkpoint=folder, **{"num_envs": 5, "horizon": 7, **options})


@pytest.mark.parametrize(
    "options", [{}, {"obs": "dict"}, {"obs": "pixels"}, {"chunk": 3}, {"info": ("task", "uncertainty")}]
)
def test_passes_torchrls_own_check(folder, options):
    check_env_specs(make(folder, **options))


def test_a_collector_runs_ten_thousand_frames(folder):
    env = make(folder, num_envs=50, horizon=20)
    frames = ends = 0
    for batch in Collector(env, None, frames_per_batch=1000, total_frames=10_000):
        frames += batch.numel()
        ends += int(batch["next", "done"].sum())
    assert frames == 10_000
    assert ends >= 10_000 // 20


@pytest.mark.slow
def test_the_distributed_collector_runs_dreams_in_processes_of_its_own(folder):
    policy = TensorDictModule(nn.Linear(3, 3), in_keys=["observation"], out_keys=["action"])
    makers = [partial(make, folder)] * 2
    options = {"launcher": "mp", "backend": "gloo", "sync": True}
    collector = DistributedCollector(makers, policy, frames_per_batch=100, total_frames=200, **options)
    try:
        batches = list(collector)
    finally:
        collector.shutdown()
    assert [batch.shape for batch in batches] == [(2, 5, 10)] * 2
    assert all(batch["next", "done"].any() for batch in batches)  # horizon 7: episodes end and begin in there


def test_ended_envs_are_reset_in_part(folder):
    env = make(folder, task="reach_top", horizon=4)
    env.set_seed(0)
    stay = torch.zeros(5, 3)
    run = env.rollout(10, lambda td: td.set("action", stay), break_when_any_done=False)
    assert run["next", "truncated"][:, :, 0].sum(1).tolist() == [2] * 5
    jumps = (run["observation"][:, 1:, :2] != run["next", "observation"][:, :-1, :2]).any(-1)
    assert torch.equal(jumps, run["next", "done"][:, :-1, 0])


def test_a_partial_reset_leaves_the_others_alone(folder):
    env = make(folder, task="reach_top")
    td = env.reset()
    td = env.step(td.set("action", torch.full((5, 3), 0.3)))["next"]
    before = td["observation"].clone()
    mask = torch.tensor([True, False, True, False, False])
    after = env.reset(td.set("_reset", mask.unsqueeze(1)))["observation"]
    assert torch.equal(after[~mask], before[~mask])
    assert not torch.equal(after[mask], before[mask])


def test_the_same_seed_repeats_a_rollout(folder):
    runs = []
    for seed in (1, 1, 2):
        env = make(folder)
        env.set_seed(seed)
        runs.append(
            env.rollout(12, lambda td: td.set("action", torch.zeros(5, 3)), break_when_any_done=False)["observation"]
        )
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])


@pytest.mark.parametrize("obs", ["features", "dict"])
def test_the_short_way_through_a_step_gives_what_torchrls_own_does(folder, obs):
    ours, theirs = make(folder, obs=obs), make(folder, obs=obs)
    tds = []
    for env in (ours, theirs):
        env.set_seed(0)
        tds.append(env.reset().set("hidden", torch.arange(5.0)))
    for _ in range(9):
        action = torch.rand(5, 3)
        one = ours.step_and_maybe_reset(tds[0].set("action", action))
        two = EnvBase.step_and_maybe_reset(theirs, tds[1].set("action", action))
        for a, b in zip(one, two, strict=True):
            assert set(a.keys(True, True)) == set(b.keys(True, True))
            assert (a == b).all()
        tds = [one[1], two[1]]


def test_success_ends_and_pays(folder):
    env = make(folder, task="turn_on_lamp", info=("is_success",))
    run = env.rollout(3, lambda td: td.set("action", torch.ones(5, 3)), break_when_any_done=False)
    assert run["next", "terminated"][:, 0].all()
    assert torch.equal(run["next", "reward"], run["next", "is_success"].float())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"info": ("colour",)}, "unknown info"),
        ({"autoreset_mode": "same_step"}, "autoreset_mode"),
        ({"render_mode": "rgb_array"}, r"render_mode is no option here: .*env\.core\.render\(\)"),
    ],
)
def test_bad_options_are_one_clear_error(folder, options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        make(folder, **options)


def test_an_id_that_is_no_dream_is_one_clear_error():
    with pytest.raises(ValueError, match="'CartPole-v1' is not a dream or a twin.*Dream-v0"):
        dreamgym.torchrl_env("CartPole-v1")
