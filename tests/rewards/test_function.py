"""Rewards of the caller's own: what the function is given, what it may return, and that it stays out of checkpoints."""

from pathlib import Path

import pytest
import torch

from dreamgym.envs.core.core import DreamCore
from dreamgym.rewards import FunctionReward, NoReward
from dreamgym.testing import PointMassModel
from dreamgym.training import checkpoint

B = 3


@pytest.fixture
def model() -> PointMassModel:
    return PointMassModel().eval()


def frames(model: PointMassModel) -> dict[str, torch.Tensor]:
    rows = {
        k: torch.zeros(B, model.spec.history, *s.shape, dtype=torch.uint8 if s.kind == "image" else torch.float32)
        for k, s in model.spec.observations.items()
    }
    return rows | {"action": torch.zeros(B, model.spec.history - 1, 3)}


def advance(model, reward, action):
    state, task = model.start(frames(model)), torch.zeros(B, dtype=torch.long)
    memory = reward.start(model, state, task)
    after = model.imagine(state, action)
    return state, after, reward.step(model, memory, state, action, after, task)


def test_the_function_gets_what_is_decoded_before_and_after_and_the_action(model):
    seen = []

    def function(decoded, action, next_decoded):
        seen.append((decoded, action, next_decoded))
        return next_decoded["robot_obs"][:, 0] - decoded["robot_obs"][:, 0]

    action = torch.tensor([[1.0, 0, -1], [0.5, 0, -1], [0, 0, -1]])
    state, after, (reward, probability, _) = advance(model, FunctionReward(function), action)
    ((decoded, given, next_decoded),) = seen
    vectors = [k for k in model.spec.decodable if k not in model.spec.cameras]
    assert list(decoded) == list(next_decoded) == vectors
    for key in vectors:
        assert torch.equal(decoded[key], model.decode(state, [key])[key])
        assert torch.equal(next_decoded[key], model.decode(after, [key])[key])
    assert torch.equal(given, action)
    assert reward.tolist() == pytest.approx([0.1, 0.05, 0.0])
    assert probability.tolist() == [0, 0, 0]


def test_images_come_when_they_are_asked_for(model):
    (camera,) = model.spec.cameras
    reward = FunctionReward(lambda d, a, n: n[camera].mean((1, 2, 3)), keys=[camera])
    _, after, (paid, _, _) = advance(model, reward, torch.zeros(B, 3))
    assert torch.equal(paid, model.decode(after, [camera])[camera].mean((1, 2, 3)))


def test_success_is_what_the_function_says(model):
    reward = FunctionReward(lambda d, a, n: (a[:, 0], a[:, 0] > 0.2), tasks=("left", "right"))
    _, _, (paid, probability, _) = advance(model, reward, torch.tensor([[1.0, 0, 0], [0.1, 0, 0], [0.3, 0, 0]]))
    assert paid.tolist() == pytest.approx([1.0, 0.1, 0.3])
    assert reward.succeeded(probability, torch.tensor([0, 1, 1])).tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("function", "came"),
    [
        (lambda d, a, n: a, r"float32 \[3, 3\]"),
        (lambda d, a, n: 0.5, "float"),
        (lambda d, a, n: a[:, 0].numpy(), "ndarray"),
        (lambda d, a, n: (a[:, 0], a[:, 0]), r"float32 \[3\], torch.float32 \[3\]"),
        (lambda d, a, n: None, "NoneType"),
    ],
)
def test_a_function_that_returns_something_else_is_refused(model, function, came):
    with pytest.raises(ValueError, match=rf"reward function .* returns a tensor \[3\] .*; got .*{came}"):
        advance(model, FunctionReward(function), torch.zeros(B, 3))


def test_unknown_keys_and_models_without_vectors_are_named(model):
    with pytest.raises(ValueError, match="cannot decode"):
        advance(model, FunctionReward(lambda d, a, n: a[:, 0], keys=["height"]), torch.zeros(B, 3))
    blind = PointMassModel.from_config({**model.config.to_dict(), "vector": False}).eval()
    with pytest.raises(ValueError, match=r"decodes no vectors .*keys=\[...\]"):
        advance(blind, FunctionReward(lambda d, a, n: a[:, 0]), torch.zeros(B, 3))
    with pytest.raises(ValueError, match="a reward is a function"):
        FunctionReward("success")


def test_a_core_pays_it_and_nothing_succeeds_without_a_reward(model):
    for reward, expected in ((FunctionReward(lambda d, a, n: a[:, 1]), 0.5), (NoReward(), 0.0)):
        core = DreamCore(model, reward, None, num_envs=B, reward_mode="probability", horizon=5)
        core.reset(options={"history": frames(model)})
        step = core.step(torch.full((B, 3), 0.5))
        assert step.reward.tolist() == [expected] * B
        assert not step.terminated.any()
        assert not step.info["is_success"].any()


@pytest.mark.parametrize("reward", [NoReward(), FunctionReward(lambda d, a, n: a[:, 0])])
def test_a_checkpoint_refuses_it_with_the_mend(model, reward, tmp_path: Path):
    with pytest.raises(ValueError, match="is not saved in a checkpoint: .*where the environment is made"):
        checkpoint.save(tmp_path / "ck", model, {"own": reward})
