from dataclasses import dataclass
from enum import Enum


class FeatureType(str, Enum):  # noqa: UP042  as lerobot writes it
    STATE = "STATE"
    VISUAL = "VISUAL"
    ENV = "ENV"
    ACTION = "ACTION"


@dataclass
class PolicyFeature:
    type: FeatureType
    shape: tuple[int, ...]
