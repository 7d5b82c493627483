import json

import pytest
import torch
from torch import Tensor

from dreamgym.testing import check_world_model
from dreamgym.types import ActionSpec
from dreamgym.world_models.families.mlp import MLPConfig, MLPWorldModel

ACTION = ActionSpec(low=(0.0, -1.0), high=(10.0, 1.0))


def model(seed: int = 0, **changes: object) -> MLPWorldModel:
    torch.manual_seed(seed)
    made = MLPWorldModel(MLPConfig.tiny(3, ACTION, **{"hidden": (16, 16), **changes}))
    draws = torch.Generator().manual_seed(1)
    obs = torch.randn(500, 3, generator=draws) * torch.tensor([1.0, 100.0, 0.01]) + torch.tensor([0.0, 300.0, 5.0])
    made.fit_statistics(obs, 0.1 * (obs - obs.mean(0)))
    return made.eval()


def windows(steps: int = 9, batch: int = 4) -> dict[str, Tensor]:
    """A world that can be learned: every entry moves by a share of the first action."""
    draws = torch.Generator().manual_seed(2)
    action = torch.rand(batch, steps, 2, generator=draws) * torch.tensor([10.0, 2.0]) - torch.tensor([0.0, 1.0])
    scale = torch.tensor([0.1, 10.0, 0.001])
    start = torch.tensor([0.0, 300.0, 5.0]) + torch.randn(batch, 1, 3, generator=draws) * scale
    moves = (action[..., :1] / 5 - 1) * scale
    obs = start + torch.cat([torch.zeros_like(start), moves.cumsum(1)[:, :-1]], 1)
    return {"state": obs, "action": action}


@pytest.mark.parametrize("changes", [{}, {"history": 1}, {"ensemble": 1}, {"history": 3}])
def test_keeps_the_contract(changes: dict[str, int]) -> None:
    check_world_model(model(**changes))


def test_paper_is_one_model_of_two_layers_of_1024_units() -> None:
    config = MLPConfig.paper(39, ActionSpec(low=(-1.0,) * 4, high=(1.0,) * 4))
    made = MLPWorldModel(config)
    shapes = [tuple(layer.weight.shape) for layer in made.ensemble.layers]
    assert shapes == [(1, 2 * 43, 1024), (1, 1024, 1024), (1, 1024, 39)]


def test_next_observation_is_what_imagine_decodes() -> None:
    world, data = model(), windows()
    history = {"state": data["state"][:, :2], "action": data["action"][:, :1]}
    dreamt = world.imagine(world.start(history), data["action"][:, 1])
    mean = world.next_observation(data["state"][:, :2], data["action"][:, :2])
    assert torch.allclose(world.decode(dreamt, ["state"])["state"], mean, rtol=1e-4, atol=1e-4)


def test_next_observation_takes_any_leading_dimensions() -> None:
    world, data = model(), windows()
    obs, action = data["state"][:, :2], data["action"][:, :2]
    mean = world.next_observation(obs, action)
    both = world.next_observation(obs.unflatten(0, (2, 2)), action.unflatten(0, (2, 2)))
    assert torch.allclose(both.flatten(0, 1), mean)
    assert torch.allclose(world.next_observation(obs[0], action[0]), mean[0], rtol=1e-5, atol=1e-5)


def test_next_observation_is_differentiable_in_the_action() -> None:
    world, data = model(), windows()
    action = data["action"][:, :2].requires_grad_()
    world.next_observation(data["state"][:, :2], action).sum().backward()
    assert action.grad is not None
    assert bool((action.grad[:, -1].abs() > 0).all())


def test_next_observation_refuses_another_history() -> None:
    world, data = model(), windows()
    with pytest.raises(ValueError, match=r"\[\.\.\., 2, 3\]"):
        world.next_observation(data["state"][:, :3], data["action"][:, :3])


def test_kl_is_half_the_squared_distance_in_standard_deviations() -> None:
    world = model(std=2.0)
    mean = torch.zeros(5, 3)
    assert torch.allclose(world.kl(mean, mean + 2 * world.std), torch.full((5,), 3 * 0.5 * 4.0))


