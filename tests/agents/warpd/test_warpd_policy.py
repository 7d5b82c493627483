"""Plans and the policy protocol."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from dreamgym_agents.warpd import (
    WARPD,
    Agent,
    Demonstrations,
    DiffusionBaseline,
    LatentDiffusionPolicy,
    MLPPolicy,
    PlanningPolicy,
    RandomPolicy,
    RelativeDiffusionBaseline,
    Scale,
    TrainConfig,
    train,
)
from dreamgym_agents.warpd.policy import placed, read_obs
from torch import Tensor

from dreamgym.types import Policy

KINDS = [WARPD, DiffusionBaseline, LatentDiffusionPolicy, MLPPolicy]


@pytest.fixture
def agent(demonstrations: Demonstrations, config) -> WARPD:
    return WARPD.for_demonstrations(config(), demonstrations)


def no(num: int) -> Tensor:
    return torch.zeros(num, dtype=torch.bool)


@pytest.mark.parametrize("kind", KINDS)
def test_every_agent_follows_the_plan_of_each_envs_task(
    kind: type[Agent], demonstrations: Demonstrations, config, tmp_path: Path
) -> None:
    schedule = TrainConfig(vae_epochs=5, diffusion_epochs=20, batch_size=8, vae_lr=1e-2, lr=1e-2)
    sizes = config(train=schedule).without_world_model()
    agent = train(kind.for_demonstrations(sizes, demonstrations), demonstrations, tmp_path, show=False)
    policy, left = PlanningPolicy(agent, ["left", "right", "left"]), PlanningPolicy(agent, "left")
    assert isinstance(policy, Policy)
    generators = [torch.Generator().manual_seed(0) for _ in range(2)]
    carry, others = policy.start(3), left.start(3)
    for step in range(7):
        obs = torch.randn(3, 2, generator=torch.Generator().manual_seed(step))
        action, carry = policy.act(obs, carry, torch.full((3,), step == 0), generators[0])
        theirs, others = left.act(obs, others, torch.full((3,), step == 0), generators[1])
        assert carry["steps"].tolist() == [step % 5 + 1] * 3
        assert torch.equal(action, agent.follow(carry["plan"], obs, carry["steps"] - 1))
        assert torch.equal(action[[0, 2]], theirs[[0, 2]])
        assert not torch.allclose(action[1], theirs[1])


@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_decides_what_is_drawn(kind: type[Agent], demonstrations: Demonstrations, config) -> None:
    policy = PlanningPolicy(kind.for_demonstrations(config(), demonstrations), "left")
    acted = []
    for seed in (5, 5, 6):
        generator = torch.Generator().manual_seed(seed)
        acted.append(policy.act(torch.ones(2, 2), policy.start(2, generator), ~no(2), generator)[0])
    assert torch.equal(acted[0], acted[1])
    assert torch.allclose(acted[0], acted[2]) == (kind is MLPPolicy)  # which draws nothing


def test_weights_last_until_the_horizon(agent: WARPD) -> None:
    policy, generator = PlanningPolicy(agent, "left"), torch.Generator().manual_seed(0)
    carry, plans = policy.start(2, generator), []
    for _ in range(11):
        _, carry = policy.act(torch.zeros(2, 2), carry, no(2), generator)
        plans.append(carry["plan"])
    drawn = [i for i in range(1, 11) if not torch.equal(plans[i], plans[i - 1])]
    assert drawn == [5, 10]


def test_a_fresh_env_gets_new_weights_and_the_others_keep_theirs(agent: WARPD) -> None:
    policy, generator = PlanningPolicy(agent, "left"), torch.Generator().manual_seed(0)
    _, before = policy.act(torch.zeros(3, 2), policy.start(3, generator), ~no(3), generator)
    _, after = policy.act(torch.zeros(3, 2), before, torch.tensor([False, True, False]), generator)
    same = [torch.equal(a, b) for a, b in zip(before["plan"], after["plan"], strict=True)]
    assert same == [True, False, True]
    assert after["steps"].tolist() == [2, 1, 2]


def test_acting_leaves_the_old_carry_alone(agent: WARPD) -> None:
    policy, generator = PlanningPolicy(agent, "left"), torch.Generator().manual_seed(0)
    _, carry = policy.act(torch.zeros(3, 2), policy.start(3, generator), ~no(3), generator)
    copy = {k: v.clone() for k, v in carry.items()}
    policy.act(torch.ones(3, 2), carry, torch.tensor([True, False, False]), generator)
    assert all(torch.equal(carry[k], copy[k]) for k in copy)


def test_a_chunk_is_played_in_order_and_open_loop(demonstrations: Demonstrations, config) -> None:
    agent = DiffusionBaseline.for_demonstrations(config(), demonstrations)
    policy, generator = PlanningPolicy(agent, "left"), torch.Generator().manual_seed(0)
    carry, played = policy.start(2, generator), []
    for _ in range(5):
        action, carry = policy.act(torch.randn(2, 2), carry, no(2), generator)
        played.append(action)
    assert torch.equal(torch.stack(played, 1), carry["plan"][:, :5])


def test_a_generated_policy_closes_the_loop(agent: WARPD) -> None:
    policy = agent.generate(torch.zeros(2, 2), "left", torch.Generator().manual_seed(0))
    assert isinstance(policy, Policy)
    here, there = (policy.act(torch.full((2, 2), x), policy.start(2), no(2))[0] for x in (0.0, 1.0))
    assert not torch.allclose(here, there)


def test_a_diffusion_policy_sees_the_observations_before(demonstrations: Demonstrations, config) -> None:
    agent = DiffusionBaseline.for_demonstrations(config(obs_history=3), demonstrations)
    policy = PlanningPolicy(agent, "left")
    carry = policy.start(2)
    for step in range(4):
        fresh = torch.tensor([step == 0, step in (0, 3)])
        _, carry = policy.act(torch.full((2, 2), float(step)), carry, fresh)
    assert carry["history"][:, :, 0].tolist() == [[1, 2, 3], [3, 3, 3]]


def test_a_diffusion_policy_is_trained_on_the_history_before_its_chunk(
    demonstrations: Demonstrations, config, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = DiffusionBaseline.for_demonstrations(config(obs_history=2), demonstrations)
    stage, seen = agent.stages()[0], {}
    monkeypatch.setattr(
        agent.diffusion, "loss", lambda x, condition, g: seen.update(x=x, condition=condition) or x.sum()
    )
    batch = next(demonstrations.led(stage.lead).epoch(8 + stage.lead, 99, torch.Generator().manual_seed(0)))
    stage.loss(batch, torch.Generator(), 0)
    # A linear policy: the first action of the chunk belongs to the newest observation of the history.
    newest = agent.scaling.obs_mean + agent.scaling.obs_std * seen["condition"][:, 2:4]
    goals = torch.tensor([[-1.0, 0.0], [1.0, 0.5]])[batch["task"]]
    torch.testing.assert_close(agent.scaling.action(seen["x"][:, 0]), goals - newest, atol=1e-4, rtol=1e-4)


def test_chunks_that_do_not_halve_are_padded(
    demonstrations: Demonstrations, config, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = DiffusionBaseline.for_demonstrations(config(length=7), demonstrations)
    drawn = torch.randn(2, 8, 2, generator=torch.Generator().manual_seed(0))
    with monkeypatch.context() as patch:
        patch.setattr(agent.diffusion, "sample", lambda condition, generator: drawn)
        plan = agent.plan(torch.zeros(2, 2, 2), torch.zeros(2, dtype=torch.long), None)
    assert torch.equal(plan, agent.scaling.action(drawn)[:, :7])  # without the surplus, the first action first
    seen: list[Tensor] = []
    monkeypatch.setattr(agent.diffusion, "loss", lambda x, condition, g: seen.append(x) or x.sum())
    (stage,) = agent.stages()
    batch = next(demonstrations.led(stage.lead).epoch(7 + stage.lead, 99, torch.Generator().manual_seed(0)))
    stage.loss(batch, torch.Generator(), 0)
    assert seen[0].shape == (16, 8, 2)
    torch.testing.assert_close(agent.scaling.action(seen[0][:, :7]), batch["action"][:, stage.lead :])
    assert torch.equal(seen[0][:, 7], seen[0][:, 6])  # the surplus: the last action again


def test_the_baselines_hear_the_task(demonstrations: Demonstrations, config) -> None:
    agent = MLPPolicy.for_demonstrations(config(), demonstrations)
    obs = torch.zeros(2, 2)
    acted = agent.follow(torch.tensor([0, 1]), obs, torch.zeros(2))
    assert not torch.allclose(acted[0], acted[1])


def test_a_forgotten_batch_axis_is_told(agent: WARPD) -> None:
    with pytest.raises(ValueError, match=r"\[B, 2\].*got \(2,\); add a batch axis: obs\[None\]"):
        agent.generate(torch.zeros(2), "left")
    with pytest.raises(ValueError, match=r"\[B, 2\].*got \(4, 3\)"):
        agent.generate(torch.zeros(4, 3), "left")
    policies = agent.generate(torch.zeros(4, 2), "left")
    for wrong in (torch.zeros(3, 2), torch.zeros(4, 3), torch.zeros(2), torch.zeros(3, 5, 2)):
        with pytest.raises(ValueError, match=r"\[4, 2\] or \[4, T, 2\], a row for each of the 4 policies"):
            policies(wrong)
    for obs in (torch.zeros(2), {"state": torch.zeros(2)}):
        with pytest.raises(ValueError, match=r"add a batch axis: obs\[None\]"):
            policies.act(obs, None, torch.ones(4, dtype=torch.bool))


def test_a_task_never_seen_is_refused(agent: WARPD) -> None:
    with pytest.raises(ValueError, match=r"\['fly'\] were never seen.*left"):
        PlanningPolicy(agent, "fly")
    with pytest.raises(ValueError, match="never seen"):
        agent.generate(torch.zeros(1, 2), "fly")


def test_several_tasks_and_none_named_is_refused(agent: WARPD) -> None:
    with pytest.raises(ValueError, match="say which"):
        PlanningPolicy(agent)
    with pytest.raises(ValueError, match="say which"):
        agent.generate(torch.zeros(1, 2))


def test_tasks_must_be_as_many_as_envs(agent: WARPD) -> None:
    with pytest.raises(ValueError, match="3 envs"):
        PlanningPolicy(agent, ["left", "right"]).start(3)


def test_a_chunk_cannot_be_followed_beyond_its_end(demonstrations: Demonstrations, config) -> None:
    agent = DiffusionBaseline.for_demonstrations(config(), demonstrations)
    with pytest.raises(ValueError, match="1 to 8"):
        PlanningPolicy(agent, "left", horizon=9)
    with pytest.raises(ValueError, match="cannot be followed"):
        DiffusionBaseline(config(horizon=9))


def test_as_many_envs_as_generated_policies(agent: WARPD) -> None:
    with pytest.raises(ValueError, match="2 policies"):
        agent.generate(torch.zeros(2, 2), "left").start(3)


def test_observations_come_as_tensors_arrays_or_dicts() -> None:
    x = np.random.default_rng(0).normal(size=(3, 2))
    expected = torch.tensor(x, dtype=torch.float32)
    for obs in (x, expected, {"state": x, "rgb": np.zeros((3, 4, 4, 3))}):
        assert torch.equal(read_obs(obs, 2), expected)
    with pytest.raises(ValueError, match="obs_key"):
        read_obs({"a": x, "b": x}, 2)
    with pytest.raises(ValueError, match="another env"):
        read_obs(x, 3)


def test_standardised_features_are_read_as_what_they_stand_for(agent: WARPD) -> None:
    scale = Scale(torch.tensor([1.0, 2.0]), torch.tensor([0.5, 3.0]))
    raw = torch.randn(4, 2)
    plain, reading = PlanningPolicy(agent, "left"), PlanningPolicy(agent, "left", obs_scale=scale)
    generators = [torch.Generator().manual_seed(0) for _ in range(2)]
    a, _ = plain.act(raw, plain.start(4), ~no(4), generators[0])
    b, _ = reading.act((raw - scale.mean) / scale.std, reading.start(4), ~no(4), generators[1])
    torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def test_random_actions_fill_the_bounds() -> None:
    policy = RandomPolicy(torch.tensor([-1.0, 2.0]), torch.tensor([1.0, 4.0]))
    action, _ = policy.act(None, policy.start(500), no(500), torch.Generator().manual_seed(0))
    assert (action.amin(0) >= torch.tensor([-1.0, 2.0])).all()
    torch.testing.assert_close(action.mean(0), torch.tensor([0.0, 3.0]), atol=0.1, rtol=0)


def counting(entries=(1, 0)) -> Demonstrations:
    """Actions that are positions to go to: the goal, whose entries stand in the other order."""
    generator = torch.Generator().manual_seed(0)
    episodes = []
    for _ in range(4):
        obs = torch.rand(9, 3, generator=generator)
        episodes.append((obs, obs[:, list(entries)] + 0.1 * torch.randn(9, 2, generator=generator)))
    return Demonstrations.from_episodes(episodes)


@pytest.mark.parametrize("kind", [WARPD, MLPPolicy])
def test_actions_counted_from_the_observation_are_returned_as_positions(kind: type[Agent], config) -> None:
    demos = counting().counted_from((1, 0))
    assert torch.allclose(demos.action + demos.obs[:, [1, 0]], counting().action)
    sizes = {"obs_dim": 3, "tasks": ("task",), "action_origin": (1, 0)}
    agent = kind.for_demonstrations(replace(config(), **sizes), demos)
    policy, obs = PlanningPolicy(agent), torch.rand(2, 3)
    carry = policy.act(obs, policy.start(2), ~no(2), torch.Generator().manual_seed(0))[1]
    action, after = policy.act(obs, carry, no(2))
    learned = agent.follow(after["plan"], obs, torch.zeros(2, dtype=torch.long))
    assert torch.equal(action, learned + obs[:, [1, 0]])


def test_a_generated_policy_counts_from_the_observation_too(config) -> None:
    sizes = {"obs_dim": 3, "tasks": ("task",), "action_origin": (1, 0)}
    agent = WARPD.for_demonstrations(replace(config(), **sizes), counting().counted_from((1, 0)))
    policy, obs = agent.generate(torch.zeros(2, 3)), torch.rand(2, 5, 3)
    assert torch.equal(policy(obs), agent.vae.act(policy.theta, obs) + obs[..., [1, 0]])
    assert policy(obs.double()).dtype == torch.float32


def test_draws_are_made_where_the_generator_is(agent: WARPD, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, draw = [], torch.randn
    monkeypatch.setattr(torch, "randn", lambda *a, **k: asked.append(k.get("device")) or draw(*a, **k))
    agent.plan(torch.zeros(1, 1, 2), torch.zeros(1, dtype=torch.long), torch.Generator("cpu"))
    agent.plan(torch.zeros(1, 1, 2), torch.zeros(1, dtype=torch.long), None)
    assert asked
    assert all(torch.device(where) == torch.device("cpu") for where in asked)


def test_what_actions_are_counted_from_must_fit(config) -> None:
    for wrong in ((0,), (0, 3), (0, 1, 2)):
        with pytest.raises(ValueError, match="expected 2 below 3, or none"):
            counting().counted_from(wrong)
    with pytest.raises(ValueError, match=r"once; got \(0, 1\) after \(1, 0\)"):
        counting().counted_from((1, 0)).counted_from((0, 1))
    sizes = {"obs_dim": 3, "tasks": ("task",)}
    with pytest.raises(ValueError, match=r"counted from the entries \(1, 0\).*whose are from \(\)"):
        MLPPolicy.for_demonstrations(replace(config(), **sizes), counting().counted_from((1, 0)))
    with pytest.raises(ValueError, match="expected 2 below 2"):
        config(action_origin=(0, 2))
    assert config(action_origin=[1, 0]).action_origin == (1, 0)
    for kind in (DiffusionBaseline, LatentDiffusionPolicy):
        with pytest.raises(ValueError, match="chunks are followed blindly"):
            kind(config(action_origin=(0, 1)))


def test_a_policy_is_told_what_each_env_is_to_do(demonstrations: Demonstrations, config) -> None:
    agent = MLPPolicy.for_demonstrations(config(), demonstrations)
    told, obs = PlanningPolicy(agent, "left"), torch.zeros(3, 2)
    carry = told.begin(told.start(3), torch.tensor([True, True, False]), ["right", "left", "right"])
    action, carry = told.act(obs, carry, ~no(3))
    expected = PlanningPolicy(agent, ["right", "left", "left"])
    assert torch.equal(action, expected.act(obs, expected.start(3), ~no(3))[0])
    with pytest.raises(ValueError, match=r"\['fly'\] were never seen"):
        told.begin(carry, ~no(3), ["left", "fly", "left"])


def test_a_task_without_a_name_is_done_whatever_is_asked(config) -> None:
    demos = counting()
    unnamed = replace(config(), obs_dim=3, tasks=("task",))
    policy = PlanningPolicy(MLPPolicy.for_demonstrations(unnamed, demos))
    carry = policy.start(2)
    assert policy.begin(carry, ~no(2), ["reach", "reach"]) is carry


def test_what_evaluation_is_to_show(agent: WARPD) -> None:
    scale = Scale(torch.zeros(2), torch.ones(2))
    shown = [{}, {"obs_scale": scale}, {"obs_key": "robot"}, {"obs": "features"}]
    assert [PlanningPolicy(agent, "left", **k).obs for k in shown] == ["state", "features", "dict", "features"]
    assert agent.generate(torch.zeros(1, 2), "left").obs == "state"
    assert agent.generate(torch.zeros(1, 2), "left", obs_scale=scale).obs == "features"


def test_policies_are_generated_from_arrays_and_from_a_dreams_features(agent: WARPD) -> None:
    scale, raw = Scale(torch.tensor([1.0, 2.0]), torch.tensor([0.5, 3.0])), torch.randn(4, 2)
    features = ((raw - scale.mean) / scale.std).numpy()
    generators = [torch.Generator().manual_seed(0) for _ in range(2)]
    plain = agent.generate(raw.numpy(), 0, generators[0])
    reading = agent.generate(features, "left", generators[1], obs_scale=scale)
    torch.testing.assert_close(plain.theta, reading.theta, atol=1e-5, rtol=1e-4)
    acted = [p.act(o, None, ~no(4))[0] for p, o in ((plain, raw), (reading, features))]
    torch.testing.assert_close(*acted, atol=1e-5, rtol=1e-4)
    raw[2, 0] = float("nan")
    with pytest.raises(ValueError, match=r"NaN or infinity in rows \[2\]"):
        agent.generate(raw, "left")


def test_a_relative_chunk_begins_where_the_robot_is_and_is_followed_blindly(demonstrations, config) -> None:
    counted = demonstrations.counted_from((0, 1))
    small = config(action_origin=(0, 1), condition="state+task", obs_history=1)
    agent = RelativeDiffusionBaseline.for_demonstrations(small, counted)
    agent.diffusion.fit_range(torch.tensor([-1.0, 1.0])[:, None, None].expand(2, agent.padded, 2))
    task, here = torch.zeros(1, dtype=torch.long), torch.tensor([[0.2, -0.4]])
    agent.condition = lambda *_: torch.zeros(1, agent.condition_dim(agent.baseline_condition))  # sees nothing of where
    plans = [agent.plan(place[:, None], task, torch.Generator().manual_seed(0)) for place in (here, here + 3.0)]
    assert torch.allclose(plans[1] - plans[0], torch.tensor(3.0))  # the same way, begun elsewhere
    for step, seen in ((0, here), (3, here + 7.0)):  # wherever it has got to, the positions are those of the plan
        action = placed(agent.follow(plans[0], seen, torch.tensor([step])), seen, small)
        assert torch.allclose(action, plans[0][:, step])


def test_a_relative_chunk_learns_positions_counted_from_its_first_row(demonstrations, config) -> None:
    counted, small = demonstrations.counted_from((0, 1)), config(action_origin=(0, 1), obs_history=2)
    agent = RelativeDiffusionBaseline.for_demonstrations(small, counted)
    batch = next(iter(counted.led(1).epoch(small.length + 1, 4, torch.Generator().manual_seed(0))))
    positions = batch["action"] + batch["obs"]
    chunk = agent.chunk(batch)
    assert torch.allclose(chunk[:, : small.length], positions[:, 1:] - batch["obs"][:, 1:2])


def test_a_relative_chunk_needs_to_know_where_the_robot_is(demonstrations, config) -> None:
    with pytest.raises(ValueError, match="needs action_origin"):
        RelativeDiffusionBaseline.for_demonstrations(config(), demonstrations)
