import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env

import dreamgym
from dreamgym.envs.simulators import Simulators, WorkerSimulators, make_simulator
from dreamgym.testing import PointMassConfig, PointMassModel, check_vector_env
from dreamgym.testing.point_mass import SIMULATOR
from dreamgym.testing.two_robots import ACTIONS_PER_FRAME, TwoRobotsEnv, two_robots_checkpoint


def twin(folder, **options):
    options = {"num_envs": 3, "horizon": 6, **options}
    return gym.make_vec("Real-PlayTable-v0", world_model=folder, simulator=SIMULATOR, **options)


def dream(folder, **options):
    return gym.make_vec("Dream-v0", checkpoint=folder, **{"num_envs": 3, "horizon": 6, **options})


def test_twin_and_exact_dream_agree_step_by_step(folder):
    real, imagined = twin(folder), dream(folder)
    assert real.single_observation_space == imagined.single_observation_space
    assert real.action_space == imagined.action_space
    first = [env.reset(seed=4)[0] for env in (real, imagined)]
    assert np.allclose(*first)
    real.action_space.seed(0)
    for _ in range(15):
        action = real.action_space.sample()
        a, b = real.step(action), imagined.step(action)
        assert np.allclose(a[0], b[0], atol=1e-6)
        assert all(np.array_equal(x, y) for x, y in zip(a[1:4], b[1:4], strict=True))


def test_the_same_bank_row_begins_the_same_episode(folder):
    options = {"start": [3, 10, 40]}
    (a, info_a), (b, info_b) = twin(folder).reset(options=options), dream(folder).reset(options=options)
    assert np.allclose(a, b)
    assert info_a["task"].tolist() == info_b["task"].tolist()


def test_a_refused_reset_changes_nothing(folder):
    """Not even the starts that the next episodes draw."""
    held = []
    for asked in (True, False):
        env = twin(folder, task="reach_top", horizon=2)
        env.reset(seed=0)
        for _ in range(3):
            env.step(np.zeros((3, 3), np.float32))
        if asked:
            with pytest.raises(ValueError, match="a twin cannot begin"):
                env.reset(seed=5, options={"state": {}})
        for _ in range(2):
            env.step(np.zeros((3, 3), np.float32))
        held.append(env.unwrapped.core.counters["start"].tolist())
    assert held[0] == held[1]


def test_reward_comes_from_the_simulator_and_probability_from_the_classifier(checkpoint):
    # A reward model that is always wrong must not sway the twin.
    checkpoint.rewards["success"].probability = lambda model, memory, state, task: torch.full((len(task),), 0.9)
    env = twin(checkpoint, task="reach_right", num_envs=2, autoreset_mode="disabled")
    env.reset(seed=0)
    info = env.step(np.zeros((2, 3), np.float32))[4]
    assert not info["is_success"].any()
    assert np.allclose(info["success_probability"], 0.9)


def test_a_twin_refuses_the_logarithm_of_a_probability_that_it_does_not_pay(folder):
    with pytest.raises(ValueError, match="of dreams alone"):
        twin(folder, reward="log_probability")


def test_a_twin_refuses_gradients_that_no_simulator_passes_on(folder):
    with pytest.raises(ValueError, match="no gradient passes through a simulator"):
        twin(folder, gradients=True)


def below_zero(decoded, action, next_decoded):
    return next_decoded["robot_obs"][:, 0] - 10


@pytest.mark.parametrize("reward", [None, below_zero])
def test_a_reward_of_the_callers_own_pays_in_the_twin_as_in_the_dream(folder, reward):
    paid = []
    for name, given in (("Dream-v0", {"checkpoint": folder}), ("Real-v0", {"world_model": folder})):
        env = gym.make(name, task="reach_right", reward=reward, horizon=12, **given)
        env.reset(options={"start": 0})
        steps = [env.step(np.array([1, 0, 0], np.float32)[: env.action_space.shape[0]]) for _ in range(12)]
        paid.append([step[1] for step in steps])
        assert not any(step[2] for step in steps)
    assert steps[-1][4]["is_success"]  # the oracle's, in the twin
    assert paid[0] == pytest.approx(paid[1], abs=1e-5)
    assert all(p == 0 for p in paid[1]) if reward is None else all(p < -5 for p in paid[1])


@pytest.mark.parametrize("obs", ["features", "dict"])
@pytest.mark.parametrize("starts", ["bank", "simulator"])
def test_keeps_gymnasiums_promises(folder, obs, starts):
    check_vector_env(lambda mode: twin(folder, autoreset_mode=mode, obs=obs, starts=starts), steps=9, horizon=6)


