"""How a policy is evaluated."""

from __future__ import annotations

from dataclasses import dataclass, replace

from dreamgym.actors import check_engine
from dreamgym.fields import check_numbers


@dataclass(frozen=True)
class EvaluationConfig:
    """How a policy is evaluated.

    Attributes:
        episodes: paired episodes: so many in the twin, and as many in the dream from the same starts.
        imagined: episodes in the dream in all; more than ``episodes`` sharpen the estimate of real success.
        seed: of the starts and of every draw.
        split: which starts: "test" (reported figures), "val" (choices: thresholds, checkpoints), "train", None (all),
            or "auto": "test" where the bank has test starts of every task, else "val". The result says which.
        horizon: control steps of an episode; None: those of the suite, in dream and twin alike.
        dream, twin: which of the two worlds.
        simulators: how many at a time. Noise is keyed by episode for a given number: another number is another
            evaluation wherever model or policy draw.
        num_workers: processes for them; 0: this process, or of a cluster as many as simulators.
        engine: "local", or "ray": the simulators run on a Ray cluster. The results are the same.
        address: of the cluster; None: one that Ray starts on this machine.
        reward_model: which of the checkpoint's; None: its default.
        embodiment: the robot, of models that know several; None: the model's own.
        executor: the policy, by name, that carries instructions out in the twin of a model that is driven by them.
        trust_simulator: run a simulator that the checkpoint names though it is of no known suite.
        map: "SENSOR=KEY", which sensors a LeRobot policy is shown under which of its keys, where names do not tell.
        obs: what an SB3 model is shown ("features", "state", "pixels", "dict"), where its spaces do not tell.
        vecnormalize: the file of the `VecNormalize` that an SB3 model learned in.
        trust_policy: load a policy's file though loading it runs code that is in it (a pickle).
        record: episode store to which the twin's episodes are appended; None: none.
        clips: columns of a clip of successes, and of one of disagreements; 0: no clips.
    """

    episodes: int = 100
    imagined: int | None = None
    seed: int = 0
    split: str | None = "auto"
    horizon: int | None = None
    dream: bool = True
    twin: bool = True
    simulators: int = 4
    num_workers: int = 0
    engine: str = "local"
    address: str | None = None
    reward_model: str | None = None
    embodiment: str | None = None
    executor: str | None = None
    trust_simulator: bool = False
    map: tuple[str, ...] = ()
    obs: str | None = None
    vecnormalize: str | None = None
    trust_policy: bool = False
    record: str | None = None
    clips: int = 0

    def __post_init__(self) -> None:
        check_numbers(self)
        object.__setattr__(self, "map", tuple(self.map))
        for name in ("vecnormalize", "record"):  # paths, as JSON has them
            if getattr(self, name) is not None:
                object.__setattr__(self, name, str(getattr(self, name)))
        if self.episodes < 1 or self.simulators < 1 or self.clips < 0:
            raise ValueError(f"episodes and simulators must be at least 1 and clips at least 0, got {self}")
        if self.horizon is not None and self.horizon < 1:
            raise ValueError(f"horizon must be at least 1, got {self.horizon}")
        if self.imagined is not None and self.imagined < self.episodes:
            raise ValueError(
                f"imagined={self.imagined} episodes in the dream, but {self.episodes} in the twin: each episode in the "
                "twin needs an imagined one from the same start"
            )
        if self.record is not None and not self.twin:
            raise ValueError("episodes are recorded in the twin, and this evaluation has none: leave record out")
        if not (self.dream or self.twin):
            raise ValueError("neither dream nor twin: there is nothing to evaluate in")
        check_engine(self.engine, self.address)

    def asks_no_more_than(self, other: EvaluationConfig) -> bool:
        """Whether an evaluation by ``other`` is one by this too, both settled (see `Setup`).

        Clips that nobody asks for do no harm; where the simulators run and trust change nothing. What is to be recorded
        is not there yet.
        """
        if self.record is not None:
            return False
        free = ("num_workers", "engine", "address", "trust_simulator", "trust_policy")
        own = replace(other, record=None, **{name: getattr(self, name) for name in free})
        return self == (own if self.clips else replace(own, clips=0))
