import numpy as np
import pytest
import torch

from dreamgym.envs.make import make_core
from dreamgym.evaluation.policies.evaluate import evaluate
from dreamgym.evaluation.policies.rollout import RolloutOptions, run_episodes
from dreamgym.testing import PointMassConfig, point_mass_checkpoint, point_mass_starts
from dreamgym.testing.instructed_point import instructed_point_checkpoint
from dreamgym.testing.joint_point import JointPointModel, joint_point_checkpoint
from dreamgym.testing.points import point_starts
from dreamgym.testing.two_robots import two_robots_checkpoint

HORIZON = 12


class Rightward:
    """To the right by ``pace``, one action at a time; ``seen`` counts decisions, ``fresh`` keeps who had begun."""

    def __init__(self, pace=0.5):
        self.pace, self.seen, self.fresh = pace, 0, []

    def start(self, num_envs, generator):
        return None

    def act(self, obs, carry, fresh, generator):
        self.seen += 1
        self.fresh.append(fresh.clone())
        return self.decide(obs), None

    def decide(self, obs):
        return torch.tensor([self.pace, 0.0, -1.0]).expand(len(obs), 3)


class InChunks(Rightward):
    """The same, four actions a decision."""

    chunk = 4

    def decide(self, obs):
        return super().decide(obs).unsqueeze(1).expand(-1, self.chunk, -1)


