"""PushT: a disc pushes a T onto its outline (gym-pusht), with snapshots, an adversary and scripted pushes."""

from dreamgym.sims.pusht.env import TASKS, PushTEnv, make_env
from dreamgym.sims.pusht.habits import Habits, HabitualPusher
from dreamgym.sims.pusht.pusher import Pusher, Style

__all__ = ["TASKS", "HabitualPusher", "Habits", "PushTEnv", "Pusher", "Style", "make_env"]
