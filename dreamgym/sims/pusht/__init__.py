"""PushT: a disc pushes a T onto its outline (gym-pusht), with snapshots, an adversary and scripted pushes."""

from dreamgym.sims.pusht.env import TASKS, PushTEnv, make_env
from dreamgym.sims.pusht.pusher import Pusher

__all__ = ["TASKS", "PushTEnv", "Pusher", "make_env"]
