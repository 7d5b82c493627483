"""Planners: they reach goals in dream and twin, of one robot or several, and move nothing while they imagine."""

import pytest
import torch
from dreamgym_agents.planning import DecodedDistance, GoalDistance, Planner, PlannerConfig, cem, imagine, mppi, shooting
from dreamgym_agents.planning.imagination import combine
from dreamgym_agents.planning.objectives import features_of
from dreamgym_agents.planning.search import search

from dreamgym.envs.make import make_core
from dreamgym.evaluation.policies import load as policies
from dreamgym.evaluation.policies.evaluate import evaluate
from dreamgym.testing import PointMassConfig, point_mass_checkpoint
from dreamgym.testing.instructed_point import instructed_point_checkpoint
from dreamgym.testing.joint_point import joint_point_checkpoint
from dreamgym.testing.two_robots import two_robots_checkpoint
from dreamgym.training.checkpoint import load

OPTIONS = {"episodes": 6, "horizon": 20, "simulators": 3}
SMALL = {"candidates": 32, "frames": 6, "rounds": 2, "elites": 4, "execute": 1}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(point_mass_checkpoint(tmp_path_factory.mktemp("world") / "point"))


@pytest.mark.parametrize("method", ["shooting", "cem", "mppi"])
def test_every_method_reaches_in_both_worlds_what_random_actions_do_not(folder, method):
    planned = evaluate(lambda spec: Planner(spec, method=method, **SMALL), folder, "reach_right", **OPTIONS)
    random = evaluate("random", folder, "reach_right", **OPTIONS)
    assert planned.dream.rate == planned.twin.rate == 1
    assert random.dream.rate <= 0.5 and random.twin.rate <= 0.5


@pytest.mark.parametrize("robot", ["cart", "crane"])
def test_it_plans_for_each_robot_in_frames_of_several_actions(tmp_path, robot):
    folder = str(two_robots_checkpoint(tmp_path / "world"))
    done = evaluate(
        lambda spec: Planner(spec, **{**SMALL, "execute": 2}),
        folder,
        "reach_top",
        embodiment=robot,
        episodes=3,
        horizon=60,
    )
    assert done.dream.rate == done.twin.rate == 1


def test_it_plans_in_a_model_that_predicts_frames_jointly(tmp_path):
    folder = str(joint_point_checkpoint(tmp_path / "world"))
    done = evaluate(lambda spec: Planner(spec, **{**SMALL, "execute": 3}), folder, "reach_top", **OPTIONS)
    assert done.dream.rate == done.twin.rate == 1


def test_a_model_driven_by_instructions_is_refused(tmp_path):
    spec = load(instructed_point_checkpoint(tmp_path / "world")).model.spec
    with pytest.raises(ValueError, match="driven by instructions"):
        Planner(spec)


def bound(folder, planner, num_envs=3):
    """The planner's core, reset, and what it decides there."""
    core = make_core(folder, num_envs=num_envs, autoreset_mode="disabled", task="reach_right")
    core.reset(seed=0)
    planner.bind(core)
    carry = planner.start(num_envs)
    generator = torch.Generator().manual_seed(0)
    return core, planner.act(None, carry, torch.ones(num_envs, dtype=torch.bool), generator)


def test_imagining_does_not_move_the_core(folder):
    planner = Planner(load(folder).model.spec, **SMALL)
    core, _ = bound(folder, planner)
    before = {k: v.clone() for k, v in core.state.items()}
    planner.act(None, planner.start(3), torch.ones(3, dtype=torch.bool), torch.Generator().manual_seed(1))
    assert all(torch.equal(before[k], core.state[k]) for k in before)
    assert int(core.elapsed.max()) == 0


def test_a_goal_in_features_is_reached(folder):
    model = load(folder).model
    goal = torch.tensor([-0.6, 0.6, 0.0])
    planner = Planner(model.spec, objective=GoalDistance(goal), candidates=128, frames=8, rounds=6, execute=1)
    core, (actions, carry) = bound(folder, planner)
    plan = planner.actions(carry)
    assert actions.shape == (3, 1, 3)
    state = core.state
    for action in (actions[:, 0], *plan[:, :7].unbind(1)):
        state = model.imagine(state, action)
    gap = (model.features(state)[:, :2] - goal[:2]).norm(dim=1)
    assert gap.max() < 0.2 < (model.features(core.state)[:, :2] - goal[:2]).norm(dim=1).min()


def test_a_goal_of_each_env_and_of_an_observation(folder):
    model = load(folder).model
    history = {"robot_obs": torch.tensor([[[0.1, 0.2, 0.0]] * 2] * 2), "rgb_static": torch.zeros(2, 2, 3, 16, 16)}
    assert torch.allclose(features_of(model, history), torch.tensor([[0.1, 0.2, 0.0]] * 2))
    goals = torch.tensor([[0.9, 0.0, 0.0], [-0.9, 0.0, 0.0]])
    planner = Planner(model.spec, objective=GoalDistance(goals), **SMALL)
    _, (actions, _) = bound(folder, planner, num_envs=2)
    assert actions[0, 0, 0] > 0 > actions[1, 0, 0]
    wrong = Planner(model.spec, objective=GoalDistance(torch.zeros(2)), **SMALL)
    with pytest.raises(ValueError, match=r"a goal is features \[3\]"):
        bound(folder, wrong)


