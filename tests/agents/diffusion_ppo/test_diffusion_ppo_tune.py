"""Fine-tuning improves a weak policy, resumes along the same curve and says where its steps were taken."""

import json
from dataclasses import replace

import gymnasium as gym
import pytest
import torch
from dreamgym_agents.diffusion_ppo import CloneConfig, clone, load_policy, tune
from point_policies import TINY_TUNE, make_policy, wanderers

from dreamgym.training.checkpoint import load as load_checkpoint


@pytest.mark.parametrize("kind", ["diffusion", "gaussian"])
def test_it_learns_where_the_goal_is(kind, dream, tmp_path):
    weak = make_policy(kind, hidden=(64, 64), **({"steps": 8} if kind == "diffusion" else {}))
    clone(weak, wanderers(1024), CloneConfig(epochs=60, lr=3e-3, final_lr=3e-4), tmp_path / "clone")
    config = replace(
        TINY_TUNE,
        total_steps=24 * 64 * 16,
        tuned_steps=4,
        num_updates=5,
        batch_size=512,
        critic_hidden=(32,),
        critic_warmup=2,
        eval_every=6,
        eval_episodes=64,
    )
    result = tune(weak, dream(num_envs=64), config, tmp_path / "run", task="reach_right", world_model="point")
    before, after = result.evaluations[0], result.evaluations[-1]
    assert before["success_rate"] < 0.2
    assert after["success_rate"] > before["success_rate"] + 0.2
    assert after["return"] > before["return"] + 1.0


class Killed(Exception):
    """Stands for a kill in the middle of a run."""


def lines(run):
    kept = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if "seconds" not in k} for line in kept]


def test_a_killed_run_goes_on_along_the_same_curve(dream, tmp_path, monkeypatch):
    policy, config = make_policy(), replace(TINY_TUNE, checkpoint_every_s=0.0)
    whole = tune(policy, dream(), config, tmp_path / "whole")
    env, calls = dream(), []
    step = env.step

    def until_killed(action):
        calls.append(1)
        if len(calls) == 18:  # four decisions an iteration, an evaluation before every second: in the third iteration
            raise Killed
        return step(action)

    monkeypatch.setattr(env, "step", until_killed)
    with pytest.raises(Killed):
        tune(policy, env, config, tmp_path / "parts")
    assert len(lines(tmp_path / "parts")) == 2
    # A kill between a save and the next leaves lines behind, the last of them cut short.
    with (tmp_path / "parts" / "log.jsonl").open("a") as file:
        file.write('{"step": 99, "return": 0.0}\n{"step": 1')
    second = tune(policy, dream(), config, tmp_path / "parts")
    assert second.evaluations == whole.evaluations
    assert lines(tmp_path / "parts") == lines(tmp_path / "whole")
    name = f"iteration_{whole.iterations:06d}"
    a, b = (load_policy(tmp_path / part / "policies" / name) for part in ("whole", "parts"))
    torch.testing.assert_close(a.state_dict(), b.state_dict(), rtol=0, atol=0)


def test_what_was_cloned_stays_as_it_was(dream, tmp_path):
    policy = make_policy()
    before = {k: v.clone() for k, v in policy.state_dict().items()}
    result = tune(policy, dream(), TINY_TUNE, tmp_path)
    torch.testing.assert_close(dict(policy.state_dict()), before, rtol=0, atol=0)
    tuned = load_policy(tmp_path / "policies" / f"iteration_{result.iterations:06d}")
    torch.testing.assert_close(tuned.base.state_dict(), policy.base.state_dict(), rtol=0, atol=0)
    assert not torch.equal(tuned.tuned.mlp.out.weight, policy.base.mlp.out.weight)


def test_the_best_is_the_one_of_the_highest_imagined_return(dream, tmp_path):
    result = tune(make_policy(), dream(), TINY_TUNE, tmp_path, task="reach_right", world_model="point")
    assert len(result.evaluations) >= 3
    best = max(result.evaluations, key=lambda e: e["return"])
    config = json.loads((result.best / "config.json").read_text())
    assert config["metrics"] == best
    assert (config["task"], config["world_model"]) == ("reach_right", "point")


def test_imagined_steps_are_counted_as_such(dream, tmp_path):
    result = tune(make_policy(), dream(), TINY_TUNE, tmp_path)
    # An iteration and an evaluation are one horizon of eight envs each.
    assert result.dream_steps == (result.iterations + len(result.evaluations)) * 8 * 16
    assert result.sim_steps == 0
    assert result.dream_steps >= TINY_TUNE.total_steps


def test_it_runs_online_in_the_twin_and_counts_those_steps(point_checkpoint, tmp_path):
    env = gym.make_vec(
        "Real-PlayTable-v0",
        num_envs=2,
        world_model=point_checkpoint,
        simulator={"id": "dreamgym.testing.point_mass:PointMassEnv", "kwargs": {}},
        task="reach_right",
        horizon=8,
        reward="success",
        chunk=4,
        array="torch",
    )
    config = replace(TINY_TUNE, total_steps=64, eval_episodes=2, eval_every=9)
    result = tune(make_policy(), env, config, tmp_path)
    assert result.sim_steps >= 64
    assert result.dream_steps == 0
    assert lines(tmp_path)[-1]["sim_steps"] > 0


def test_another_config_does_not_take_over_a_run(dream, tmp_path):
    tune(make_policy(), dream(), replace(TINY_TUNE, total_steps=128), tmp_path)
    with pytest.raises(ValueError, match="begun with other settings.*bc_weight"):
        tune(make_policy(), dream(), replace(TINY_TUNE, bc_weight=0.5), tmp_path)


def test_another_cloned_policy_does_not_take_over_a_run(dream, tmp_path):
    tune(make_policy(seed=0), dream(), replace(TINY_TUNE, total_steps=128), tmp_path)
    with pytest.raises(ValueError, match="begun with other settings.*cloned_sha256"):
        tune(make_policy(seed=1), dream(), TINY_TUNE, tmp_path)


def test_a_run_of_an_older_version_goes_on(dream, tmp_path):
    first = tune(make_policy(), dream(), replace(TINY_TUNE, total_steps=128), tmp_path)
    told = json.loads((tmp_path / "tune.json").read_text())
    del told["cloned_sha256"], told["reward_model"]  # it did not write them down
    (tmp_path / "tune.json").write_text(json.dumps(told))
    assert tune(make_policy(), dream(), TINY_TUNE, tmp_path).iterations > first.iterations
    assert "cloned_sha256" in json.loads((tmp_path / "tune.json").read_text())


def test_checkpoints_are_chosen_on_training_starts(dream, point_checkpoint, tmp_path, monkeypatch):
    env, seen = dream(), []
    reset = env.reset

    def watched(**kwargs):
        obs, info = reset(**kwargs)
        seen.extend(info["start"].tolist())
        return obs, info

    monkeypatch.setattr(env, "reset", watched)
    tune(make_policy(), env, TINY_TUNE, tmp_path)
    split = load_checkpoint(point_checkpoint).starts["split"]
    assert set(split[seen].tolist()) == {0}


def test_the_critic_learns_alone_at_first(dream, tmp_path):
    result = tune(make_policy(), dream(), replace(TINY_TUNE, critic_warmup=99, eval_every=1), tmp_path)
    first, last = (load_policy(tmp_path / "policies" / f"iteration_{i:06d}") for i in (0, result.iterations))
    torch.testing.assert_close(first.state_dict(), last.state_dict(), rtol=0, atol=0)
