import copy
import pickle
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from gymnasium import error
from no_sync import NoSync

from dreamgym.envs.core.core import DreamCore
from dreamgym.envs.core.starts import StartBank
from dreamgym.rewards import SuccessClassifier, SuccessConfig
from dreamgym.testing.point_mass import GAIN, PointMassConfig, PointMassModel, PointMassReward, point_mass_starts

STAY = (0.0, 0.0, -1.0)
RIGHT = (1.0, 0.0, -1.0)


def core(num_envs=3, config=None, **options):
    options = {"task": "reach_right", "horizon": 20, **options}
    return DreamCore(PointMassModel(config), PointMassReward(), point_mass_starts(), num_envs=num_envs, **options)


def actions(*rows):
    return torch.tensor(rows)


def at(*xs):
    """Start states at these x."""
    n = len(xs)
    return {"position": torch.tensor([[x, 0.0] for x in xs]), "lamp": torch.zeros(n)}


# -- transitions and rewards --


def test_step_follows_the_models_dynamics():
    env = core(2)
    env.reset(options={"state": at(0.0, -0.3)})
    step = env.step(actions(RIGHT, STAY))
    assert torch.allclose(step.obs, torch.tensor([[GAIN, 0.0, 0.0], [-0.3, 0.0, 0.0]]))


def test_success_pays_one_and_terminates_that_env_alone():
    env = core(2, autoreset="disabled")
    env.reset(options={"state": at(0.45, 0.0)})
    step = env.step(actions(RIGHT, RIGHT))
    assert step.reward.tolist() == [1.0, 0.0]
    assert step.terminated.tolist() == [True, False]
    assert step.truncated.tolist() == [False, False]
    assert step.info["is_success"].tolist() == [True, False]
    assert step.info["success_probability"][0] > 0.5 > step.info["success_probability"][1]


def test_probability_pays_the_classifier_and_never_terminates():
    env = core(2, reward_mode="probability", autoreset="disabled")
    env.reset(options={"state": at(0.45, 0.0)})
    step = env.step(actions(RIGHT, RIGHT))
    assert torch.equal(step.reward, step.info["success_probability"])
    assert not step.terminated.any()
    back = env.step(actions((-1.0, 0.0, -1.0), STAY))
    assert back.info["is_success"].tolist() == [True, False]  # once achieved, achieved
    assert back.reward[0] < 0.5


def test_log_probability_pays_the_logarithm_and_never_terminates():
    env = core(2, reward_mode="log_probability", autoreset="disabled")
    env.reset(options={"state": at(0.45, 0.0)})
    step = env.step(actions(RIGHT, RIGHT))
    torch.testing.assert_close(step.reward, step.info["success_probability"].log())
    assert not step.terminated.any()
    assert env.step(actions((-1.0, 0.0, -1.0), STAY)).info["is_success"].tolist() == [True, False]


def test_success_at_the_horizon_is_termination_alone():
    env = core(1, horizon=1, autoreset="disabled")
    env.reset(options={"state": at(0.45)})
    step = env.step(actions(RIGHT))
    assert step.terminated.tolist() == [True]
    assert step.truncated.tolist() == [False]


def test_horizon_is_truncation():
    env = core(2, horizon=3)
    env.reset(seed=0)
    flags = [env.step(actions(STAY, STAY)).truncated.tolist() for _ in range(4)]
    assert flags == [[False] * 2, [False] * 2, [True] * 2, [False] * 2]


def test_uncertainty_above_its_limit_truncates_and_says_so():
    env = core(2, uncertainty_limit=0.4, task="reach_top", autoreset="disabled")
    env.reset(options={"state": at(0.35, 0.0)})
    step = env.step(actions(RIGHT, RIGHT))
    assert step.truncated.tolist() == [True, False]
    assert step.info["uncertainty_exceeded"].tolist() == [True, False]
    assert step.info["horizon_reached"].tolist() == [False, False]
    assert torch.allclose(step.info["uncertainty"], torch.tensor([0.45, 0.1]))


def test_auto_limit_comes_from_the_spec():
    assert core(uncertainty_limit="auto").rules.uncertainty_limit == PointMassConfig().uncertainty_limit
    with pytest.raises(ValueError, match="records no limit"):
        core(config=PointMassConfig(uncertainty_limit=None), uncertainty_limit="auto")