def test_std_is_in_units_of_the_change() -> None:
    world = model(std=0.5)
    assert torch.allclose(world.std, 0.5 * world.scaling.delta_std)
    assert world.std[1] > 50 * world.std[0]


def test_constant_entries_do_not_blow_up() -> None:
    world = model()
    obs = torch.cat([torch.randn(100, 2), torch.full((100, 1), 7.0)], 1)
    world.fit_statistics(obs, torch.zeros(100, 3))
    assert torch.equal(world.scaling.obs(torch.tensor([0.0, 0.0, 7.5]))[2], torch.tensor(0.5))


def test_imagination_stays_near_the_data() -> None:
    world = model()
    state = world.start({"state": windows()["state"][:, :2], "action": torch.full((4, 1, 2), 5.0)})
    for layer in world.ensemble.layers:
        layer.bias.data.add_(5.0)
    for _ in range(60):
        state = world.imagine(state, torch.full((4, 2), 5.0))
    assert bool((state["obs"] <= world.scaling.high).all())
    assert torch.allclose(state["obs"][:, -1, 0], world.scaling.high[0])


def test_observe_sees_only_the_last_frames() -> None:
    world, data = model(), windows()
    first = world.start({"state": data["state"][:, :2], "action": data["action"][:, :1]})
    seen = first
    for t in range(1, 5):
        seen = world.observe(seen, data["action"][:, t : t + 1], {"state": data["state"][:, t + 1]})
    fresh = world.start({"state": data["state"][:, 4:6], "action": data["action"][:, 4:5]})
    assert torch.allclose(seen["obs"], fresh["obs"])
    assert torch.allclose(seen["action"], fresh["action"])


def test_identical_members_do_not_disagree_and_different_ones_do() -> None:
    world, data = model(), windows()
    state = world.start({"state": data["state"][:, :2], "action": data["action"][:, :1]})
    assert bool((world.uncertainty(world.imagine(state, data["action"][:, 1])) > 1e-3).all())
    for layer in world.ensemble.layers:
        layer.weight.data.copy_(layer.weight[:1].expand_as(layer.weight))
        layer.bias.data.copy_(layer.bias[:1].expand_as(layer.bias))
    assert torch.allclose(world.uncertainty(world.imagine(state, data["action"][:, 1])), torch.zeros(4), atol=1e-5)


@pytest.mark.parametrize("changes", [{"unroll": 1}, {"unroll": 4}, {"history": 1}])
def test_loss_falls_on_a_world_that_can_be_learned(changes: dict[str, int]) -> None:
    world, data = model(**changes), windows(batch=32)
    deltas = data["state"].diff(dim=1).flatten(0, 1)
    world.fit_statistics(data["state"].flatten(0, 1), deltas)
    optimizer = torch.optim.Adam(world.parameters(), 1e-2)
    for _ in range(150):
        optimizer.zero_grad()
        losses = world.loss(data)
        losses["loss"].backward()
        optimizer.step()
    assert float(losses["unexplained"]) < 0.1


def test_loss_counts_the_steps_of_the_unroll() -> None:
    data = windows()
    one, four = model(unroll=1).loss(data), model(unroll=4).loss(data)
    assert torch.equal(one["one_step"], one["last_step"])
    assert float(four["last_step"]) > float(four["one_step"])


def test_first_frame_of_a_window_is_predicted_from_a_padded_history() -> None:
    world = model(unroll=1, ensemble=1)
    data = {k: v[:, :2] for k, v in windows().items()}
    hold = torch.tensor(ACTION.hold).expand(4, 1, 2)
    mean = world.next_observation(data["state"][:, :1].expand(-1, 2, -1), torch.cat([hold, data["action"][:, :1]], 1))
    nats = world.kl(mean, data["state"][:, 1]).mean()
    assert torch.allclose(world.loss(data)["loss"], nats, rtol=0.02)


def marked(data: dict[str, Tensor], *first: int) -> dict[str, Tensor]:
    at = torch.zeros(data["action"].shape[:2], dtype=torch.bool)
    at[:, list(first)] = True
    return {**data, "is_first": at}


