"""CALVIN's tables and PlayTable: the suite, and play, demonstrations and attempts with scripted skills.

suite.py           `SUITE`: action, layouts, measures
tasks.py           the eight tasks as rules on scene_obs
skills.py          scripted skills by name (skills_*.py: waypoints, engine, geometry of the scenes)
play.py            long, reset-free, task-agnostic play
demonstrations.py  experts and failures at single tasks, with marked success
attempts.py        clumsy attempts: near misses and second tries, with marked success
"""

from dreamgym.suites.calvin.suite import SUITE

__all__ = ["SUITE"]