def test_a_model_that_emits_nan_stops_that_env_at_its_last_finite_state():
    env = core(3, PointMassConfig(breaks_above=0.25), autoreset="disabled")
    env.reset(options={"state": at(0.2, 0.0, -0.1)})
    step = env.step(actions(RIGHT, RIGHT, RIGHT))
    assert step.truncated.tolist() == [True, False, False]
    assert step.info["model_failure"].tolist() == [True, False, False]
    assert torch.allclose(step.obs[:, 0], torch.tensor([0.2, 0.1, 0.0]))
    assert step.reward.tolist() == [0.0, 0.0, 0.0]
    assert step.info["success_probability"].isfinite().all()


def test_a_nan_action_stops_its_env_when_values_are_not_checked():
    env = core(2, autoreset="disabled", validate=False)
    env.reset(seed=0)
    step = env.step(actions((float("nan"), 0.0, 0.0), STAY))
    assert step.info["model_failure"].tolist() == [True, False]
    assert step.obs.isfinite().all()


# -- autoreset --


def test_same_step_shows_the_new_episode_and_keeps_the_last_observation():
    env = core(2, horizon=2)
    env.reset(options={"state": at(0.3, 0.0)})
    env.step(actions(RIGHT, RIGHT))
    step = env.step(actions(RIGHT, STAY))
    assert step.final.rows.tolist() == [0, 1]
    assert torch.allclose(step.final.obs[:, 0], torch.tensor([0.5, 0.1]))
    starts = env.beginner.bank.state(env.counters["start"])["position"]
    assert torch.equal(step.obs[:, :2], starts)
    assert step.info["success_probability"].tolist() == [0.0, 0.0]
    assert step.final.info["horizon_reached"].tolist() == [True, True]


def test_same_step_resets_only_the_envs_that_ended():
    env = core(2)
    env.reset(options={"state": at(0.45, 0.0)})
    step = env.step(actions(RIGHT, RIGHT))
    assert step.final.rows.tolist() == [0]
    assert torch.allclose(step.obs[1], torch.tensor([0.1, 0.0, 0.0]))
    assert env.elapsed.tolist() == [0, 1]


def test_next_step_ignores_the_action_of_an_ended_env():
    env = core(2, autoreset="next_step")
    env.reset(options={"state": at(0.45, 0.0)})
    env.step(actions(RIGHT, STAY))
    step = env.step(actions(RIGHT, RIGHT))
    start = env.beginner.bank.state(env.counters["start"][:1])["position"]
    assert torch.equal(step.obs[:1, :2], start)
    assert torch.allclose(step.obs[1, 0], torch.tensor(0.1))
    assert step.reward.tolist() == [0.0, 0.0]
    assert not step.terminated.any()


def test_disabled_keeps_an_ended_env_where_it_ended():
    env = core(2, autoreset="disabled")
    env.reset(options={"state": at(0.45, 0.0)})
    first = env.step(actions(RIGHT, STAY))
    again = env.step(actions(RIGHT, RIGHT))
    assert torch.equal(again.obs[0], first.obs[0])
    assert again.terminated.tolist() == [True, False]
    assert again.reward.tolist() == [0.0, 0.0]
    obs, _ = env.reset(mask=torch.tensor([True, False]))
    assert torch.equal(obs[1], again.obs[1])
    assert env.done.tolist() == [False, False]


# -- chunks --


def test_a_chunk_stops_at_the_first_end():
    env = core(2, chunk=4, autoreset="disabled")
    env.reset(options={"state": at(0.35, -0.2)})
    step = env.step(torch.tensor([[RIGHT] * 4] * 2))
    assert torch.allclose(step.obs[:, 0], torch.tensor([0.55, 0.2]))  # two of four actions executed, and all four
    assert step.reward.tolist() == [1.0, 0.0]
    assert env.action_space.shape == (4, 3)