class Turning(Rightward):
    """Right and left in turn, within a chunk: an episode that does not stop inside it would undo its success."""

    chunk = 4

    def decide(self, obs):
        way = torch.tensor([1.0, 1.0, -1.0, -1.0])
        zero = torch.zeros_like(way)
        return torch.stack([way, zero, zero - 1], 1).expand(len(obs), -1, -1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(point_mass_checkpoint(tmp_path_factory.mktemp("world") / "point"))


def scored(folder, policy, **changes):
    options = {"episodes": 10, "horizon": HORIZON, "simulators": 3, **changes}
    return evaluate(policy, folder, "reach_right", **options)


def test_a_chunk_ends_inside_itself_with_the_length_of_single_actions(folder):
    single, chunked = scored(folder, Rightward()), scored(folder, InChunks())
    assert chunked.twin.to_dict() == single.twin.to_dict()
    assert chunked.dream.to_dict() == single.dream.to_dict()
    assert any(length % 4 for length in chunked.twin.length)  # or nothing ended inside a chunk
    assert set(chunked.twin.success.tolist()) == {True, False}  # some reach the horizon, 12, first


def test_a_chunk_policy_is_asked_once_a_chunk(folder):
    policy = InChunks(0.0)
    scored(folder, policy, episodes=3, dream=False)
    assert policy.seen == HORIZON // 4
    assert [bool(f.all()) for f in policy.fresh] == [True, False, False]


def test_what_follows_a_success_inside_a_chunk_is_not_counted(folder):
    found = scored(folder, Turning(), episodes=6)
    x = point_mass_starts().states["position"][:, 0].float().numpy()[found.twin.row]
    reached = np.ceil(np.round((0.5 - x) / 0.1, 4)) <= 2  # two steps right, then back
    assert found.twin.success.tolist() == found.dream.success[:6].tolist() == reached.tolist()
    assert (found.twin.length[reached] <= 2).all()
    assert (found.twin.length[~reached] == HORIZON).all()


def test_episodes_begin_in_waves_and_end_one_by_one(folder):
    policy = InChunks(1.0)
    found = scored(folder, policy, episodes=6, simulators=2, dream=False)
    assert found.twin.rate == 1
    assert {tuple(f.tolist()) for f in policy.fresh} == {(True, True), (False, False)}
    assert sum(bool(f.all()) for f in policy.fresh) == 3
    assert len(np.unique(found.twin.row)) == 6


def test_simulators_of_episodes_that_are_over_stand_still(folder, monkeypatch):
    from dreamgym.envs.simulators import Simulators

    moved, step = [], Simulators.step
    monkeypatch.setattr(Simulators, "step", lambda self, envs, action: moved.extend(envs) or step(self, envs, action))
    found = scored(folder, Rightward(), episodes=7, simulators=3, dream=False)
    ended = found.twin.success & (found.twin.length < HORIZON)
    linger = np.minimum(5, HORIZON - found.twin.length) * ended  # frames after a success, for the reward model to see
    assert len(moved) == int((found.twin.length + linger).sum())


class Drunken(Rightward):
    """A noisy walk to the right; env by env of another width, so that some are soon there and some never."""

    def act(self, obs, carry, fresh, generator):
        noise = torch.randn((len(obs), 3), generator=generator)
        return (torch.tensor([self.pace, 0.0, -1.0]) + noise).clamp(-1, 1), None


@pytest.fixture(scope="module")
def noisy(tmp_path_factory):
    return str(point_mass_checkpoint(tmp_path_factory.mktemp("noisy") / "point", PointMassConfig(noise=0.05)))


def test_two_policies_from_one_start_meet_the_same_noise(noisy):
    # The noise is what remains of a path once what the policy did is taken off: of quick and slow policies the same.
    paths = {}
    for pace in (0.0, 0.4, 0.9):
        core = make_core(noisy, num_envs=4, horizon=30, autoreset_mode="disabled", reward="probability", split=None)
        rows = core.starts.candidates("reach_right", None)[:10].numpy()
        kept = {}

        def watch(frame, core=core, kept=kept):
            for env, episode, elapsed in zip(frame.env, frame.episode, frame.elapsed, strict=True):
                kept[int(episode), int(elapsed)] = float(core.state["position"][env, 1])  # nobody steers upwards

        run_episodes(core, Rightward(pace), rows, np.zeros(10, int), RolloutOptions(seed=3), watch=watch)
        paths[pace] = kept
    shared = set(paths[0.4]) & set(paths[0.9])
    assert len(shared) < len(paths[0.4]) < len(paths[0.0])  # they end at other times
    assert max(episode for episode, _ in shared) == 9
    for key in shared:
        assert paths[0.9][key] == paths[0.4][key] == paths[0.0][key]
    last = [paths[0.0][n, 5] - paths[0.0][n, 4] for n in range(10)]
    assert len(set(last)) == 10  # every episode has noise of its own


def test_an_episode_does_not_depend_on_how_many_follow(noisy):
    few, many = (scored(noisy, Drunken(0.3), episodes=n, imagined=i) for n, i in ((5, 70), (11, 130)))
    for side in ("twin", "dream"):
        short, long = (getattr(found, side) for found in (few, many))
        num = len(short)
        for name in ("row", "success", "length", "returns", "probability"):
            assert getattr(long, name)[:num].tolist() == getattr(short, name).tolist(), name
    assert len(set(few.dream.length.tolist())) > 3


def test_a_stochastic_policy_comes_to_the_same_whatever_was_evaluated_before(noisy):
    policies = {"drunken": Drunken(0.3), "random": "random", "chunks": InChunks()}
    one = {name: scored(noisy, policy, episodes=6).to_dict()["episodes"] for name, policy in policies.items()}
    torch.manual_seed(1)  # global noise does not count
    other = {name: scored(noisy, policies[name], episodes=6).to_dict()["episodes"] for name in reversed(policies)}
    assert one == other
    assert one["drunken"] != one["random"]


class CraneInChunks(Rightward):
    """The crane to the right, two frames of five actions a decision."""

    chunk = 10

    def decide(self, obs):
        return torch.tensor([self.pace, 0.0, 0.0, -1.0]).expand(len(obs), self.chunk, 4)


class CartInChunks(CraneInChunks):
    def decide(self, obs):
        return torch.tensor([self.pace, 0.0, -1.0]).expand(len(obs), self.chunk, 3)


@pytest.mark.parametrize(("robot", "policy"), [("cart", CartInChunks), ("crane", CraneInChunks)])
def test_frames_of_several_actions_and_either_robot(tmp_path, robot, policy):
    world = str(two_robots_checkpoint(tmp_path / "world"))
    found = scored(world, policy(), horizon=50, embodiment=robot)
    assert_alike(found)
    assert found.dream.success.any()
    x = point_starts().states["position"][found.twin.row, 0].float().numpy()
    frames = np.minimum(np.ceil(np.round((0.5 - x) / 0.05, 3)), 10)
    assert found.twin.length.tolist() == (5 * frames).tolist()  # a frame is scored when its five actions are done
    assert found.drift["5"]["position"] < 1e-5
    assert {int(h) % 5 for h in found.drift} == {0}  # 1 action is no frame's end


def assert_alike(found):
    """An exact dream and its twin tell the same of every episode."""
    assert found.dream.length.tolist() == found.twin.length.tolist()
    assert found.dream.success.tolist() == found.twin.success.tolist()
    np.testing.assert_allclose(found.dream.returns, found.twin.returns, rtol=1e-4)


def test_a_policy_of_single_actions_is_refused_where_a_frame_has_several(tmp_path):
    world = str(two_robots_checkpoint(tmp_path / "world"))
    with pytest.raises(ValueError, match="frame every 5 actions.*chunk = 5"):
        scored(world, Rightward())
    with pytest.raises(ValueError, match="knows no embodiment 'crab'"):
        scored(world, CartInChunks(), embodiment="crab")


@pytest.mark.parametrize("name", ["random", "hold"])
def test_built_in_policies_act_once_a_frame(tmp_path, name):
    world = str(two_robots_checkpoint(tmp_path / "world"))
    found = scored(world, name, episodes=3, horizon=10, embodiment="crane")
    assert_alike(found) if name == "hold" else None
    assert set(found.twin.length.tolist()) <= {5, 10}
    assert found.drift["10"]["position"] == pytest.approx(0, abs=1e-5)


def test_a_chunk_of_a_joint_family_is_one_sampling(tmp_path, monkeypatch):
    calls, real = [], JointPointModel.sample

    def counted(self, state, actions, generator=None):
        calls.append(actions.shape[1])
        return real(self, state, actions, generator)

    world = str(joint_point_checkpoint(tmp_path / "world"))
    single = scored(world, Rightward(), twin=False)
    monkeypatch.setattr(JointPointModel, "sample", counted)
    policy = InChunks()
    chunked = scored(world, policy, twin=False)
    assert calls == [4] * policy.seen
    assert chunked.dream.to_dict() == single.dream.to_dict()


class Instructor(Rightward):
    """Always the same sentence, "go right"."""

    def decide(self, obs):
        return torch.zeros(len(obs), dtype=torch.int64)


def test_an_instruction_is_scored_frame_by_frame_and_its_twin_has_an_executor(tmp_path):
    world = str(instructed_point_checkpoint(tmp_path / "world"))
    found = scored(world, Instructor(), horizon=32, executor="dreamgym.testing.instructed_point:ClipFollower")
    assert_alike(found)
    x = point_starts().states["position"][found.twin.row, 0].float().numpy()
    assert found.twin.length.tolist() == (2 * np.ceil(np.round((0.5 - x) / 0.1, 3))).tolist()
    assert any(length % 8 for length in found.twin.length)  # clips of four frames, two actions each
    assert found.drift is None
    with pytest.raises(ValueError, match="executor"):
        scored(world, Instructor())
    random = scored(world, "random", twin=False, episodes=4, horizon=16)
    assert set(random.dream.length.tolist()) <= {2 * n for n in range(1, 9)}


def test_a_core_made_otherwise_is_refused(folder):
    rows = np.zeros(2, int)
    with pytest.raises(ValueError, match="'disabled'"):
        run_episodes(make_core(folder, num_envs=2), Rightward(), rows, rows)
    single = make_core(folder, num_envs=2, autoreset_mode="disabled", reward="probability")
    with pytest.raises(ValueError, match="chunk=4.*chunk=None"):
        run_episodes(single, InChunks(), rows, rows)
