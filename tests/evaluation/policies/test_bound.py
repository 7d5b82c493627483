"""Policies that imagine before they act."""

import pytest
import torch
from dreamgym_agents.planning import Planner

from dreamgym.evaluation.policies.evaluate import evaluate
from dreamgym.testing import PointMassConfig, PointMassModel, point_mass_checkpoint
from dreamgym.training.checkpoint import load


class Shooting(Planner):
    """Random shooting, which notes what it was shown and where its core stood."""

    def __init__(self, candidates=64):
        super().__init__(
            PointMassModel().spec, method="shooting", candidates=candidates, frames=6, rounds=1, elites=1, execute=1
        )
        self.core, self.cores, self.seen = None, [], []

    def bind(self, core):
        super().bind(core)
        self.core = core
        self.cores.append(core)

    def act(self, obs, carry, fresh, generator):
        core = self.core
        self.seen.append((obs.clone(), core.model.features(core.state), core.elapsed.clone()))
        return super().act(obs, carry, fresh, generator)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(point_mass_checkpoint(tmp_path_factory.mktemp("world") / "point"))


OPTIONS = {"episodes": 6, "horizon": 20, "simulators": 3}


def test_a_planner_reaches_in_both_worlds_what_random_actions_do_not(folder):
    planned = evaluate(Shooting(), folder, "reach_right", **OPTIONS)
    random = evaluate("random", folder, "reach_right", **OPTIONS)
    assert planned.dream.rate == planned.twin.rate == 1
    assert random.dream.rate <= 0.5 and random.twin.rate <= 0.5


def test_the_planners_core_stands_where_the_world_is(folder):
    planner = Shooting(candidates=4)
    evaluate(planner, folder, "reach_right", **OPTIONS)
    assert len(planner.cores) == 2  # one a world
    assert planner.cores[0] is not planner.cores[1]
    assert any(bool((elapsed > 0).any()) for _, _, elapsed in planner.seen)
    for obs, features, _ in planner.seen:
        torch.testing.assert_close(features, obs)  # the point mass shows its whole state


def test_imagining_in_the_core_does_not_move_the_world(folder):
    class Restless(Shooting):
        def act(self, obs, carry, fresh, generator):
            for _ in range(3):
                self.core.step(torch.ones(len(obs), 3))
            return torch.tensor([0.5, 0.0, -1.0]).expand(len(obs), 1, 3), carry

    class Calm(Restless):
        def act(self, obs, carry, fresh, generator):
            return torch.tensor([0.5, 0.0, -1.0]).expand(len(obs), 1, 3), carry

    restless, calm = (evaluate(p(), folder, "reach_right", **OPTIONS) for p in (Restless, Calm))
    assert restless.twin.to_dict() == calm.twin.to_dict()
    assert restless.dream.to_dict() == calm.dream.to_dict()


def test_a_planner_knows_the_model_and_not_the_future(tmp_path):
    # In a noisy dream the core's noise is its own: what it imagines of an action is not what the world comes to.
    opened = load(point_mass_checkpoint(tmp_path / "noisy", PointMassConfig(noise=0.05)))
    foreseen, happened = [], []

    class Seer(Shooting):
        def act(self, obs, carry, fresh, generator):
            happened.append(obs.clone())
            action = torch.tensor([0.1, 0.0, -1.0]).expand(len(obs), 3)
            foreseen.append(self.core.step(action).obs)
            return action[:, None], carry

    evaluate(Seer(), opened, "reach_right", episodes=4, horizon=3, twin=False)
    gaps = torch.stack([(f - h).abs()[:, :2].max() for f, h in zip(foreseen[:-1], happened[1:], strict=True)])
    assert gaps.min() > 1e-3
    assert gaps.max() < 0.5


def test_a_twins_planner_imagines_with_the_model_when_it_is_wrong(tmp_path):
    # The dream runs half as fast again: the planner's core must show the model's future, not the simulator's.
    opened = load(point_mass_checkpoint(tmp_path / "fast"))
    opened.model.gain.data *= 1.5
    moves = []

    class Seer(Shooting):
        def act(self, obs, carry, fresh, generator):
            action = torch.tensor([0.1, 0.0, -1.0]).expand(len(obs), 3)
            moves.append((self.core.step(action).obs - obs)[:, 0])
            return action[:, None], carry

    evaluate(Seer(), opened, "reach_right", episodes=3, horizon=4, dream=False, simulators=3)
    torch.testing.assert_close(torch.cat(moves), torch.full((len(moves) * 3,), 0.015), atol=1e-4, rtol=0)
