"""Packing loses what it says it loses, and nothing else."""

import pytest
import torch
from torch import nn

from dreamgym.training.packing import pack_bits, pack_weight, round_weights, unpack


def test_a_matrix_comes_back_within_half_a_step_of_its_row() -> None:
    value = torch.randn(96, 64, generator=torch.Generator().manual_seed(0)) * torch.logspace(-3, 2, 96).unsqueeze(1)
    packed = pack_weight("w", value, torch.int8)
    assert {k: v.dtype for k, v in packed.items()} == {"w::int8": torch.int8, "w::scale": torch.float32}
    step = value.abs().amax(1, keepdim=True) / 127
    assert ((unpack(packed)["w"] - value).abs() <= 0.501 * step).all()


def test_a_convolution_has_one_scale_for_each_output_channel() -> None:
    value = torch.randn(16, 32, 4, 4, generator=torch.Generator().manual_seed(0))
    packed = pack_weight("w", value, torch.int8)
    assert packed["w::scale"].shape == (16,)
    assert torch.allclose(unpack(packed)["w"], value, atol=0.02)


def test_rounding_twice_changes_nothing() -> None:
    module = nn.Linear(128, 64)
    round_weights(module, torch.int8)
    once = {k: v.clone() for k, v in module.state_dict().items()}
    round_weights(module, torch.int8)
    for name, value in module.state_dict().items():
        assert torch.allclose(value, once[name], rtol=1e-6, atol=0), name


@pytest.mark.parametrize("value", [torch.zeros(8, 1024), torch.full((8, 1024), 1e-42)])
def test_rows_of_nothing_stay_finite(value: torch.Tensor) -> None:
    assert torch.allclose(unpack(pack_weight("w", value, torch.int8))["w"], torch.zeros(8, 1024))


def test_small_ones_and_vectors_are_float16() -> None:
    assert pack_weight("b", torch.randn(5000), torch.int8)["b"].dtype == torch.float16
    assert pack_weight("w", torch.randn(8, 8), torch.int8)["w"].dtype == torch.float16


@pytest.mark.parametrize("width", [64, 77, 130])
def test_one_hot_columns_are_stored_as_bits_and_come_back_exactly(width: int) -> None:
    generator = torch.Generator().manual_seed(width)
    state = torch.cat(
        [torch.randn(20, 9, generator=generator), torch.randint(0, 2, (20, width), generator=generator)], 1
    )
    packed = pack_bits("state/latent", state.half())
    assert packed["state/latent::bits"].shape == (20, -(-width // 8))
    assert packed["state/latent::head"].shape == (20, 9)
    (name, value), *more = unpack(packed).items()
    assert (name, more) == ("state/latent", [])
    assert value.dtype == torch.float16
    assert torch.equal(value, state.half())


def test_what_is_not_binary_stays_as_it_is() -> None:
    value = torch.randn(20, 200)
    assert pack_bits("x", value).keys() == {"x"}


def test_a_missing_part_is_named() -> None:
    packed = pack_weight("w", torch.randn(96, 64), torch.int8)
    del packed["w::scale"]
    with pytest.raises(ValueError, match="'w::int8' stands without 'w::scale'"):
        unpack(packed)
