"""CALVIN's play-table simulator on plain Gymnasium, its 34 tasks, and PlayTable, which needs no assets."""

from dreamgym.sims.calvin.env import CalvinEnv
from dreamgym.sims.calvin.scenes import BLOCKS, ROBOT_LABELS, SCENE_LABELS, SCENES, Scene, Surface
from dreamgym.sims.calvin.tasks import SCENE_OBS_TASKS, TASKS, TaskState, achieved_tasks, scene_obs_success

__all__ = [
    "BLOCKS",
    "ROBOT_LABELS",
    "SCENES",
    "SCENE_LABELS",
    "SCENE_OBS_TASKS",
    "TASKS",
    "CalvinEnv",
    "Scene",
    "Surface",
    "TaskState",
    "achieved_tasks",
    "scene_obs_success",
]
