"""The action expert of DVG-WM (section 3.4): imagined clips to actions.

    clip store ──> `ActionExpert`, a diffusion policy on frames of several timestamps ──> `ClipExecutor`, which carries
                      instructions out in a twin; `Instructor` gives them

First alone, on recorded frames; then jointly with a world model, on the frames that it imagines: the loss of the
actions reaches whatever of the world model may be refined (equation 6). ``docs/dvg_wm.md`` goes through it.
"""

from dreamgym_agents.action_expert.config import ExpertConfig
from dreamgym_agents.action_expert.expert import ActionExpert
from dreamgym_agents.action_expert.policy import ClipExecutor, Instructor, instructor
from dreamgym_agents.action_expert.saving import load, load_expert, save
from dreamgym_agents.action_expert.training import train, train_jointly

__all__ = [
    "ActionExpert",
    "ExpertConfig",
    "ClipExecutor",
    "Instructor",
    "instructor",
    "train",
    "train_jointly",
    "save",
    "load",
    "load_expert",
]