def test_frames_of_a_chunk_are_its_actions_one_by_one():
    options = {"autoreset": "disabled", "reward_mode": "probability", "horizon": 9}
    chunked, single = core(3, chunk=4, **options), core(3, **options)
    for dream in (chunked, single):
        dream.reset(seed=2)
    for _ in range(3):  # the horizon lies inside the third chunk: frozen from there on
        plan = actions([1, 0, -1], [0.2, 0.3, 1], [0, 0, -1]).unsqueeze(1).expand(-1, 4, -1)
        for frame, action in zip(chunked.frames(plan), plan.unbind(1), strict=True):
            alone = single.step(action)
            assert torch.equal(frame.obs, alone.obs)
            assert torch.equal(frame.reward, alone.reward)
            assert torch.equal(frame.truncated, alone.truncated)
            assert torch.equal(chunked.elapsed, single.elapsed)
    assert chunked.done.all()


def test_frames_that_nobody_asks_for_are_not_executed():
    dream = core(2, chunk=4, autoreset="disabled")
    dream.reset(seed=0)
    next(iter(dream.frames(torch.zeros(2, 4, 3))))
    assert dream.elapsed.tolist() == [1, 1]


def test_frames_leave_resets_to_the_caller():
    dream = core(2, chunk=4)
    dream.reset(seed=0)
    with pytest.raises(ValueError, match="'disabled', not 'same_step'"):
        next(iter(dream.frames(torch.zeros(2, 4, 3))))


def test_a_chunk_equals_its_actions_one_by_one():
    plan = torch.rand(3, 6, 3, generator=torch.Generator().manual_seed(0)) * 0.2
    chunked, single = core(3, PointMassConfig(noise=0.01), chunk=6), core(3, PointMassConfig(noise=0.01))
    chunked.reset(seed=5)
    single.reset(seed=5)
    step = chunked.step(plan)
    for action in plan.unbind(1):
        last = single.step(action)
    assert torch.allclose(step.obs, last.obs)
    assert torch.equal(chunked.elapsed, single.elapsed)


# -- seeds, starts, branches --


def test_the_same_seed_repeats_starts_and_noise():
    runs = []
    for seed in (7, 7, 8):
        env = core(4, PointMassConfig(noise=0.05), task="all", horizon=3)
        env.reset(seed=seed)
        runs.append(torch.stack([env.step(actions(*[STAY] * 4)).obs for _ in range(8)]))
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])


def test_when_one_env_ends_changes_nothing_for_the_others():
    runs = []
    for x in (0.45, 0.0):
        env = core(3, PointMassConfig(noise=0.01), horizon=6, task="all")
        env.reset(seed=1)
        state = {k: v.clone() for k, v in env.state.items()}
        state["position"][0, 0] = x
        env.reset(options={"state": state, "task": [0, 1, 1]})
        runs.append(torch.stack([env.step(actions(RIGHT, STAY, STAY)).obs[1:] for _ in range(14)]))
    assert torch.allclose(runs[0], runs[1])


def test_start_rows_name_the_state_and_its_task():
    env = core(2, task="all")
    _, info = env.reset(options={"start": [4, 9]})
    bank = env.beginner.bank
    assert info["task"].tolist() == bank.task[[4, 9]].tolist()
    assert torch.equal(env.state["position"], bank.state(torch.tensor([4, 9]))["position"])


def test_task_option_overrides_the_pool_for_one_episode():
    env = core(2, task="all")
    _, info = env.reset(options={"task": ["reach_top", "turn_on_lamp"]})
    assert [env.tasks[t] for t in info["task"].tolist()] == ["reach_top", "turn_on_lamp"]
    assert (env.beginner.bank.task[info["start"]] == info["task"]).all()


def test_history_is_padded_and_filtered():
    env = core(2)
    position = torch.tensor([[0.1, 0.2, 0.0], [-0.1, 0.3, 1.0]])
    images = torch.zeros(2, 1, 3, 16, 16, dtype=torch.uint8)
    obs, info = env.reset(options={"history": {"robot_obs": position.unsqueeze(1), "rgb_static": images}})
    assert torch.equal(obs, position)
    assert info["start"].tolist() == [-1, -1]