def cut(data: dict[str, Tensor], first: int, last: int) -> dict[str, Tensor]:
    return {k: v[:, first:last] for k, v in data.items()}


@pytest.mark.parametrize("history", [1, 2, 3])
def test_no_prediction_crosses_into_a_first_frame(history: int) -> None:
    world, data = model(history=history, unroll=1), cut(windows(), 0, 6)
    found, whole = world.loss(marked(data, 0, 5)), world.loss(cut(data, 0, 5))
    torch.testing.assert_close(found, whole)
    assert not torch.allclose(world.loss(data)["loss"], whole["loss"])


def test_no_step_of_an_unroll_crosses_into_a_first_frame() -> None:
    world, data = model(unroll=3), windows()
    data["state"][:, 5:] += 1e4  # a leap that no prediction could make
    parts = [world.loss(cut(data, *of))["one_step"] for of in ((0, 5), (5, 9))]
    assert world.loss(data)["loss"] > 1e3 * max(parts)
    assert world.loss(marked(data, 0, 5))["one_step"] < 2 * max(parts)


@pytest.mark.parametrize("unroll", [1, 2])
def test_no_prediction_reads_what_lies_before_a_window_in_an_episodes_midst(unroll: int) -> None:
    world, data = model(history=3, unroll=unroll), windows()
    torch.testing.assert_close(world.loss(data), world.loss(marked(data, 0)))  # without marks it is an episode
    obs = data["state"].clone().requires_grad_()
    world.loss({**marked(data), "state": obs})["loss"].backward()
    assert obs.grad is not None and obs.grad[:, 0].any()  # the first frame is read as a history's oldest, no more
    begins = range(9 - unroll - 2)
    seen, acted = (torch.stack([data[k][:, i : i + 3] for i in begins], 1) for k in ("state", "action"))
    alone = model(history=3, unroll=unroll, ensemble=1)
    nats = alone.kl(alone.next_observation(seen, acted), data["state"][:, 3 : 3 + len(begins)]).mean()
    assert torch.allclose(alone.loss(marked(data))["one_step"], nats, rtol=1e-3)


def test_a_gripper_is_learned_as_it_is_executed_and_held_before_an_episode() -> None:
    arm = ActionSpec((-1.0, -1.0), (1.0, 1.0), binary=(1,))
    world = MLPWorldModel(MLPConfig.tiny(3, arm, hidden=(16,), history=2, ensemble=1, unroll=1)).eval()
    data = windows()
    half, full = (data["action"].clamp(-1, 1) for _ in range(2))
    half[..., 1], full[..., 1] = 0.3, 1.0
    torch.testing.assert_close(world.loss({**data, "action": half}), world.loss({**data, "action": full}))
    hold = torch.tensor([0.0, 1.0]).expand(4, 1, 2)
    history = data["state"][:, :1].expand(-1, 2, -1)
    nats = world.kl(world.next_observation(history, torch.cat([hold, full[:, :1]], 1)), data["state"][:, 1]).mean()
    assert torch.allclose(world.loss(cut({**data, "action": full}, 0, 2))["loss"], nats, rtol=1e-3)


def test_a_robot_that_goes_to_positions_stood_still_before_an_episode() -> None:
    world, data = model(unroll=1, ensemble=1, still=(0, 2)), cut(windows(), 0, 2)
    first = data["state"][:, :1]
    stood = torch.cat([first[..., [0, 2]], data["action"][:, :1]], 1)
    mean = world.next_observation(first.expand(-1, 2, -1), stood)
    assert torch.allclose(world.loss(data)["loss"], world.kl(mean, data["state"][:, 1]).mean(), rtol=0.02)
    # So do resets, whatever action pads them; a frame that was led away from keeps the action that did.
    padded = world.start({"state": first.expand(-1, 2, -1), "action": torch.zeros(4, 1, 2)})
    torch.testing.assert_close(world.decode(world.imagine(padded, data["action"][:, :1]), ["state"])["state"], mean)
    # As where a bank's state is filtered, the repeated frame observed after the first.
    alone = {"state": first.expand(-1, 2, -1), "action": torch.ones(4, 1, 2)}
    seen = world.observe(world.start(alone), torch.zeros(4, 1, 2), {"state": first[:, 0]})
    torch.testing.assert_close(seen["action"], padded["action"])
    # As where a bank's state is filtered, the repeated frame observed after the first.
    alone = {"state": first.expand(-1, 2, -1), "action": torch.ones(4, 1, 2)}
    seen = world.observe(world.start(alone), torch.zeros(4, 1, 2), {"state": first[:, 0]})
    torch.testing.assert_close(seen["action"], padded["action"])
    moved = {"state": data["state"], "action": data["action"][:, :1]}
    torch.testing.assert_close(world.start(moved)["action"], model().start(moved)["action"])