@pytest.mark.filterwarnings("ignore:.*Box observation space.*infinity.*")
def test_single_passes_gymnasiums_checker(folder):
    env = gym.make("Real-PlayTable-v0", world_model=folder, simulator=SIMULATOR, obs="dict", render_mode="rgb_array")
    check_env(env.unwrapped)


def test_pixels_and_state_are_the_real_ones(folder):
    env = twin(folder, obs="dict")
    obs, _ = env.reset(seed=0)
    sims = env.unwrapped.core.sims.envs
    for i, sim in enumerate(sims):
        assert np.array_equal(obs["rgb_static"][i], sim.observe()["rgb_static"])
        assert np.allclose(obs["state"][i], sim.observe()["robot_obs"])


def test_snapshot_branches_simulators_too(folder):
    env = twin(folder)
    env.reset(seed=0)
    plan = [env.action_space.sample() for _ in range(9)]
    env.step(plan[0])
    branch = env.unwrapped.core.snapshot()
    one = [env.step(a) for a in plan]
    env.unwrapped.core.restore(branch)
    two = [env.step(a) for a in plan]
    assert all(np.allclose(a[0], b[0]) and np.array_equal(a[1], b[1]) for a, b in zip(one, two, strict=True))
    with pytest.raises(ValueError, match="holds no simulator state"):
        env.unwrapped.core.restore(dream_snapshot(folder))


def dream_snapshot(folder):
    core = dreamgym.make_core(folder, num_envs=3)
    core.reset(seed=0)
    return core.snapshot()


def test_chunks_are_judged_frame_by_frame(folder):
    env = twin(folder, chunk=4, task="reach_right", num_envs=1, autoreset_mode="disabled")
    env.reset(seed=0)
    for _ in range(3):
        obs, reward, terminated, _, _ = env.step(np.tile(np.float32([1, 0, -1]), (1, 4, 1)))
        if terminated[0]:
            break
    assert reward[0] == 1
    assert 0.5 <= obs[0, 0] < 0.6  # stopped at the action that reached it


def test_between_the_frames_of_a_model_nothing_is_observed(tmp_path, monkeypatch):
    folder, calls = str(two_robots_checkpoint(tmp_path / "robots")), []
    action = np.random.default_rng(0).uniform(-1, 1, (3, 2, ACTIONS_PER_FRAME, 3)).astype(np.float32)

    def run():
        options = {"num_envs": 2, "horizon": 12, "task": "reach_top", "chunk": ACTIONS_PER_FRAME}
        env = gym.make_vec("Real-v0", world_model=folder, **options)
        env.reset(seed=0)
        return [env.step(a)[0] for a in action]

    plain, step = run(), TwoRobotsEnv.step
    monkeypatch.setattr(TwoRobotsEnv, "step", lambda sim, a: calls.append("step") or step(sim, a))
    monkeypatch.setattr(TwoRobotsEnv, "advance", lambda sim, a: calls.append("") or step(sim, a)[4], raising=False)
    assert all(np.array_equal(a, b) for a, b in zip(plain, run(), strict=True))
    assert calls.count("step") == 3 * 2 and calls.count("") == 3 * 2 * (ACTIONS_PER_FRAME - 1)


def test_without_a_world_model_it_is_the_plain_simulator():
    env = gym.make("Real-PlayTable-v0", simulator=SIMULATOR, task="reach_right", horizon=3)
    obs, _ = env.reset(seed=0)
    assert set(obs) == {"rgb_static", "robot_obs"}
    assert [env.step(np.zeros(3, np.float32))[3] for _ in range(3)] == [False, False, True]
    many = gym.make_vec("Real-PlayTable-v0", num_envs=2, simulator=SIMULATOR)
    assert many.reset(seed=0)[0]["robot_obs"].shape == (2, 3)
    with pytest.raises(ValueError, match=r"array='torch'.*need world_model="):
        gym.make_vec("Real-PlayTable-v0", num_envs=2, simulator=SIMULATOR, array="torch")


def test_a_simulator_of_ones_own_has_an_id():
    assert gym.make("Real-v0", simulator=SIMULATOR).reset(seed=0)[0]["robot_obs"].shape == (3,)
    with pytest.raises(ValueError, match="no simulator given"):
        gym.make("Real-v0")


def test_the_sb3_face_serves_twins(folder):
    pytest.importorskip("stable_baselines3")
    options = {"world_model": folder, "simulator": SIMULATOR, "horizon": 2, "task": "reach_top"}
    env = dreamgym.sb3_env("Real-PlayTable-v0", num_envs=2, **options)
    env.reset()
    env.step(np.zeros((2, 3), np.float32))
    assert env.step(np.zeros((2, 3), np.float32))[2].all()


