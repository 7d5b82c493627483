"""RSSM configs with the sensors and the action of CALVIN, as the recipe makes them from a store."""

from dreamgym.suites import suite
from dreamgym.world_models.families.rssm import RSSMConfig

SUITE = suite("calvin")
SCENE_OBS = SUITE.layouts["scene_obs"]
SENSORS = {
    "images": {"rgb_static": (3, 64, 64), "rgb_gripper": (3, 64, 64)},
    "vectors": dict(SUITE.layouts),
    "proprioception": ("robot_obs",),
    "action": SUITE.action,
}


def tiny(**changes: object) -> RSSMConfig:
    return RSSMConfig.tiny(**{**SENSORS, **changes})


def paper(**changes: object) -> RSSMConfig:
    return RSSMConfig.paper(**{**SENSORS, **changes})
