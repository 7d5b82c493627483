"""`EnvConfig`: what ``--env.type=NAME`` makes, with the features that a policy is built from."""

import abc
from dataclasses import dataclass, field

from lerobot.configs.types import PolicyFeature

KNOWN: dict[str, type] = {}


@dataclass
class EnvConfig(abc.ABC):
    task: str | None = None
    fps: int = 30
    features: dict[str, PolicyFeature] = field(default_factory=dict)
    features_map: dict[str, str] = field(default_factory=dict)
    max_parallel_tasks: int = 1
    disable_env_checker: bool = True

    @classmethod
    def register_subclass(cls, name):
        def register(found):
            KNOWN[name] = found
            return found

        return register

    @classmethod
    def get_choice_class(cls, name):
        return KNOWN[name]

    @property
    @abc.abstractmethod
    def gym_kwargs(self) -> dict:
        raise NotImplementedError()
