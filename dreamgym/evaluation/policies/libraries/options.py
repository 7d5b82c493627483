"""What a policy of another library must be told of the world it acts in."""

from __future__ import annotations

import os
from dataclasses import dataclass

from dreamgym.envs.core.observation import OBS_MODES
from dreamgym.suites.base import Suite

TRUST = "pass --trust-policy (from Python trust_policy=True, or PolicyOptions(trust=True)) if you know where it is from"
"""The mend of a refusal: what loads the file runs code that is in it."""


@dataclass(frozen=True)
class PolicyOptions:
    """What a policy of another library must be told.

    Attributes:
        suite: of the simulator: what its cameras are called and how its tasks are said; None: of none that is known.
        map: "SENSOR=KEY" words: which of the world's sensors a LeRobot policy is shown under which of its keys, as
            "rgb_static=observation.images.top". Those that are not named go by name.
        obs: what an SB3 model is shown ("features", "state", "pixels" or "dict"); None: what its spaces say.
        vecnormalize: the file in which SB3's `VecNormalize` was saved; None: there was none.
        trust: load files that run code when they are loaded (pickles).
    """

    suite: Suite | None = None
    map: tuple[str, ...] = ()
    obs: str | None = None
    vecnormalize: str | os.PathLike[str] | None = None
    trust: bool = False

    def __post_init__(self) -> None:
        if self.obs is not None and self.obs not in OBS_MODES:
            raise ValueError(f"obs must be one of {OBS_MODES}, got {self.obs!r}")
        self.sensors()

    def sensors(self) -> dict[str, str]:
        """KEY -> SENSOR of ``map``.

        Raises:
            ValueError: a word of another form, or a key that is named twice.
        """
        out: dict[str, str] = {}
        for word in self.map:
            sensor, sign, key = word.partition("=")
            if not (sensor and sign and key):
                raise ValueError(f"--map takes SENSOR=KEY, as rgb_static=observation.images.top, got {word!r}")
            if key in out:
                raise ValueError(f"--map names {key!r} twice")
            out[key] = sensor
        return out
