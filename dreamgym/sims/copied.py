"""Copies and pickles of simulators: made anew from their arguments, then put where the original stands.

Physics engines live in C, out of reach of `copy.deepcopy` and `pickle`, which would give an env in another state, or
none.
"""

from __future__ import annotations

from typing import Any

KEPT = ("spec", "_np_random", "_np_random_seed", "task", "horizon", "render_mode")


class Copied:
    """A `gymnasium.Env` with ``snapshot`` and ``restore`` that can be deep-copied and pickled.

    A copy goes on as the original would after ``restore(snapshot())``, draws of its next reset included.
    """

    _kept: tuple[str, ...] = ()
    """Further attributes that a snapshot does not hold: plain values."""
    _made_with: tuple[tuple[Any, ...], dict[str, Any]]

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """Notes the arguments."""
        made = super().__new__(cls)
        made._made_with = (args, kwargs)
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        """Class, arguments, attributes, and the snapshot where there is a state."""
        attributes = {name: getattr(self, name) for name in (*KEPT, *self._kept)}
        snapshot = self.snapshot() if self._stands() else None  # type: ignore[attr-defined]
        return _remade, (type(self), *self._made_with, attributes, snapshot, self._is_closed())

    def _stands(self) -> bool:
        """Whether there is a state to take a snapshot of."""
        raise NotImplementedError

    def _is_closed(self) -> bool:
        raise NotImplementedError


def _remade(
    cls: type, args: tuple[Any, ...], kwargs: dict[str, Any], attributes: dict[str, Any], snapshot: Any, closed: bool
) -> Any:
    made = cls(*args, **kwargs)
    if snapshot is not None:
        made.restore(snapshot)
    for name, value in attributes.items():
        setattr(made, name, value)
    if closed:
        made.close()
    return made
