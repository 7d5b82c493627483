from lerobot.configs.policies import PreTrainedConfig
from lerobot.configs.types import FeatureType, PolicyFeature

__all__ = ["FeatureType", "PolicyFeature", "PreTrainedConfig"]
