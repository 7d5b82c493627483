"""How weights lie in memory: what a product of few rows by a large weight costs on a CPU."""

from __future__ import annotations

from typing import TypeVar

from torch import nn

ModuleT = TypeVar("ModuleT", bound=nn.Module)


def lay_out_by_input(module: ModuleT) -> ModuleT:
    """Lets the weight of every linear layer lie in memory as [in, out], in place; shapes and values stay.

    ``nn.Linear`` keeps [out, in], which a CPU's matrix product has to turn at every call. For 16 to 64 rows, a batch
    of dreams, turning costs a seventh to a third of the product; for 1,024 rows next to nothing. On other devices
    nothing is done.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Linear) and layer.weight.device.type == "cpu" and layer.weight.is_contiguous():
            layer.weight.data = layer.weight.data.t().contiguous().t()
    return module
