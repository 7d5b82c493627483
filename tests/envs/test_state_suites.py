import gymnasium as gym
import imageio.v2 as imageio
import numpy as np
import pytest
import torch

import dreamgym
from dreamgym.envs.core.starts import StartBank
from dreamgym.envs.registration import make_core_by_id
from dreamgym.rewards import SuccessClassifier, SuccessConfig
from dreamgym.testing import check_vector_env
from dreamgym.training import checkpoint
from dreamgym.types import ActionSpec
from dreamgym.world_models.families.mlp import MLPConfig, MLPWorldModel

pytest.importorskip("gym_pusht")

from dreamgym.sims.pusht import PushTEnv

assert dreamgym.__version__  # registers the ids


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An untrained model of PushT with a bank of real starts."""
    torch.manual_seed(0)
    model = MLPWorldModel(MLPConfig.tiny(6, ActionSpec((0.0,) * 2, (512.0,) * 2), hidden=(16, 16), ensemble=2)).eval()
    env = PushTEnv()
    snapshots, obs = [], []
    for seed in range(6):
        obs.append(torch.from_numpy(env.reset(seed=seed)[0]["state"]))
        snapshots.append(torch.from_numpy(env.snapshot()))
    model.fit_statistics(torch.stack(obs), 0.1 * torch.stack(obs).diff(dim=0))
    history = {"state": torch.stack(obs)[:, None].expand(-1, 2, -1), "action": torch.full((6, 1, 2), 256.0)}
    states = {k: v.half() for k, v in model.start(history).items()}
    bank = StartBank(states, ("push_t",), torch.zeros(6), torch.zeros(6), torch.stack(snapshots))
    classifier = SuccessClassifier(SuccessConfig(("push_t",), 6, (8,), (8,)), [0.9])
    return str(
        checkpoint.save(
            tmp_path_factory.mktemp("pusht") / "pusht",
            model,
            {"success": classifier},
            bank.to_tensors(),
            simulator={"id": "pusht", "kwargs": {}},
            starts_meta={"tasks": ["push_t"]},
        )
    )


def test_the_plain_simulator_is_made_by_its_id():
    env = gym.make("Real-PushT-v0", task="push_t", success_coverage=0.5).unwrapped
    assert isinstance(env, PushTEnv)
    assert (env.horizon, env.success_coverage) == (300, 0.5)


def test_unknown_options_of_the_plain_simulator_are_a_value_error():
    with pytest.raises(ValueError, match="colour"):
        gym.make("Real-PushT-v0", colour="red")


def test_an_option_of_the_simulator_is_sent_where_a_twin_takes_it(folder):
    with pytest.raises(ValueError, match=r"'perturbation'.* no options of a twin.*simulator_kwargs=.*50.0"):
        gym.make("Real-PushT-v0", world_model=folder, perturbation=50.0)


@pytest.mark.parametrize("twin", [False, True])
def test_states_are_drawn_where_no_camera_is(folder, twin):
    name, options = ("Real-PushT-v0", {"world_model": folder}) if twin else ("Dream-v0", {"checkpoint": folder})
    env = gym.make(name, render_mode="rgb_array", **options)
    assert env.metadata["render_modes"] == ["rgb_array", "rgb_array_list"]
    env.reset(seed=0)
    first = env.render()
    assert first.shape == (128, 128, 3)
    for _ in range(4):
        env.step(env.action_space.high)
    assert (env.render() != first).any()
    env.close()


def test_gymnasium_records_what_is_drawn(folder, tmp_path):
    pytest.importorskip("moviepy")
    env = gym.make("Dream-v0", checkpoint=folder, render_mode="rgb_array")
    env = gym.wrappers.RecordVideo(env, str(tmp_path), episode_trigger=lambda number: True, disable_logger=True)
    env.reset(seed=0)
    for _ in range(4):
        env.step(env.action_space.high)
    env.close()
    (film,) = tmp_path.glob("*.mp4")
    assert len(imageio.mimread(film, memtest=False)) == 5


def test_a_picture_says_what_to_install(folder, monkeypatch):
    monkeypatch.setattr("dreamgym.suites.base.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r'needs .*pip install "dreamgym\[pusht\]"'):
        gym.make("Dream-v0", checkpoint=folder, render_mode="rgb_array")
    assert gym.make("Dream-v0", checkpoint=folder).metadata["render_modes"] == []


def test_a_vector_of_plain_simulators():
    envs = gym.make_vec("Real-PushT-v0", num_envs=2, horizon=3)
    obs, _ = envs.reset(seed=0)
    assert obs["state"].shape == (2, 6)
    for _ in range(3):
        _, _, _, truncated, _ = envs.step(np.full((2, 2), 100.0, np.float32))
    assert truncated.all()


def test_twin_keeps_the_promises_of_a_vector_env(folder):
    make = lambda mode: gym.make_vec(  # noqa: E731
        "Real-PushT-v0", num_envs=2, world_model=folder, autoreset_mode=mode, horizon=3
    )
    check_vector_env(make, steps=4, horizon=3)


@pytest.mark.parametrize(("suite", "module", "task"), [
    ("Metaworld", "metaworld", "reach"), ("Robosuite", "robosuite", "lift"),
])  # fmt: skip
def test_the_twins_of_the_shipped_dreams_keep_them_too(suite, module, task):
    pytest.importorskip(module)
    make = lambda mode: gym.make_vec(  # noqa: E731
        f"Real-{suite}-v0", num_envs=2, task=task, world_model=module, autoreset_mode=mode, horizon=3
    )
    check_vector_env(make, steps=4, horizon=3)


def test_dream_and_twin_share_spaces_and_starts(folder):
    dream = gym.make("Dream-v0", checkpoint=folder)
    real = gym.make("Real-PushT-v0", world_model=folder)
    assert dream.observation_space == real.observation_space
    assert dream.action_space == real.action_space
    (a, _), (b, _) = dream.reset(seed=3), real.reset(seed=3)
    assert np.allclose(a, b)


def test_state_is_in_the_simulators_own_units_in_dream_and_twin(folder):
    dream = gym.make("Dream-v0", checkpoint=folder, obs="state")
    real = gym.make("Real-PushT-v0", world_model=folder, obs="state")
    (a, _), (b, _) = (env.reset(seed=1) for env in (dream, real))
    assert a.shape == b.shape == (6,)
    # The bank holds standardised states in fp16.
    assert np.allclose(a[:4], b[:4], atol=0.5)
    assert np.allclose(a[4:], b[4:], atol=5e-3)


def test_the_adversary_comes_through_the_twin(folder):
    def blocks(**kwargs):
        env = gym.make("Real-PushT-v0", world_model=folder, obs="state", simulator_kwargs=kwargs)
        env.reset(seed=1)
        return np.array([env.step(np.array([20.0, 20.0], np.float32))[0][2:4] for _ in range(20)])

    calm = blocks()
    disturbed = blocks(perturbation=50.0, perturbation_probability=0.5)
    assert np.abs(disturbed - calm).max() > 5
    assert np.array_equal(disturbed, blocks(perturbation=50.0, perturbation_probability=0.5))


def test_a_twin_goes_on_from_its_snapshot(folder):
    core = make_core_by_id("Real-PushT-v0", world_model=folder, num_envs=2, obs="state")
    core.reset(seed=0)
    action = torch.tensor([[300.0, 100.0], [100.0, 300.0]])
    core.step(action)
    taken = core.snapshot()
    on = torch.stack([core.step(action)[0] for _ in range(4)])
    core.restore(taken)
    assert torch.allclose(torch.stack([core.step(action)[0] for _ in range(4)]), on, atol=1.0)