def told_core(**changes):
    """A core of a model that is told what to do, and what it was told."""
    heard = []

    class Told(PointMassModel):
        def start(self, history, generator=None, instruction=None):
            heard.append(instruction)
            return super().start(history, generator)

    model = Told(PointMassConfig(history=1))
    model.spec = replace(model.spec, instructions=("go to the right", "reach top"))
    made = DreamCore(model, PointMassReward(("reach_right", "reach_top")), None, num_envs=2, **changes)
    heard.clear()
    return made, heard


def test_a_model_is_told_the_suites_sentence_of_a_task_or_else_its_name():
    env, heard = told_core(instructions={"reach_right": "go to the right"})
    history = {"robot_obs": torch.zeros(2, 1, 3), "rgb_static": torch.zeros(2, 1, 3, 16, 16, dtype=torch.uint8)}
    env.reset(options={"history": history, "task": ["reach_top", "reach_right"]})
    assert heard == [["reach top", "go to the right"]]
    env, _ = told_core()
    with pytest.raises(ValueError, match=r"no instruction for \['reach_right'\]"):
        env.reset(options={"history": history, "task": ["reach_top", "reach_right"]})


def test_tasks_are_drawn_from_the_pool():
    env = core(64, task=["reach_top", "turn_on_lamp"])
    _, info = env.reset(seed=0)
    assert set(info["task"].tolist()) == {1, 2}


def test_snapshot_branches_the_dream_noise_included():
    env = core(3, PointMassConfig(noise=0.05), horizon=4, task="all")
    env.reset(seed=0)
    env.step(actions(*[STAY] * 3))
    branch = env.snapshot()
    one = [env.step(actions(*[STAY] * 3)) for _ in range(6)]
    env.restore(branch)
    two = [env.step(actions(*[STAY] * 3)) for _ in range(6)]
    assert all(
        torch.equal(a.obs, b.obs) and torch.equal(a.truncated, b.truncated) for a, b in zip(one, two, strict=True)
    )


def test_snapshot_fans_one_env_out():
    env, fan = core(2), core(5)
    env.reset(options={"state": at(0.1, 0.2)})
    obs = fan.restore(env.snapshot().select(torch.tensor([1] * 5)))
    assert torch.allclose(obs[:, 0], torch.full((5,), 0.2))
    with pytest.raises(ValueError, match="holds 2 envs"):
        fan.restore(env.snapshot())


@pytest.mark.parametrize("way", [copy.deepcopy, pickle.dumps])
def test_a_core_is_not_copied_by_halves(way):
    env = core(2)
    env.reset(seed=0)
    with pytest.raises(TypeError, match=r"take core\.snapshot\(\)"):
        way(env)
    other = core(2)
    other.restore(pickle.loads(pickle.dumps(env.snapshot())))
    action = actions(RIGHT, STAY)
    assert torch.equal(env.step(action).obs, other.step(action).obs)


def test_gradients_reach_the_actions():
    env = core(2, gradients=True, reward_mode="probability", autoreset="disabled")
    env.reset(options={"state": at(0.3, 0.4)})
    action = torch.zeros(2, 3, requires_grad=True)
    env.step(action)
    env.step(action).reward.sum().backward()
    assert (action.grad[:, 0] > 0).all()
    env.detach()
    assert not env.state["position"].requires_grad


@pytest.mark.parametrize("chunk", [None, 4])
def test_log_probability_gives_gradients_where_the_probability_underflows(chunk):
    torch.manual_seed(0)
    reward = SuccessClassifier(SuccessConfig(("reach_right",), feature_dim=3, embedding=(16, 16), head=(8,)))
    with torch.no_grad():  # as sure as one trained on few positions: PushT's logits reach -150
        reward.head_layers[-1].bias += torch.tensor([[150.0, 0.0]])
    paid, gradients = {}, {}
    for mode in ("probability", "log_probability"):
        options = {"num_envs": 2, "gradients": True, "autoreset": "disabled", "chunk": chunk}
        env = DreamCore(PointMassModel(), reward, point_mass_starts(), reward_mode=mode, **options)
        env.reset(seed=0, options={"state": at(0.0, -0.3)})
        action = torch.zeros(2, 3) if chunk is None else torch.zeros(2, chunk, 3)
        step = env.step(action.requires_grad_())
        step.reward.sum().backward()
        paid[mode], gradients[mode] = step.reward.detach(), action.grad
    assert (paid["probability"] == 0).all()  # underflown
    assert not gradients["probability"].any()
    assert (paid["log_probability"] < -140 * (chunk or 1)).all()
    assert paid["log_probability"].isfinite().all()
    assert gradients["log_probability"].isfinite().all()
    assert (gradients["log_probability"].abs().amax(-1) > 0).all()


