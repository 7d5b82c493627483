"""What must hold of every world model, on every face, in the twin, and in all that is measured on it: of each toy
(frames predicted jointly, two robots, instructions) and of each shipped dream.
"""

import gymnasium as gym
import numpy as np
import pytest
import torch

import dreamgym
from dreamgym.data import EpisodeStore
from dreamgym.envs import twin
from dreamgym.envs.core.options import AUTORESET
from dreamgym.evaluation.making.fidelity import FidelityConfig, measure_fidelity
from dreamgym.evaluation.policies.evaluate import evaluate
from dreamgym.rewards.encode import encode
from dreamgym.testing import (
    ClipFollower,
    JointPointModel,
    PointConfig,
    check_vector_env,
    check_world_model,
    instructed_point_checkpoint,
    joint_point_checkpoint,
    point_mass_checkpoint,
    two_robots_checkpoint,
)
from dreamgym.testing.instructed_point import INSTRUCTIONS
from dreamgym.testing.points import SIZE
from dreamgym.training.bank import BankConfig, build_starts
from dreamgym.training.checkpoint import built_in_names, load
from dreamgym.types import InstructionSpec
from dreamgym.world_models.probe import ProbeFitConfig, fit_probe

TOYS = {
    "point_mass": (point_mass_checkpoint, {}),
    "joint_point": (joint_point_checkpoint, {}),
    "cart": (two_robots_checkpoint, {"embodiment": "cart"}),
    "crane": (two_robots_checkpoint, {"embodiment": "crane"}),
    "instructed_point": (instructed_point_checkpoint, {}),
}
ACTING = [name for name in TOYS if name != "instructed_point"]
EXTRAS = {"playtable": "pybullet", "calvin_d": "pybullet", "metaworld": "metaworld", "pusht": "gym_pusht"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    base = tmp_path_factory.mktemp("worlds")
    made = {make: str(make(base / make.__name__)) for make, _ in TOYS.values()}
    return {name: made[make] for name, (make, _) in TOYS.items()}


def options(name):
    return dict(TOYS[name][1])


def executor(name):
    return {"executor": ClipFollower()} if name == "instructed_point" else {}


def steps_of(opened, name, control):
    """How many steps so many control actions are."""
    core = dreamgym.make_core(opened, **(options(name) if name in TOYS else {}))
    return max(1, control // (core.num_frames * core.spec.actions_per_frame))


# -- the contract and the faces --


@pytest.mark.parametrize("name", [*TOYS, *built_in_names()])
def test_a_model_keeps_the_contract(name, folders):
    model = load(folders.get(name, name)).model
    check_world_model(model.embody(name) if name in ("cart", "crane") else model)


@pytest.mark.parametrize("name", TOYS)
def test_a_vector_env_keeps_gymnasiums_promises(name, folders):
    per_step = 40 // steps_of(folders[name], name, 40)

    def make(mode):
        return gym.make_vec(
            "Dream-v0",
            num_envs=3,
            checkpoint=folders[name],
            autoreset_mode=mode,
            horizon=4 * per_step,
            reward="probability",
            **options(name),
        )

    check_vector_env(make, steps=10, horizon=4)


@pytest.mark.parametrize("name", TOYS)
@pytest.mark.parametrize("obs", ["features", "state", "pixels", "dict"])
def test_a_single_env_passes_gymnasiums_checker(name, obs, folders):
    from gymnasium.utils.env_checker import check_env

    env = gym.make("Dream-v0", checkpoint=folders[name], obs=obs, render_mode="rgb_array", **options(name))
    check_env(env.unwrapped, skip_render_check=False)


@pytest.mark.parametrize("name", TOYS)
def test_sb3s_checker_passes(name, folders):
    checker = pytest.importorskip("stable_baselines3.common.env_checker")
    checker.check_env(gym.make("Dream-v0", checkpoint=folders[name], horizon=40, **options(name)).unwrapped)
    env = dreamgym.sb3_env("Dream-v0", 2, checkpoint=folders[name], **options(name))
    env.reset()
    obs, reward, _, _ = env.step(np.stack([env.action_space.sample() for _ in range(2)]))
    assert obs.shape == (2, 3)
    assert reward.shape == (2,)


@pytest.mark.parametrize("name", TOYS)
def test_torchrls_checker_passes(name, folders):
    utils = pytest.importorskip("torchrl.envs.utils")
    env = dreamgym.torchrl_env("Dream-v0", 3, checkpoint=folders[name], horizon=40, **options(name))
    utils.check_env_specs(env)
    assert env.rollout(12, break_when_any_done=False).shape == (3, 12)


@pytest.mark.parametrize("name", [*TOYS, *built_in_names()])
@pytest.mark.parametrize(("autoreset", "reward"), [*((a, "success") for a in AUTORESET), ("same_step", "probability")])
def test_the_plain_path_gives_the_same(name, autoreset, reward, folders):
    per_step = 40 // steps_of(folders.get(name, name), name, 40)
    settings = {"num_envs": 4, "horizon": 7 * per_step, "autoreset_mode": autoreset, "task": "all"}
    settings |= {"uncertainty_limit": "auto", "reward": reward, **(options(name) if name in TOYS else {})}
    fast, plain = (dreamgym.make_core(folders.get(name, name), fast=switch, **settings) for switch in (True, False))
    assert fast.fast is not None and plain.fast is None
    fast.action_space.seed(0)
    for core in (fast, plain):
        core.reset(seed=4)
    ended = 0
    for _ in range(12):
        action = np.stack([fast.action_space.sample() for _ in range(4)])
        one, two = fast.step(action), plain.step(action)
        for field in ("obs", "reward", "terminated", "truncated"):
            assert torch.equal(getattr(one, field), getattr(two, field)), field
        same(one.info, two.info)
        ended += int((one.terminated | one.truncated).sum())
        final_same(one.final, two.final)
        assert (one.final is not None) == (autoreset == "same_step" and bool((one.terminated | one.truncated).any()))
    assert ended >= 4  # or there was no end to be alike


@pytest.mark.parametrize("fast", [True, False])
def test_an_earlier_success_is_told_at_frames_at_which_nothing_happens(fast, folders):
    settings = {"num_envs": 2, "task": "turn_on_lamp", "reward": "probability", "autoreset_mode": "disabled"}
    core = dreamgym.make_core(folders["point_mass"], fast=fast, **settings)
    core.reset(seed=0)
    switches = torch.tensor([[1.0, -1.0], [-1.0, -1.0], [-1.0, -1.0], [-1.0, 1.0]])  # of the first env, of the second
    told = [core.step(torch.nn.functional.pad(s.unsqueeze(1), (2, 0))).info["is_success"].tolist() for s in switches]
    assert told == [[True, False]] * 3 + [[True, True]]


def same(one, two):
    """Tensors by name are equal, to the last digit."""
    assert set(one) == set(two)
    for key, value in one.items():
        assert torch.equal(value, two[key]), key


def final_same(fast, plain):
    """The fast path gives the rows of envs that ended, the plain one all of them and which ended."""
    if fast is None:
        assert plain is None or not plain.mask.any()
        return
    assert torch.equal(fast.mask, plain.mask)
    assert fast.rows.tolist() == fast.mask.nonzero().flatten().tolist()
    assert torch.equal(fast.obs, plain.obs[fast.rows])
    same(fast.info, {k: v[fast.rows] for k, v in plain.info.items()})


def test_a_chunk_of_jointly_predicted_frames_is_one_sampling(folders, monkeypatch):
    calls = []
    sample = JointPointModel.sample
    monkeypatch.setattr(JointPointModel, "sample", lambda self, *args: calls.append(1) or sample(self, *args))
    core = dreamgym.make_core(folders["joint_point"], num_envs=2, chunk=6, horizon=100, reward="probability")
    core.reset(seed=0)
    for number in range(1, 4):
        core.step(torch.zeros(2, 6, 3))
        assert len(calls) == number


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_an_env_that_ends_inside_a_joint_chunk_stays_where_it_ended(noise, tmp_path):
    folder = str(joint_point_checkpoint(tmp_path / "world", PointConfig(noise=noise)))
    core = dreamgym.make_core(folder, num_envs=2, chunk=6, task="reach_right", autoreset_mode="disabled")
    core.reset(
        seed=0, options={"state": {"position": torch.tensor([[0.35, 0.0], [-0.4, 0.0]]), "lamp": torch.zeros(2)}}
    )
    step = core.step(torch.tensor([[[1.0, 0.0, -1.0]] * 6] * 2))
    assert step.terminated.tolist() == [True, False]
    if noise == 0:
        assert torch.allclose(step.obs[:, 0], torch.tensor([0.55, 0.2]))
    assert 0.5 <= step.obs[0, 0] < 0.85


# -- twins --


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("autoreset", AUTORESET)
@pytest.mark.parametrize("name", TOYS)
def test_an_exact_dream_and_its_twin_agree(name, autoreset, fast, folders):
    settings = {"num_envs": 3, "horizon": 40, "autoreset_mode": autoreset, "fast": fast, **options(name)}
    dream = dreamgym.make_core(folders[name], **settings)
    real = twin.make_core(folders[name], **settings, **executor(name))
    dream.action_space.seed(0)
    for core in (dream, real):
        core.reset(seed=2)
    assert torch.equal(dream.counters["start"], real.counters["start"])
    for _ in range(10):
        action = np.stack([dream.action_space.sample() for _ in range(3)])
        one, two = dream.step(action), real.step(action)
        assert torch.allclose(one.obs, two.obs, atol=1e-5)
        assert torch.equal(one.terminated, two.terminated)
        assert torch.equal(one.truncated, two.truncated)
    real.close()


def test_a_chunk_in_a_twin_stops_where_the_dreams_does(folders):
    settings = {"num_envs": 2, "chunk": 6, "task": "reach_right", "autoreset_mode": "disabled"}
    dream, real = (
        dreamgym.make_core(folders["joint_point"], **settings),
        twin.make_core(folders["joint_point"], **settings),
    )
    for core in (dream, real):
        core.reset(seed=0)
    for _ in range(3):
        plan = torch.tensor([[[1.0, 0.0, -1.0]] * 6] * 2)
        one, two = dream.step(plan), real.step(plan)
        assert torch.allclose(one.obs, two.obs, atol=1e-5)
        assert torch.equal(one.terminated, two.terminated)
    assert bool(one.terminated.all())


def test_a_twin_begins_by_the_simulators_own_reset(folders):
    for name in TOYS:
        real = twin.make_core(folders[name], num_envs=2, starts="simulator", **options(name), **executor(name))
        _, info = real.reset(seed=0)
        assert info["start"].tolist() == [-1, -1]
        real.step(np.stack([real.action_space.sample() for _ in range(2)]))


def test_a_twin_of_instructions_asks_for_its_executor(folders):
    with pytest.raises(ValueError, match="executor="):
        twin.make_core(folders["instructed_point"])


def test_dream_and_twin_know_the_suites_sentences(folders):
    for make, more in ((dreamgym.make_core, {}), (twin.make_core, {"executor": ClipFollower()})):
        assert make(folders["instructed_point"], **more).options.instructions == INSTRUCTIONS
        assert not make(folders["point_mass"]).options.instructions


def test_a_robot_that_the_model_does_not_know_is_named(folders):
    with pytest.raises(ValueError, match="knows no embodiment 'drone'.*cart.*crane"):
        dreamgym.make_core(folders["cart"], embodiment="drone")
    assert dreamgym.make_core(folders["cart"], embodiment="crane").action_space.shape == (5, 4)


# -- what is measured --


@pytest.mark.parametrize("name", TOYS)
def test_policies_are_evaluated_in_dream_and_twin(name, folders):
    more = {**options(name), **executor(name)}
    found = evaluate("random", folders[name], "reach_right", episodes=4, horizon=40, split="val", **more)
    assert len(found.dream) == len(found.twin) == 4
    assert (found.dream.row == found.twin.row).all()


@pytest.mark.parametrize("name", built_in_names())
def test_shipped_dreams_are_evaluated(name):
    found = evaluate("random", name, episodes=2, horizon=6, split="val", twin=False)
    assert len(found.dream) == 2


def record(folder, name, path, episodes=9, control=60):
    """A store of random actions in the toy's simulator, a row a control action."""
    opened = load(folder)
    model = opened.model.embody(name) if name in ("cart", "crane") else opened.model
    robot = {"robot": name} if name in ("cart", "crane") else {}
    env = twin.make_simulator({"id": opened.simulator["id"], "kwargs": robot})
    spec = model.spec.control
    keys = {
        "action": ((spec.dim,), "float32"),
        "robot_obs": ((3,), "float32"),
        "rgb_static": ((SIZE, SIZE, 3), "uint8"),
        "snapshot": ((3,), "float64"),
        "success": ((), "bool"),
    }
    info = {"suite": opened.simulator["id"], **({"robot": name} if robot else {})}
    store = EpisodeStore.create(path, keys, info)
    env.action_space.seed(0)
    for i in range(episodes):
        task = ("reach_right", "reach_top", "turn_on_lamp")[i // 3 % 3]
        obs, told = env.reset(seed=i, options={"task": task})
        rows = {k: [] for k in keys}
        for t in range(control):
            action = env.action_space.sample() if t % 7 else np.array(spec.high, np.float32)
            done = np.bool_(told["is_success"])
            row = {**obs, "action": action, "snapshot": env.snapshot(), "success": done}
            for key, value in row.items():
                rows[key].append(value)
            obs, _, _, _, told = env.step(action)
        meta = {"task": task, "split": ("train", "train", "val")[i % 3], "kind": "demonstration"}
        store.append([({k: np.stack(v) for k, v in rows.items()}, meta)])
    return model, store


@pytest.mark.parametrize("name", ACTING)
def test_fidelity_bank_and_probe_are_exact_on_an_exact_model(name, folders, tmp_path):
    model, store = record(folders[name], name, tmp_path / "store")
    a = model.spec.actions_per_frame
    train, held_out = store.select(split="train"), store.select(split="val")
    found = measure_fidelity(model, held_out, train, FidelityConfig(windows=4, steps=20, batch_size=4))
    curve = found.curves["position"].model
    assert np.nanmax(np.abs(np.array(curve, float))) < 1e-4
    tensors, meta = build_starts(
        model, [store], ["reach_right", "reach_top"], BankConfig(2, 1, context=2, offsets=(0,))
    )
    assert meta["counts"]["reach_right"]["train"] == 2
    snapshot, state = tensors["snapshot"], tensors["state/position"].double()
    assert torch.allclose(snapshot[:, :2], state, atol=1e-3)
    from dreamgym.data import SequenceSampler

    sampler = SequenceSampler(train, 6 * a + 1, 4, ["robot_obs", "rgb_static", "action"], seed=0)
    probe = fit_probe(model, sampler, {"robot_obs": (("linear", 3),)}, ProbeFitConfig(3, units=8))
    batch = sampler.batch(0)
    encoded = encode(model, batch, model.spec.history)
    read = probe(encoded.posterior)["robot_obs"]
    assert read.shape == (4, 7, 3)
    assert torch.allclose(read[..., :2], batch["robot_obs"][:, ::a][..., :2], atol=0.1)


def test_a_step_of_an_instructed_world_is_one_clip(folders):
    core = dreamgym.make_core(folders["instructed_point"], num_envs=3)
    spec = core.spec.action
    assert isinstance(spec, InstructionSpec)
    assert core.action_space.n == len(spec.sentences)
    before = core.reset(seed=0)[0].clone()
    step = core.step(torch.tensor([0, 1, 2]))
    assert core.elapsed.tolist() == [spec.clip * core.spec.actions_per_frame] * 3
    moved = torch.tensor([[0.1 * spec.clip, 0.0, 0.0], [0.0, 0.1 * spec.clip, 0.0], [0.0, 0.0, 1.0]])
    torch.testing.assert_close(step.obs - before, moved)
    with pytest.raises(ValueError, match="a step of this model is one instruction"):
        dreamgym.make_core(folders["instructed_point"], chunk=4)


@pytest.mark.parametrize("fast", [True, False])
def test_a_twin_without_a_bank_steps_and_resets_nobody(fast, folders):
    for name in TOYS:
        more = {**options(name), **executor(name)}
        real = twin.make_core(
            folders[name], num_envs=2, starts="simulator", autoreset_mode="disabled", fast=fast, **more
        )
        real.reset(seed=0)
        before = real.step(np.stack([real.action_space.sample() for _ in range(2)])).obs
        assert torch.equal(real.reset(mask=np.zeros(2, bool))[0], before)
        with pytest.raises(ValueError, match="needs a start bank"):
            real.reset(options={"start": [0, 1]})
        with pytest.raises(ValueError, match="a twin cannot be placed"):
            real.place(real.state, torch.zeros(2, dtype=torch.int64))


def test_instructions_unroll_by_default_one_frame_after_the_other(folders):
    from dreamgym.testing import InstructedPointModel
    from dreamgym.world_models.base import WorldModel

    model = InstructedPointModel()
    state = {"position": torch.zeros(2, 2), "lamp": torch.zeros(2)}
    joint, plain = (
        model.unroll(state, torch.tensor([0, 1])),
        list(WorldModel.unroll(model, state, torch.tensor([0, 1]))),
    )
    assert len(plain) == len(joint) == 4
    assert torch.allclose(plain[-1]["position"], joint[-1]["position"])
