import pytest
import torch

from dreamgym.nn.vectors import VectorCodec

LAYOUT = (("linear", 2), ("euler", 3), ("binary", 1), ("sign", 1))


def raw(count: int = 64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    values = torch.rand(count, 7, generator=generator)
    values[:, 0] *= 10
    values[:, 1] = 0.3 + 0.001 * values[:, 1]
    values[:, 2:5] = 2 * values[:, 2:5] - 1
    values[:, 5] = (values[:, 5] > 0.5).float()
    values[:, 6] = torch.where(values[:, 6] > 0.5, 1.0, -1.0)
    return values


def test_layout_and_units_survive_the_round_trip() -> None:
    codec, values = VectorCodec(LAYOUT), raw()
    codec.fit_statistics(values)
    decoded = codec.decode(codec.encode(values))
    assert torch.allclose(decoded[:, :5], values[:, :5], atol=1e-4)
    assert torch.equal(decoded[:, 5] > 0.5, values[:, 5] > 0.5)
    assert torch.equal(decoded[:, 6] > 0, values[:, 6] > 0)


def test_continuous_entries_are_standardised() -> None:
    codec, values = VectorCodec(LAYOUT), raw(4096)
    codec.fit_statistics(values)
    encoded = codec.encode(values)
    assert encoded[:, 0].mean().abs() < 1e-3
    assert (encoded[:, 0].std() - 1).abs() < 1e-3


def test_entry_that_hardly_moves_is_scaled_by_the_floor() -> None:
    codec, values = VectorCodec(LAYOUT, floor=0.05), raw()
    codec.fit_statistics(values)
    assert codec.std[1] == pytest.approx(0.05)


def test_confident_light_decodes_to_its_probability() -> None:
    codec = VectorCodec((("binary", 2),))
    assert torch.allclose(codec.decode(torch.tensor([[0.0, 3.0]])), torch.tensor([[0.5, 0.9526]]), atol=1e-4)


def test_loss_is_least_at_the_truth() -> None:
    codec, values = VectorCodec((("linear", 3), ("euler", 3))), torch.rand(8, 6)
    codec.fit_statistics(values)
    truth = codec.encode(values)
    at_truth = codec.loss(truth, values, 0.1, 0.2, 1.0)
    beside = codec.loss(truth + 0.2, values, 0.1, 0.2, 1.0)
    assert torch.allclose(at_truth, torch.zeros(8), atol=1e-5)
    # Three entries two likelihood standard deviations off and six of a rotation one off: 0.5 * (3 * 2^2 + 6) nats.
    assert torch.allclose(beside, torch.full((8,), 9.0), rtol=1e-3)


def test_light_costs_its_weighted_cross_entropy() -> None:
    codec = VectorCodec((("binary", 1),))
    loss = codec.loss(torch.zeros(1, 1), torch.ones(1, 1), 0.1, 0.3, two_valued_weight=10.0)
    assert loss.item() == pytest.approx(6.931, abs=1e-3)


def test_statistics_travel_in_the_state_dict() -> None:
    codec, other = VectorCodec(LAYOUT), VectorCodec(LAYOUT)
    codec.fit_statistics(raw())
    other.load_state_dict(codec.state_dict())
    assert torch.equal(other.encode(raw()), codec.encode(raw()))


@pytest.mark.parametrize("layout", [(("angle", 1),), (("euler", 2),), (("linear", 0),)])
def test_bad_layout_is_refused(layout: tuple[tuple[str, int], ...]) -> None:
    with pytest.raises(ValueError, match="layout segment"):
        VectorCodec(layout)


def test_vector_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="a vector of 5 entries"):
        VectorCodec(LAYOUT).encode(torch.zeros(1, 5))
