"""Suites: everything that is known of a benchmark, once.

Simulators by robot, actions, tasks and when they can start, sensor layouts, measures with their units, horizon,
scripted operators. A suite is one file or folder and one line of the registry; no other room has an index, a bound or a
task's name of one.

base.py        `Suite`, `Measure`: what a suite states
registry.py    suites by name: `suite`, `register_suite`
facts.py       what a store says of itself: `store_facts`
collection.py  collecting episodes of a suite: `collect_suite`
scripted.py    episodes of scripted operators, for suites that bring some
trials.py      attempts at single tasks from snapshots: `open_trials`
gymnasium.py   any Gymnasium environment as a suite: `gym_suite`
calvin/, metaworld.py, pusht/, robosuite/
"""

from dreamgym.suites.base import Measure, Suite
from dreamgym.suites.facts import StoreFacts, store_facts
from dreamgym.suites.gymnasium import gym_suite
from dreamgym.suites.registry import register_suite, suite, suites

__all__ = ["Measure", "StoreFacts", "Suite", "gym_suite", "register_suite", "store_facts", "suite", "suites"]
