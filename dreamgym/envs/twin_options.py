"""Which simulators a twin runs, and how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from dreamgym.actors import check_engine
from dreamgym.envs.core.options import CoreKwargs, CoreOptions
from dreamgym.types import Policy


class TwinKwargs(CoreKwargs, total=False):
    """`TwinOptions` and `CoreOptions` as keyword arguments of what makes twins, for type checkers and completion."""

    simulator: str | Mapping[str, Any] | None
    simulator_kwargs: Mapping[str, Any] | None
    trust_simulator: bool
    num_workers: int
    engine: str
    address: str | None
    executor: Policy | None
    starts: str


@dataclass(frozen=True)
class TwinOptions:
    """What a twin is asked for beside `CoreOptions`.

    Attributes:
        simulator: an id, or {"id", "kwargs"}; its kwargs prevail over those that the checkpoint records. None: the
            checkpoint's.
        simulator_kwargs: prevail over both (cameras, image_size, ...).
        trust_simulator: run a simulator that the checkpoint names though it is of no known suite, and with any option.
        num_workers: worker processes for the simulators; 0: this process, or of a cluster as many as simulators.
        engine: "local", or "ray": the simulators are actors of a Ray cluster (`RaySimulators`).
        address: of the cluster; None: one that Ray starts on this machine.
        executor: carries instructions out, for models that are driven by them (see `Policy.follow`).
        starts: "bank": from the checkpoint's start bank; "simulator": from the simulator's own resets.
    """

    simulator: str | Mapping[str, Any] | None = None
    simulator_kwargs: Mapping[str, Any] | None = None
    trust_simulator: bool = False
    num_workers: int = 0
    engine: str = "local"
    address: str | None = None
    executor: Policy | None = None
    starts: str = "bank"

    def __post_init__(self) -> None:
        if self.starts not in ("bank", "simulator"):
            raise ValueError(f"starts must be 'bank' or 'simulator', got {self.starts!r}")
        if not isinstance(self.num_workers, int) or self.num_workers < 0:
            raise ValueError(f"num_workers must be a whole number, 0 for this process, got {self.num_workers!r}")
        check_engine(self.engine, self.address)

    @classmethod
    def split(cls, given: Mapping[str, Any]) -> tuple[TwinOptions, dict[str, Any]]:
        """A twin's own options of those given, and the rest, which are fields of `CoreOptions`.

        Raises:
            ValueError: an option of neither.
        """
        own, core = ({f.name for f in fields(options)} for options in (cls, CoreOptions))
        if unknown := sorted(set(given) - own - core):
            raise ValueError(
                f"{unknown} are no options of a twin; what its simulator takes goes into simulator_kwargs="
                f"{ {k: v for k, v in given.items() if k in unknown} }"
            )
        rest = {name: value for name, value in given.items() if name not in own}
        return cls(**{name: value for name, value in given.items() if name in own}), rest