def test_worker_processes_do_what_one_process_does():
    workers, here = WorkerSimulators(SIMULATOR, 3, 2), Simulators(SIMULATOR, 3)
    try:
        assert workers.cameras == here.cameras
        options = [{"seed": i, "task": "reach_top"} for i in range(3)]
        many = [sims.reset([0, 1, 2], [dict(o) for o in options]) for sims in (workers, here)]
        assert all(np.array_equal(a[1], b[1]) for a, b in zip(*many, strict=True))
        action = np.random.default_rng(0).uniform(-1, 1, (2, 3)).astype(np.float32)
        moved = [sims.step([2, 0], action) for sims in (workers, here)]
        assert all(np.array_equal(a[0]["robot_obs"], b[0]["robot_obs"]) for a, b in zip(*moved, strict=True))
        states = workers.snapshot()
        assert np.array_equal(np.stack(states), np.stack(here.snapshot()))
        assert workers.advance([1], action[:1]) == here.advance([1], action[:1])
        assert np.array_equal(np.stack(workers.snapshot()), np.stack(here.snapshot()))
        workers.step([0, 1, 2], np.ones((3, 3), np.float32))
        back = workers.restore(states)
        assert np.array_equal(back[1]["robot_obs"], here.restore(states)[1]["robot_obs"])
        with pytest.raises(RuntimeError, match="worker failed in step"):
            workers.step([0], np.zeros((1, 5), np.float32))
    finally:
        workers.close()


def test_a_worker_that_cannot_begin_says_why():
    with pytest.raises(ValueError, match="^unknown simulator 'nowhere'"):
        WorkerSimulators({"id": "nowhere", "kwargs": {}}, 1, 1)
    with pytest.raises(ImportError, match="no_such_module"):
        WorkerSimulators({"id": "no_such_module:Env", "kwargs": {}}, 1, 1)


@pytest.mark.parametrize("plain", [False, True])
def test_a_script_without_a_main_guard_is_told_so(folder, tmp_path, plain):
    script = tmp_path / "script.py"
    options = f"simulator={SIMULATOR!r}, num_envs=2, num_workers=2" + ("" if plain else f", world_model={folder!r}")
    script.write_text(f"import gymnasium as gym, dreamgym.testing\ngym.make_vec('Real-PlayTable-v0', {options})\n")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert '`if __name__ == "__main__":`' in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda f: twin(f).reset(options={"state": {}}), "needs a snapshot"),
        (lambda f: twin(f, starts="moon"), "starts must be"),
        (lambda f: gym.make("Real-PlayTable-v0", simulator=SIMULATOR, obs="dict"), "'obs'.* need world_model="),
        (lambda f: gym.make("Real-PlayTable-v0", simulator=SIMULATOR, task=["a", "b"]), "takes one task name"),
        (lambda f: dreamgym.make_core(f).reset(options={"start": 999}), "in 0..63"),
        (lambda f: make_simulator({"id": "nowhere"}), "unknown simulator"),
        (lambda f: make_simulator("nowhere"), "unknown simulator"),
        (lambda f: make_simulator({"name": "pusht"}), "expected an id or .*got {'name': 'pusht'}"),
        (lambda f: gym.make("Real-v0", simulator=3), "expected an id or .*got 3"),
        (
            lambda f: gym.make("Dream-v0", checkpoint=f, autoreset_mode="next_step"),
            "a single env is reset by its caller",
        ),
        (lambda f: gym.make("Real-PlayTable-v0", world_model="pusht"), "simulates 'calvin', .* learned from 'pusht'"),
        (lambda f: twin(f, simulator_kwargs={"colour": 3}), "'colour': the simulator .* takes its own options"),
    ],
)
def test_bad_input_is_one_clear_error(folder, call, message):
    with pytest.raises(ValueError, match=message):
        call(folder)


def test_a_simulator_that_lacks_what_the_model_reads_is_one_clear_error(checkpoint):
    class Blind(PointMassModel):
        pass

    model = Blind(PointMassConfig())
    sensors = dict(model.spec.observations)
    sensors["rgb_gripper"] = sensors["rgb_static"]
    object.__setattr__(model.spec, "observations", sensors)
    checkpoint.model = model
    with pytest.raises(ValueError, match="reads 'rgb_gripper'.*simulator_kwargs"):
        twin(checkpoint).reset()