def test_without_gradients_nothing_is_recorded():
    env = core(1)
    env.reset(seed=0)
    assert not env.step(torch.zeros(1, 3, requires_grad=True)).obs.requires_grad


class Bare(PointMassModel):
    """Its features are a tensor of its state."""

    def start(self, history, generator=None, instruction=None):
        return {"all": history["robot_obs"][:, -1].float().clone()}

    def imagine(self, state, action, generator=None):
        return {"all": state["all"] + self.gain * action}

    def features(self, state):
        return state["all"]

    def decode(self, state, keys):
        return {k: state["all"] if k == "robot_obs" else torch.zeros(len(state["all"]), 3, 16, 16) for k in keys}

    def uncertainty(self, state):
        return state["all"][:, 0].abs()


def test_what_a_caller_writes_into_an_observation_stays_out_of_the_dream():
    env = DreamCore(Bare(), PointMassReward(), num_envs=2, task="reach_right")
    obs, _ = env.reset(options={"state": {"all": torch.full((2, 3), 0.1)}})
    obs.fill_(9.0)
    step = env.step(actions(STAY, STAY))
    assert torch.allclose(step.obs[:, 0], torch.tensor(0.1))


class Doubting(PointMassModel):
    """Its uncertainty is a tensor of its state."""

    def start(self, history, generator=None, instruction=None):
        state = super().start(history, generator)
        return {**state, "doubt": state["lamp"].clone()}

    def imagine(self, state, action, generator=None):
        state = super().imagine(state, action, generator)
        return {**state, "doubt": state["position"][:, 0].abs()}

    def uncertainty(self, state):
        return state["doubt"]


@pytest.mark.parametrize("options", [{}, {"share_features": True}, {"gradients": True}])
def test_the_uncertainty_is_the_callers_own(options):
    env = DreamCore(Doubting(), PointMassReward(), num_envs=2, task="reach_right", autoreset="disabled", **options)
    start = {**at(0.3, 0.3), "doubt": torch.zeros(2)}
    env.reset(options={"state": start})
    given = env.step(actions(STAY, STAY)).info["uncertainty"]
    held = given.clone()
    env.reset(options={"state": start}, mask=torch.tensor([True, False]))
    assert torch.equal(given, held)
    given.fill_(9.0)
    assert env.state["doubt"].max() < 1.0


@pytest.mark.parametrize("share", [False, True])
@pytest.mark.parametrize("autoreset", ["same_step", "next_step", "disabled"])
def test_a_dream_begun_in_inference_mode_goes_on_outside_it(autoreset, share):
    runs = []
    for inside in (False, True):
        env = core(3, PointMassConfig(noise=0.05), horizon=2, autoreset=autoreset, share_features=share)
        with torch.inference_mode(inside):
            env.reset(seed=0)
            env.step(torch.zeros(3, 3))
            here = env.snapshot()
            env.restore(here)
        steps = []
        for _ in range(7):
            steps.append(env.step(torch.zeros(3, 3)))
            if autoreset == "disabled" and env.some_done:
                env.restart()
        runs.append(torch.stack([s.obs for s in steps]))
        weight = torch.ones(3, requires_grad=True)
        (runs[-1] * weight).sum().backward()
    assert torch.equal(*runs)


def test_shared_features_are_guarded_in_inference_mode_too():
    env = DreamCore(Bare(), PointMassReward(), num_envs=2, task="reach_right", share_features=True)
    with torch.inference_mode():
        obs, _ = env.reset(options={"state": {"all": torch.zeros(2, 3)}})
        obs[0] += 1
        with pytest.raises(RuntimeError, match="written to in place"):
            env.step(actions(STAY, STAY))


# -- quiet frames, on which no env ends, are judged all at once --