def test_entries_that_keep_still_are_one_for_each_of_the_action() -> None:
    with pytest.raises(ValueError, match="still: expected an entry of the observation, 0 to 2, .* action's 2, got"):
        MLPConfig.tiny(3, ACTION, still=(0,))
    with pytest.raises(ValueError, match=r"got \(0, 3\)"):
        MLPConfig.tiny(3, ACTION, still=(0, 3))


def test_short_windows_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 5"):
        model(unroll=4).loss({k: v[:, :4] for k, v in windows().items()})


def test_config_survives_json() -> None:
    import json

    config = MLPConfig.tiny(3, ACTION, history=3, still=(0, 1))
    assert MLPConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_unknown_field_is_named() -> None:
    with pytest.raises(ValueError, match="no field.*hiden"):
        MLPConfig.from_dict({"obs_dim": 3, "action": ACTION, "hiden": (3,)})


def test_sizes_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="history must be at least 1"):
        MLPConfig.tiny(3, ACTION, history=0)


def test_several_sensors_are_one_observation():
    action = ActionSpec((-1.0,) * 2, (1.0,) * 2)
    one = MLPWorldModel(MLPConfig.tiny(5, action))
    several = MLPWorldModel(MLPConfig.tiny(5, action, joined=(("robot", 2), ("scene", 3))))
    several.load_state_dict(one.state_dict())
    generator = torch.Generator().manual_seed(0)
    obs, taken = torch.randn(4, 2, 5, generator=generator), torch.rand(4, 1, 2, generator=generator)
    robot, scene = obs.split([2, 3], -1)
    states = [
        one.start({"state": obs, "action": taken}),
        several.start({"robot": robot, "scene": scene, "action": taken}),
    ]
    states = [model.imagine(state, taken[:, 0]) for model, state in zip((one, several), states, strict=True)]
    states = [
        one.observe(states[0], taken[:, 0], {"state": obs[:, 0]}),
        several.observe(states[1], taken[:, 0], {"robot": robot[:, 0], "scene": scene[:, 0]}),
    ]
    assert torch.equal(one.features(states[0]), several.features(states[1]))
    decoded = several.decode(states[1], ["scene", "robot"])
    assert torch.equal(torch.cat([decoded["robot"], decoded["scene"]], -1), one.decode(states[0], ["state"])["state"])
    batch = {"action": torch.rand(3, 8, 2), "state": torch.randn(3, 8, 5)}
    parts = dict(zip(("robot", "scene"), batch["state"].split([2, 3], -1), strict=True))
    torch.testing.assert_close(one.loss(batch)["loss"], several.loss({"action": batch["action"], **parts})["loss"])
    assert MLPConfig.from_dict(json.loads(json.dumps(several.config.to_dict()))) == several.config
    with pytest.raises(ValueError, match=r"'scene' as \[B, 2, 3\]"):
        several.start({"robot": robot, "scene": scene[..., :2], "action": taken})


@pytest.mark.parametrize("joined", [(("robot", 2),), (("robot", 5), ("robot", 0)), (("robot", 2), ("robot", 3))])
def test_sensors_that_do_not_make_the_observation_are_refused(joined):
    with pytest.raises(ValueError, match="joined: expected several sensors"):
        MLPConfig.tiny(5, ActionSpec((-1.0,) * 2, (1.0,) * 2), joined=joined)
