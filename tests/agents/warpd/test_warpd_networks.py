"""Sizes that the paper states, and policies that run in a batch."""

import pytest
import torch
from dreamgym_agents.warpd.encoder import TrajectoryEncoder
from dreamgym_agents.warpd.generated_policy import initial_weights, run, unflatten
from dreamgym_agents.warpd.hypernetwork import Hypernetwork
from dreamgym_agents.warpd.sizes import DECODERS, TRANSFORMERS, UNETS, DenoiserConfig, PolicyShape
from dreamgym_agents.warpd.transformer import DenoisingTransformer
from dreamgym_agents.warpd.unet import ConditionalUnet1D
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

METAWORLD = PolicyShape(39, 4, (256, 256))


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(("size", "millions", "exact"), [
    ("xs", 3.9, 3_945_460), ("s", 7.8, 7_818_860), ("m", 15.6, 15_580_660), ("l", 31.2, 31_164_260),
])  # fmt: skip
def test_decoders_have_the_sizes_of_table_8(size: str, millions: float, exact: int) -> None:
    with torch.device("meta"):
        parameters = count(Hypernetwork(256, DECODERS[size], METAWORLD))
    assert parameters == exact
    assert round(parameters / 1e6, 1) == millions


def test_the_policy_of_table_8_has_fewer_than_100_thousand_weights() -> None:
    assert METAWORLD.num_parameters == 77_060  # A.4: "< 100K parameters"


@pytest.mark.parametrize("size", UNETS)
def test_unets_are_built_as_table_6_says(size: str) -> None:
    embed, widths, kernel = UNETS[size]
    channels, condition = 4, 10
    with torch.device("meta"):
        net = ConditionalUnet1D(channels, condition, DenoiserConfig.unet(size))

    def residual(i: int, o: int) -> int:
        convolutions = (i * kernel + 1) * o + (o * kernel + 1) * o + 4 * o
        film = (embed + condition + 1) * 2 * o
        return convolutions + film + ((i + 1) * o if i != o else 0)

    pairs = list(zip([channels, *widths[:-1]], widths, strict=True))
    total = (embed + 1) * 4 * embed + (4 * embed + 1) * embed
    total += sum(residual(i, o) + residual(o, o) for i, o in pairs) + 2 * residual(widths[-1], widths[-1])
    total += sum(residual(2 * o, i) + residual(i, i) for i, o in pairs[1:])
    total += sum((3 * o + 1) * o for _, o in pairs[:-1]) + sum((4 * i + 1) * i for i, _ in pairs[1:])
    total += (widths[0] * kernel + 1) * widths[0] + 2 * widths[0] + (widths[0] + 1) * channels
    assert count(net) == total


@pytest.mark.parametrize("size", TRANSFORMERS)
def test_transformers_are_built_as_table_7_says(size: str) -> None:
    _, width, layers, heads = TRANSFORMERS[size]
    with torch.device("meta"):
        net = DenoisingTransformer(4, 16, 10, DenoiserConfig.transformer(size))
    assert len(net.layers.layers) == layers
    attention = net.layers.layers[0].self_attn
    assert (attention.embed_dim, attention.num_heads) == (width, heads)


@pytest.mark.parametrize("denoiser", [
    DenoiserConfig(step_embed=16, channels=(8, 16), kernel=3), DenoiserConfig("transformer", 16, (16,), 3, 2, 2),
])  # fmt: skip
def test_denoisers_keep_the_shape_and_hear_step_and_condition(denoiser: DenoiserConfig) -> None:
    torch.manual_seed(0)
    net: nn.Module = (
        ConditionalUnet1D(3, 5, denoiser) if denoiser.kind == "unet" else DenoisingTransformer(3, 8, 5, denoiser)
    )
    x, step, condition = torch.randn(2, 8, 3), torch.tensor([1, 1]), torch.randn(2, 5)
    out = net(x, step, condition)
    assert out.shape == x.shape
    assert not torch.allclose(net(x, step + 3, condition), out, atol=1e-4)
    assert not torch.allclose(net(x, step, condition + 1), out, atol=1e-4)


def test_a_unet_refuses_a_length_it_cannot_halve() -> None:
    net = ConditionalUnet1D(3, 5, DenoiserConfig(step_embed=16, channels=(8, 16), kernel=3))
    with pytest.raises(ValueError, match="multiple of 2"):
        net(torch.zeros(1, 7, 3), torch.zeros(1), torch.zeros(1, 5))


def test_the_encoder_is_three_layers_of_512_on_the_flat_trajectory() -> None:
    with torch.device("meta"):
        net = TrajectoryEncoder(500, 39, 4, (512, 512, 512), 256)
    assert [layer.weight.shape for layer in net.net if isinstance(layer, nn.Linear)] == [
        (512, 500 * 43), (512, 512), (512, 512), (512, 512),
    ]  # fmt: skip


def test_the_encoder_refuses_trajectories_of_another_length() -> None:
    with pytest.raises(ValueError, match="one length"):
        TrajectoryEncoder(5, 2, 1, (8,), 4)(torch.zeros(1, 6, 2), torch.zeros(1, 6, 1))


@pytest.mark.parametrize("activation", ["relu", "tanh", "silu"])
def test_a_batch_of_policies_acts_as_each_would_alone(activation: str) -> None:
    shape = PolicyShape(5, 3, (7, 6), activation)
    theta, obs = torch.randn(4, shape.num_parameters), torch.randn(4, 9, 5)
    functions = {"relu": nn.ReLU, "tanh": nn.Tanh, "silu": nn.SiLU}
    batched = run(theta, obs, shape)
    for i in range(4):
        net = nn.Sequential(nn.Linear(5, 7), functions[activation](), nn.Linear(7, 6), functions[activation](),
                            nn.Linear(6, 3))  # fmt: skip
        nn.utils.vector_to_parameters(theta[i], net.parameters())
        torch.testing.assert_close(batched[i], net(obs[i]), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(run(theta, obs[:, 0], shape), batched[:, 0], atol=1e-5, rtol=1e-4)


def test_a_batch_of_policies_agrees_with_functional_call() -> None:
    shape = PolicyShape(5, 3, (7,))
    theta, obs = torch.randn(4, shape.num_parameters), torch.randn(4, 9, 5)
    net = nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 3))
    (w0, b0), (w1, b1) = unflatten(theta, shape)
    each = {"0.weight": w0, "0.bias": b0, "2.weight": w1, "2.bias": b1}
    expected = torch.vmap(lambda p, x: torch.func.functional_call(net, p, (x,)))(each, obs)
    torch.testing.assert_close(run(theta, obs, shape), expected, atol=1e-5, rtol=1e-4)


def test_weights_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="got"):
        unflatten(torch.zeros(2, 5), PolicyShape(5, 3))


def test_fresh_decoders_generate_policies_that_pass_signals_on_and_differ() -> None:
    torch.manual_seed(0)
    shape = PolicyShape(20, 4, (64, 64))
    ordinary = run(initial_weights(shape).expand(32, -1), torch.randn(32, 50, 20), shape).std()
    actions = run(
        Hypernetwork(16, (50, 50), shape)(torch.randn(32, 16)), torch.randn(32, 1, 20).expand(-1, 50, -1), shape
    )
    assert 0.3 < actions.std() / ordinary < 3
    assert actions.std(0).mean() > 0.3 * ordinary


def test_a_policy_of_256_costs_two_flops_a_weight() -> None:
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        run(torch.zeros(1, METAWORLD.num_parameters), torch.zeros(1, 39), METAWORLD)
    assert counter.get_total_flops() == 2 * (39 * 256 + 256 * 256 + 256 * 4)