@pytest.mark.parametrize(
    "options", [{}, {"reward_mode": "probability"}, {"uncertainty_limit": 0.6}, {"uncertainty": False}]
)
@pytest.mark.parametrize("autoreset", ["same_step", "next_step", "disabled"])
def test_quiet_frames_are_judged_as_all_others(autoreset, options):
    config = PointMassConfig(noise=0.05, breaks_above=0.6)
    quick = core(5, config, horizon=7, autoreset=autoreset, **options)
    slow = core(5, config, horizon=7, autoreset=autoreset, fast=False, **options)
    for env in (quick, slow):
        env.reset(seed=2)
    plan = torch.rand(25, 5, 3, generator=torch.Generator().manual_seed(1)) * 2 - 1
    for action in plan:
        one, two = quick.step(action), slow.step(action)
        assert torch.equal(one.obs, two.obs)
        for name in ("reward", "terminated", "truncated"):
            assert torch.equal(getattr(one, name), getattr(two, name)), name
        assert set(one.info) == set(two.info)
        assert all(torch.equal(v, two.info[k]) for k, v in one.info.items())


# -- accelerators: what runs there, run here --


@pytest.mark.parametrize("autoreset", ["same_step", "next_step", "disabled"])
@pytest.mark.parametrize(
    "options", [{}, {"task": "all", "reward_mode": "probability"}, {"chunk": 2, "uncertainty_limit": 0.5}]
)
def test_a_step_on_an_accelerator_never_waits_and_gives_the_same(autoreset, options):
    config = PointMassConfig(noise=0.05, breaks_above=0.45)
    options = {"horizon": 4, "autoreset": autoreset, **options}
    here, there = core(6, config, **options), core(6, config, fast=False, **options)
    for env in (here, there):
        env.reset(seed=3)
    plan = torch.rand(10, *here.read_actions.shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    for action in plan:
        one = here.step(action)
        with NoSync():
            two = there.step(action)
        assert torch.equal(one.obs, two.obs)
        assert torch.equal(one.reward, two.reward)
        assert torch.equal(one.terminated, two.terminated)
        assert torch.equal(one.truncated, two.truncated)
        assert set(one.info) == set(two.info)
        assert all(torch.equal(v, two.info[k]) for k, v in one.info.items())
        if one.final is not None:
            assert torch.equal(one.final.mask, two.final.mask)
            assert torch.equal(one.final.obs, two.final.obs[one.final.rows])


@pytest.mark.parametrize("autoreset", ["same_step", "next_step", "disabled"])
@pytest.mark.parametrize("task", ["reach_right", "all"])
def test_a_classifier_is_not_waited_for_once_its_tasks_are_known(task, autoreset):
    torch.manual_seed(0)
    tasks = PointMassReward().tasks
    reward = SuccessClassifier(SuccessConfig(tasks, 3, (8,), (8,), compare_start=True))
    reward.reads_freely = False  # as on a device that has to be waited for
    options = {"task": task, "horizon": 2, "autoreset": autoreset}
    env = DreamCore(PointMassModel(), reward, point_mass_starts(), num_envs=6, fast=False, **options)
    env.reset(seed=0)
    env.step(actions(*[STAY] * 6))
    with NoSync():
        for _ in range(5):
            env.step(actions(*[RIGHT] * 6))
            if autoreset == "disabled":
                env.restart()


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile on a CPU needs a C++ compiler")
def test_compiled_dynamics_dream_the_same():
    config = PointMassConfig(noise=0.05)
    plain, compiled = core(3, config), core(3, config, compile=True)
    for env in (plain, compiled):
        env.reset(seed=3)
    for action in torch.rand(5, 3, 3, generator=torch.Generator().manual_seed(0)) * 2 - 1:
        torch.testing.assert_close(compiled.step(action).obs, plain.step(action).obs)


def test_one_task_stays_the_same_tensor():
    env = core(3, horizon=2)
    env.reset(seed=0)
    task = env.counters["task"]
    for _ in range(5):
        env.step(actions(*[STAY] * 3))
    assert env.counters["task"] is task
    env.reset(options={"task": "reach_top"}, mask=torch.tensor([True, False, False]))
    assert env.counters["task"].tolist() == [1, 0, 0]


def test_shared_features_are_never_written_by_the_core():
    env = DreamCore(
        Bare(), PointMassReward(), num_envs=3, task="reach_right", share_features=True, autoreset="disabled"
    )
    start = {"all": torch.full((3, 3), 0.1)}
    obs, _ = env.reset(options={"state": start})
    assert obs.data_ptr() == env.state["all"].data_ptr()
    held = [(obs, obs.clone())]
    for _ in range(3):
        obs = env.step(actions(RIGHT, STAY, RIGHT)).obs
        held.append((obs, obs.clone()))
        obs, _ = env.reset(options={"state": start}, mask=torch.tensor([True, False, False]))
        held.append((obs, obs.clone()))
    assert all(torch.equal(a, b) for a, b in held)


def test_writing_into_shared_features_is_one_clear_error():
    env = DreamCore(Bare(), PointMassReward(), num_envs=2, task="reach_right", share_features=True)
    options = {"state": {"all": torch.zeros(2, 3)}}
    obs, _ = env.reset(options=options)
    obs[0] += 1
    with pytest.raises(RuntimeError, match="written to in place.*clone"):
        env.step(actions(STAY, STAY))
    env.reset(options=options)
    env.step(actions(STAY, STAY))


# -- bad input --


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": "fly"}, r"unknown task \['fly'\].*reach_right"),
        ({"task": []}, "unknown task"),
        ({"obs": "touch"}, "obs must be one of"),
        ({"reward_mode": "rosy"}, "reward must be one of"),
        ({"autoreset": "often"}, "autoreset must be one of"),
        ({"horizon": 0}, "horizon must be a whole number"),
        ({"horizon": float("nan")}, "horizon must be a whole number"),
        ({"uncertainty_limit": float("nan")}, "uncertainty_limit is NaN"),
        ({"threads": 0}, "threads must be a whole number of at least 1"),
        ({"embodiment": "crane"}, "knows no embodiment"),
        ({"num_envs": 0}, "num_envs must be a whole number of at least 1"),
        ({"chunk": 0}, "chunk=0"),
        ({"split": "exam"}, "split must be"),
        ({"uncertainty_limit": "high"}, "uncertainty_limit must be"),
        ({"task": None}, "task must be a task's name, a list of names or 'all', got None"),
        ({"obs": "state", "config": PointMassConfig(vector=False)}, "obs='state' needs a model with a state head"),
    ],
)
def test_options_that_do_not_fit_raise(options, message):
    with pytest.raises(ValueError, match=message):
        core(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"begin": 3}, "unknown reset options"),
        ({"start": 0, "state": at(0.0, 0.0, 0.0)}, r"\['start', 'state'\] each say where episodes begin"),
        ({"start": [0, 1]}, "one for each of the 3 envs"),
        ({"start": [0, 1, 64]}, "in 0..63"),
        ({"start": [0.5, 1.0, 2.0]}, "takes bank rows"),
        ({"task": "fly"}, "unknown task"),
        (
            {"state": {"position": torch.zeros(3, 3), "lamp": torch.zeros(3)}},
            r"'position': got \(3,\), expected \(2,\)",
        ),
        ({"state": {"position": torch.zeros(2, 2), "lamp": torch.zeros(2)}}, "holds 2 states"),
        ({"history": {"robot_obs": torch.zeros(3, 1, 3)}}, "lacks .'rgb_static'"),
        ({"reset_mask": torch.zeros(2, dtype=torch.bool)}, "reset mask must be bool"),
    ],
)
def test_reset_options_that_do_not_fit_raise(options, message):
    env = core(3)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=message):
        env.reset(options=options)


