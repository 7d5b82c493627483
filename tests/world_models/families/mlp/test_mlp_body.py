"""A body in the plane, seen from itself."""

import math

import pytest
import torch
from torch import Tensor

from dreamgym.testing import check_world_model
from dreamgym.types import ActionSpec
from dreamgym.world_models.families.mlp import MLPConfig, MLPWorldModel

ACTION = ActionSpec((0.0, 0.0), (512.0, 512.0))


def model(**changes: object) -> MLPWorldModel:
    torch.manual_seed(0)
    known = {"hidden": (16, 16), "still": (0, 1), "body": (2, 3, 4, 5), **changes}
    made = MLPWorldModel(MLPConfig.tiny(6, ACTION, **known))
    made.fit_statistics(states(400), 4.0 * torch.randn(400, 6) * torch.tensor([5.0, 5.0, 1.0, 1.0, 0.01, 0.01]))
    return made.eval()


def states(num: int, seed: int = 1) -> Tensor:
    draws = torch.Generator().manual_seed(seed)
    turn = 2 * math.pi * torch.rand(num, 1, generator=draws)
    return torch.cat([100 + 300 * torch.rand(num, 4, generator=draws), turn.cos(), turn.sin()], 1)


def moved(obs: Tensor, action: Tensor, angle: float = 0.7, by: tuple[float, float] = (30.0, -20.0)):
    """The same scene elsewhere and turned."""
    turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    shift, out = torch.tensor(by), obs.clone()
    for entries, offset in ((slice(0, 2), shift), (slice(2, 4), shift), (slice(4, 6), torch.zeros(2))):
        out[..., entries] = obs[..., entries] @ turn.T + offset
    return out, action @ turn.T + shift


def test_keeps_the_contract() -> None:
    check_world_model(model())


def test_what_is_seen_from_the_body_does_not_depend_on_where_it_lies() -> None:
    made = model()
    obs, action = states(20).unflatten(0, (10, 2)), 512 * torch.rand(10, 2, 2)
    here, there = (
        made.body.inputs(made.scaling, made.scaling.obs(o), made.scaling.action(a))
        for o, a in ((obs, action), moved(obs, action))
    )
    assert here.shape == (10, 12)
    torch.testing.assert_close(here, there, atol=1e-3, rtol=1e-3)
    other, _ = moved(obs, action, by=(60.0, 0.0))
    other[..., :2] = obs[..., :2]  # the robot stays while the body goes
    assert not torch.allclose(
        here, made.body.inputs(made.scaling, made.scaling.obs(other), made.scaling.action(action)), atol=0.1
    )


def test_a_predicted_change_turns_with_the_body_and_a_direction_keeps_its_length() -> None:
    made, obs = model(), states(8)
    output = torch.randn(8, 6)
    (there, _), before = moved(obs, torch.zeros(8, 2)), made.scaling.obs
    ends = [made.scaling.raw(before(o) + made.body.changes(made.scaling, output, before(o))) for o in (obs, there)]
    turned, _ = moved(ends[0], torch.zeros(8, 2))
    torch.testing.assert_close(ends[1][:, 2:], turned[:, 2:], atol=1e-2, rtol=1e-4)
    torch.testing.assert_close(ends[0][:, 4:].norm(dim=1), torch.ones(8), atol=1e-4, rtol=0)
    # The robot's own entries are as ever.
    torch.testing.assert_close(
        ends[0][:, :2] - obs[:, :2], output[:, :2] * made.scaling.delta_std[:2], atol=1e-2, rtol=0
    )


def test_no_output_is_no_change() -> None:
    made, obs = model(), states(8)
    still = made.body.changes(made.scaling, torch.zeros(3, 8, 6), made.scaling.obs(obs))
    assert still.shape == (3, 8, 6)
    assert still.abs().max() < 1e-4


def test_pushes_are_learned_from_fewer_places() -> None:
    """The body is pushed along the way from the robot to it, wherever it lies; half of the turns were never seen."""

    def scene(num: int, low: float, high: float, seed: int) -> dict[str, Tensor]:
        draws = torch.Generator().manual_seed(seed)
        turn = low + (high - low) * torch.rand(num, 1, generator=draws)
        ahead = torch.cat([turn.cos(), turn.sin()], 1)
        body = 150 + 200 * torch.rand(num, 2, generator=draws)
        first = torch.cat([body - 60 * ahead, body, ahead], 1)
        goal = body - 60 * ahead
        speed = 8 * torch.rand(num, 1, generator=draws)  # pushed ahead by what the robot is sent beyond its place
        second = first.clone()
        second[:, 2:4] += speed * ahead
        return {"state": torch.stack([first, second], 1), "action": torch.stack([goal + 5 * speed * ahead, goal], 1)}

    def error(**changes: object) -> float:
        torch.manual_seed(0)
        known = {"hidden": (32, 32), "still": (0, 1), "history": 1, "unroll": 1, "ensemble": 1, **changes}
        made = MLPWorldModel(MLPConfig.tiny(6, ACTION, **known))
        seen, unseen = scene(512, 0, math.pi, 0), scene(512, math.pi, 2 * math.pi, 1)
        made.fit_statistics(seen["state"].flatten(0, 1), seen["state"].diff(dim=1).flatten(0, 1))
        optimizer = torch.optim.Adam(made.parameters(), 1e-2)
        for _ in range(150):
            optimizer.zero_grad()
            made.loss(seen)["loss"].backward()
            optimizer.step()
        predicted = made.next_observation(unseen["state"][:, :1], unseen["action"][:, :1])
        return float((predicted - unseen["state"][:, 1])[:, 2:4].norm(dim=1).mean())

    assert error(body=(2, 3, 4, 5)) < 0.3 * error()


def test_a_body_needs_four_entries_and_a_robot_in_the_plane() -> None:
    for wrong in ({"body": (2, 3, 4)}, {"body": (2, 3, 4, 6)}, {"body": (2, 3, 4, 4)}, {"still": ()}):
        with pytest.raises(ValueError, match="body: expected four entries"):
            model(**wrong)
    assert MLPConfig.from_dict(model().config.to_dict()) == model().config
