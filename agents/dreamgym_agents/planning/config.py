"""How a planner searches."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from dreamgym.fields import check_numbers

METHODS = ("shooting", "cem", "mppi")


@dataclass(frozen=True)
class PlannerConfig:
    """Configures a `Planner`.

    Attributes:
        method: "shooting" (uniform sequences, the best one), "cem" (the cross-entropy method: a Gaussian is fitted to
            the best sequences, again and again) or "mppi" (model-predictive path integral: sequences are averaged with
            weights that grow with their value).
        candidates: N, sequences a round, for each env.
        frames: H, imagined frames of a sequence.
        rounds: how often sequences are drawn and scored; "shooting" draws all of them in one.
        elites: sequences that "cem" fits its Gaussian to.
        spread: standard deviation of the first round, in units of half the action's range: one, or one for each entry
            of an action. Entries that the data hardly moved (a wrist's turn) had better be searched no further.
        least_spread: below which it does not fall.
        temperature: of "mppi"'s weights, in standard deviations of a round's values: small is greedy.
        hold: control actions for which a drawn action is held; None: a frame's worth, or where a frame is one action
            those of ``execute`` frames. Fewer decisions are easier to
            search, and neighbouring actions that agree move a robot further than independent ones.
        execute: frames that are carried out before the next plan; at most ``frames``, which carries out whole plans.
        penalty: what a frame's uncertainty costs, in values a unit of the model's uncertainty.
        cut: uncertainty above which a sequence is no longer believed: it keeps the values that it had until then, and
            its later frames count as the worst of its round. None: never; "auto": the checkpoint's calibrated limit.
    """

    method: Literal["shooting", "cem", "mppi"] = "cem"
    candidates: int = 64
    frames: int = 16
    rounds: int = 3
    elites: int = 8
    spread: float | tuple[float, ...] = 0.7
    least_spread: float = 0.05
    temperature: float = 0.3
    hold: int | None = None
    execute: int = 4
    penalty: float = 0.0
    cut: float | Literal["auto"] | None = None

    def __post_init__(self) -> None:
        if isinstance(self.spread, list):  # as JSON has it
            object.__setattr__(self, "spread", tuple(self.spread))
        check_numbers(self)
        if self.method not in METHODS:
            raise ValueError(f"method: expected one of {METHODS}, got {self.method!r}")
        for name in ("candidates", "frames", "rounds", "elites", "execute"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.execute > self.frames or self.elites > self.candidates:
            raise ValueError(
                f"execute <= frames and elites <= candidates, got {self.execute} of {self.frames} frames and "
                f"{self.elites} of {self.candidates} candidates"
            )
        if self.hold is not None and self.hold < 1:
            raise ValueError(f"hold must be at least 1 control action, or None, got {self.hold}")
        if min(*self.spreads, self.least_spread, self.temperature) <= 0 or self.penalty < 0:
            raise ValueError(
                "spread, least_spread and temperature must be positive and penalty at least 0, got "
                f"{self.spread}, {self.least_spread}, {self.temperature} and {self.penalty}"
            )

    @property
    def spreads(self) -> tuple[float, ...]:
        """One for all entries of an action, or one for each."""
        return self.spread if isinstance(self.spread, tuple) else (self.spread,)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return asdict(self)