def test_a_bank_of_another_model_raises():
    bank = StartBank({"position": torch.zeros(4, 3), "lamp": torch.zeros(4)}, ("reach_right",))
    with pytest.raises(ValueError, match="start bank does not fit this point_mass model"):
        DreamCore(PointMassModel(), PointMassReward(), bank, task="reach_right")


def test_without_a_bank_reset_asks_for_a_history():
    env = DreamCore(PointMassModel(), PointMassReward(), num_envs=1)
    with pytest.raises(ValueError, match="no start bank"):
        env.reset()


def test_calls_out_of_order_raise():
    env = core(1)
    for call in (
        lambda: env.step(actions(STAY)),
        env.snapshot,
        env.render,
        lambda: env.reset(mask=torch.tensor([True])),
    ):
        with pytest.raises(error.ResetNeeded, match="reset"):
            call()
    env.reset()
    env.close()
    for call in (lambda: env.step(actions(STAY)), env.reset):
        with pytest.raises(error.ClosedEnvironmentError, match="make a new one"):
            call()


def test_a_partial_reset_cannot_be_seeded():
    env = core(2)
    env.reset(seed=0)
    with pytest.raises(ValueError, match="cannot be seeded"):
        env.reset(seed=1, mask=torch.tensor([True, False]))


# -- what belongs to the caller stays as it is --


