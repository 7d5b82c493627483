import pytest
import torch
from torch import nn

from dreamgym.training.ema import EMA


def layer(value: float) -> nn.Linear:
    out = nn.Linear(2, 1, bias=False)
    nn.init.constant_(out.weight, value)
    return out


def test_average_follows_the_formula() -> None:
    model = layer(0.0)
    ema = EMA(model, 0.5)
    nn.init.constant_(model.weight, 1.0)
    ema.update(model)  # warmed-up decay: min(0.5, 1/10) = 0.1
    nn.init.constant_(model.weight, 2.0)
    ema.update(model)  # min(0.5, 2/11)
    expected = 0.9 * 1.0 * (2 / 11) + 2.0 * (9 / 11)
    assert torch.allclose(ema.state_dict()["weight"], torch.full((1, 2), expected))


def test_decay_reaches_what_was_asked() -> None:
    model = layer(1.0)
    ema = EMA(model, 0.5)
    for _ in range(50):
        ema.update(model)
    nn.init.constant_(model.weight, 0.0)
    ema.update(model)
    assert torch.allclose(ema.state_dict()["weight"], torch.full((1, 2), 0.5))


def test_applied_lends_the_average_and_gives_the_weights_back() -> None:
    model = layer(1.0)
    ema = EMA(model, 0.9)
    nn.init.constant_(model.weight, 5.0)
    with pytest.raises(RuntimeError, match="inside"), ema.applied(model):
        assert torch.equal(model.weight, torch.ones(1, 2))
        raise RuntimeError("inside")
    assert torch.equal(model.weight, torch.full((1, 2), 5.0))
    assert torch.equal(ema.state_dict()["weight"], torch.ones(1, 2))


def test_state_survives_the_round_trip() -> None:
    model = layer(1.0)
    ema, other = EMA(model, 0.9), EMA(layer(7.0), 0.9)
    other.load_state_dict(ema.state_dict(), updates=3)
    assert torch.equal(other.state_dict()["weight"], torch.ones(1, 2))
    assert other.updates == 3


def test_average_of_another_model_is_refused() -> None:
    with pytest.raises(ValueError, match="another model"):
        EMA(layer(0.0), 0.9).load_state_dict({"bias": torch.zeros(1)}, updates=0)


def test_decay_outside_its_range_is_refused() -> None:
    with pytest.raises(ValueError, match="decay"):
        EMA(layer(0.0), 1.0)
