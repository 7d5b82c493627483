import torch
import torch.nn.functional as F

from dreamgym.nn.blocks import SequenceLinear


def test_sequence_linear_has_the_gradients_of_a_plain_one() -> None:
    torch.manual_seed(0)
    weight = torch.randn(5, 5, dtype=torch.float64, requires_grad=True)
    offset = torch.randn(4, 3, 5, dtype=torch.float64, requires_grad=True)
    start = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)

    def plain(t: int, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, weight) + offset[t]

    def unroll(step: object) -> torch.Tensor:
        x = start
        for t in range(4):
            x = torch.tanh(step(t, x))  # type: ignore[operator]
        return x

    fast, slow = unroll(SequenceLinear(weight, 4, 3, offset)), unroll(plain)
    assert torch.allclose(fast, slow)
    for a, b in zip(
        torch.autograd.grad(fast.sum(), (weight, offset, start)),
        torch.autograd.grad(slow.sum(), (weight, offset, start)),
        strict=True,
    ):
        assert torch.allclose(a, b)


def test_sequence_linear_without_gradients_is_a_product() -> None:
    weight, x = torch.randn(2, 3), torch.randn(4, 3)
    with torch.no_grad():
        assert torch.allclose(SequenceLinear(weight, 1, 4)(0, x), x @ weight.T)