def test_a_decoded_measure_is_brought_to_its_target(folder):
    planner = Planner(load(folder).model.spec, objective=DecodedDistance("robot_obs", [0], [-0.9]), **SMALL)
    _, (actions, _) = bound(folder, planner)
    assert (actions[:, 0, 0] < 0).all()
    with pytest.raises(ValueError, match="as many targets as entries"):
        DecodedDistance("robot_obs", [0, 1], [0.0])


def test_a_model_that_breaks_is_avoided(tmp_path):
    folder = str(point_mass_checkpoint(tmp_path / "broken", PointMassConfig(breaks_above=0.3)))
    core = make_core(folder, num_envs=1, autoreset_mode="disabled", task="reach_right")
    core.reset(seed=0)
    right = torch.tensor([1.0, 0.0, -1.0]).expand(1, 1, 12, 3)
    values = imagine(core, torch.cat([right, -right], 1), cem(core.spec).objective)
    assert torch.isinf(values[0, 0]) and torch.isfinite(values[0, 1])


def test_sequences_beyond_the_cut_are_worth_no_more_than_the_worst_from_there_on():
    values = torch.tensor([[-3.0, -1.0], [-3.0, -2.0]])
    doubts = torch.tensor([[0.0, 5.0], [0.0, 0.0]])
    assert combine(values, None, True, 0.0, None).tolist() == [-1, -2]
    assert combine(values, doubts, True, 0.0, 1.0).tolist() == [-3, -2]
    assert combine(values, doubts, True, 1.0, None).tolist() == [-3.5, -2]
    assert combine(values, None, False, 0.0, None).tolist() == [-2, -2.5]


def test_fresh_envs_forget_their_plans_and_others_go_on(folder):
    planner = Planner(load(folder).model.spec, method="cem", candidates=1, rounds=1, elites=1, execute=1)
    bound(folder, planner, num_envs=2)
    carry = torch.full_like(planner.start(2), 0.5)
    actions, rest = planner.act(None, carry, torch.tensor([True, False]))
    assert actions[:, 0, 0].tolist() == [0.0, 0.5]
    assert rest.shape == carry.shape


def test_plans_are_held_and_carried_out_in_multiples(folder):
    spec = load(folder).model.spec
    planner = Planner(spec, hold=2, execute=4, frames=8)
    assert planner.chunk == 4
    _, (actions, _) = bound(folder, planner)
    assert torch.equal(actions[:, 0], actions[:, 1]) and torch.equal(actions[:, 2], actions[:, 3])
    with pytest.raises(ValueError, match="both be multiples"):
        Planner(spec, hold=3, execute=4, frames=8)


@pytest.mark.parametrize("wrong", [{"method": "guess"}, {"frames": 2, "execute": 3}, {"spread": 0.0}, {"hold": 0}])
def test_settings_out_of_range_are_named(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        PlannerConfig(**wrong)


def test_unbound_and_uncalibrated_planners_say_so(tmp_path, folder):
    spec = load(folder).model.spec
    with pytest.raises(ValueError, match="call bind"):
        cem(spec).act(None, cem(spec).start(1), torch.ones(1, dtype=torch.bool))
    plain = str(point_mass_checkpoint(tmp_path / "plain", PointMassConfig(uncertainty_limit=None)))
    with pytest.raises(ValueError, match="records no limit"):
        bound(plain, Planner(spec, cut="auto"))


def test_installed_names_are_policies(folder, monkeypatch):
    class Entry:
        name = "cem"

        def load(self):
            return cem

    def entries(group, name=None):
        return [Entry()] if group == "dreamgym.policy_factories" and name in (None, "cem") else []

    monkeypatch.setattr(policies, "entry_points", entries)
    spec = load(folder).model.spec
    assert policies.load_policy("cem", spec).config.method == "cem"
    with pytest.raises(ValueError, match="'cem'"):
        policies.load_policy("cme", spec)
    assert (shooting(spec).config.method, mppi(spec).config.method) == ("shooting", "mppi")


def test_each_entry_of_an_action_is_searched_as_far_as_its_spread(folder):
    seen = []

    def watched(drawn):
        seen.append(drawn)
        return torch.zeros(drawn.shape[:2])

    config = PlannerConfig(spread=[0.6, 0.01, 0.3], least_spread=0.001, candidates=512, rounds=1)
    search(config, watched, torch.zeros(1, 16, 3), torch.Generator().manual_seed(0))
    assert seen[0].std((0, 1, 2)).tolist() == pytest.approx([0.54, 0.01, 0.3], rel=0.05)  # the first one is clipped
    with pytest.raises(ValueError, match="spread has 2 entries, an action of this model 3"):
        bound(folder, Planner(load(folder).spec, spread=(0.1, 0.2)))
    with pytest.raises(ValueError, match="must be positive"):
        PlannerConfig(spread=(0.1, 0.0, 0.1))
