"""Settings of an evaluation that mean something to policies of one library alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from dreamgym.evaluation.policies.config import EvaluationConfig
from dreamgym.evaluation.policies.libraries.names import library_of

SETTINGS = {"map": "lerobot", "obs": "sb3", "vecnormalize": "sb3"}
"""Field of `EvaluationConfig` -> the library."""


def check_heeded(sources: Sequence[Any], config: EvaluationConfig) -> None:
    """Raises ValueError where a setting means nothing to any of the policies, nor to the executor."""
    libraries = _libraries([*sources, config.executor])
    for name, library in SETTINGS.items():
        if getattr(config, name) and library not in libraries:
            raise ValueError(f"{name} is of policies of {library} alone ({library}:PATH), and none is named")


def heeded(source: Any, config: EvaluationConfig) -> EvaluationConfig:
    """The settings without those that mean nothing to this policy and its executor."""
    libraries, blank = _libraries([source, config.executor]), EvaluationConfig()
    unheeded = [name for name, library in SETTINGS.items() if library not in libraries]
    return replace(config, **{name: getattr(blank, name) for name in unheeded})


def _libraries(sources: Sequence[Any]) -> set[str]:
    return {outside[0] for source in sources if (outside := library_of(source)) is not None}