def test_a_model_that_is_handed_in_is_not_moved():
    model, reward = PointMassModel(), PointMassReward()
    with pytest.raises(ValueError, match="device='meta' cannot be used here"):
        DreamCore(model, reward, device="meta")
    assert {p.device.type for p in model.parameters()} == {"cpu"}
    here = DreamCore(model, reward, point_mass_starts(), num_envs=2)
    assert here.model is model
    here.reset(seed=0)
    assert here.step(actions(STAY, STAY)).obs.device.type == "cpu"


def test_the_processes_number_of_threads_stands_again_after_each_call():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    seen = []

    class Counting(PointMassModel):
        def imagine(self, state, action, generator=None):
            seen.append(torch.get_num_threads())
            return super().imagine(state, action, generator)

    try:
        for threads, inside in ((1, 1), (None, 2)):
            env = DreamCore(Counting(), PointMassReward(), point_mass_starts(), threads=threads)
            env.reset(seed=0)
            env.step(actions(STAY))
            assert seen[-1] == inside
            assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_start_without_a_task_leaves_the_others_theirs():
    bank = point_mass_starts()
    bank.task[1] = -1
    for other in (0, 1, 2):
        env = DreamCore(PointMassModel(), PointMassReward(), bank, num_envs=2)
        tasks = {env.reset(seed=s, options={"start": [0, other]})[1]["task"][0].item() for s in range(5)}
        assert tasks == {int(bank.task[0])}


class Endless(PointMassModel):
    """Its state stays finite where its features do not."""

    def features(self, state):
        features = super().features(state)
        return torch.where(features[:, :1] > 0.15, torch.full_like(features, torch.inf), features)


@pytest.mark.parametrize("fast", [True, False])
def test_features_that_are_not_finite_are_a_failure_on_either_path(fast):
    env = DreamCore(
        Endless(), PointMassReward(), num_envs=2, task="reach_top", autoreset="disabled", uncertainty=False, fast=fast
    )
    env.reset(options={"state": at(0.1, 0.0)})
    assert env.step(actions(RIGHT, STAY)).info["model_failure"].tolist() == [True, False]


def test_a_nan_in_a_two_valued_entry_stops_its_env_too():
    env = core(2, autoreset="disabled", validate=False)
    assert bool(env.spec.prepare(torch.tensor([0.0, 0.0, float("nan")]))[2].isnan())
    assert bool(np.isnan(env.spec.prepare(np.array([0.0, 0.0, np.nan]))[2]))


def test_reset_options_are_given_by_name():
    with pytest.raises(ValueError, match="reset takes options by name"):
        core().reset(options=3)


class Looking(PointMassReward):
    """Remembers the very tensors of the last state, and of an episode that begins nothing but noughts."""

    def start(self, model, state, task):
        return {name: torch.zeros_like(value) for name, value in state.items()}

    def step(self, model, memory, before, action, after, task):
        reward, probability, _ = super().step(model, memory, before, action, after, task)
        return reward, probability, after


def test_a_memory_that_is_the_state_is_not_written_to_with_it():
    def seen(fast):
        env = DreamCore(
            PointMassModel(), Looking(), point_mass_starts(), num_envs=4, task="reach_top", horizon=50,
            reward_mode="probability", uncertainty=False, fast=fast,
        )  # fmt: skip
        env.reset(seed=0)
        shown = []
        for each in range(12):
            env.reset(mask=torch.arange(4) == each % 4)
            shown.append(env.step(torch.full((4, *env.action_space.shape), 0.1)).obs)
        return torch.stack(shown)

    torch.testing.assert_close(seen(None), seen(False))
