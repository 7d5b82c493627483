"""A device that cannot be waited for, as far as a CPU can play one."""

from typing import Any

import pytest
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

WAITS = ("aten::_local_scalar_dense", "aten::nonzero", "aten::is_nonzero", "aten::equal")


class NoSync(TorchDispatchMode):
    """Raises where a device would have to be waited for: reading a value, or a shape that depends on values.

    Args:
        allowed: how often it may be waited for all the same.
    """

    def __init__(self, allowed: int = 0) -> None:
        super().__init__()
        self.left = allowed

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket._qualified_op_name
        if name in WAITS:
            assert self.left > 0, name
            self.left -= 1
        return func(*args, **(kwargs or {}))


def on_host(patch: pytest.MonkeyPatch, scheduler: type[Any]) -> None:
    """Lets a noise schedule of diffusers read its own times: they lie on the host, wherever the samples are."""
    step = scheduler.step  # type: ignore[attr-defined]

    def reading(self: Any, output: Any, time: Any, *args: Any, **kwargs: Any) -> Any:
        assert self.timesteps.device.type == "cpu"
        with _disable_current_modes():
            return step(self, output, time, *args, **kwargs)

    patch.setattr(scheduler, "step", reading)
