"""A device that cannot be waited for, as far as a CPU can play one."""

from torch.utils._python_dispatch import TorchDispatchMode

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
