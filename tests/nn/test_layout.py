import torch
from torch import nn

from dreamgym.nn.layout import lay_out_by_input


def test_weights_lie_by_input_and_keep_shape_and_values() -> None:
    layer = nn.Sequential(nn.Linear(3, 5), nn.LayerNorm(5))
    before = {k: v.clone() for k, v in layer.state_dict().items()}
    lay_out_by_input(layer)
    assert layer[0].weight.t().is_contiguous()
    after = layer.state_dict()
    assert all(torch.equal(after[k], v) for k, v in before.items())


def test_the_parameter_stays_the_one_that_an_optimizer_holds() -> None:
    layer = nn.Linear(3, 5)
    weight = layer.weight
    assert lay_out_by_input(layer).weight is weight


def test_loaded_weights_keep_the_layout() -> None:
    layer = lay_out_by_input(nn.Linear(3, 5))
    layer.load_state_dict(nn.Linear(3, 5).state_dict())
    assert layer.weight.t().is_contiguous()
