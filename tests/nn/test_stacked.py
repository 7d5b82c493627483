import torch

from dreamgym.nn.stacked import StackedLinear


def test_all_layers_at_once_are_each_layer_by_itself():
    torch.manual_seed(0)
    layer, x = StackedLinear(3, 4, 5), torch.randn(3, 7, 4)
    together = layer.all(x)
    for i in range(3):
        assert torch.allclose(together[i], layer.one(x[i], i), atol=1e-6)
        assert torch.allclose(together[i], x[i] @ layer.weight[i] + layer.bias[i], atol=1e-6)
