import math

import pytest
import torch

from dreamgym.nn.rotation import euler_from_6d, euler_to_6d


def matrix(roll: float, pitch: float, yaw: float) -> torch.Tensor:
    def about(axis: int, angle: float) -> torch.Tensor:
        i, j = [(1, 2), (2, 0), (0, 1)][axis]
        out = torch.eye(3, dtype=torch.float64)
        out[i, i] = out[j, j] = math.cos(angle)
        out[i, j], out[j, i] = -math.sin(angle), math.sin(angle)
        return out

    return about(2, yaw) @ about(1, pitch) @ about(0, roll)


def test_columns_are_those_of_the_rotation_matrix() -> None:
    angles = (0.3, -0.7, 2.1)
    columns = euler_to_6d(torch.tensor(angles, dtype=torch.float64))
    assert torch.allclose(columns.view(2, 3), matrix(*angles)[:, :2].T)


@pytest.mark.parametrize("roll", [-3.1, 0.0, 1.2, 3.1])
@pytest.mark.parametrize("pitch", [-1.5, 0.0, 1.5])
@pytest.mark.parametrize("yaw", [-3.1, 0.4, 3.1])
def test_angles_survive_the_round_trip(roll: float, pitch: float, yaw: float) -> None:
    angles = torch.tensor([roll, pitch, yaw], dtype=torch.float64)
    assert torch.allclose(euler_from_6d(euler_to_6d(angles)), angles, atol=1e-6)


def test_scaled_and_skewed_columns_give_the_nearest_rotation() -> None:
    angles = torch.tensor([0.5, 0.2, -1.0])
    columns = euler_to_6d(angles)
    skewed = torch.cat([2 * columns[:3], 3 * columns[3:] + 0.4 * columns[:3]])
    assert torch.allclose(euler_from_6d(skewed), angles, atol=1e-5)


def test_zero_output_gives_finite_angles_and_gradients() -> None:
    columns = torch.zeros(2, 6, requires_grad=True)
    angles = euler_from_6d(columns)
    assert torch.isfinite(angles).all()
    (gradient,) = torch.autograd.grad(angles.sum(), columns)
    assert torch.isfinite(gradient).all()


def test_many_rotations_are_turned_one_by_one() -> None:
    angles = torch.rand(4, 3, 3, generator=torch.Generator().manual_seed(0)) * 2 - 1
    columns = euler_to_6d(angles)
    assert torch.allclose(columns[2, 1], euler_to_6d(angles[2, 1]))
    assert torch.allclose(euler_from_6d(columns), angles, atol=1e-5)
    (gradient,) = torch.autograd.grad(euler_to_6d(angles.requires_grad_())[0].sum(), angles)
    assert gradient[0].any() and not gradient[1:].any()
