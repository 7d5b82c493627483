"""LIBERO's 130 tasks as a suite, with scripted operators that read a task's goal.

suite.py     `SUITE`
grasps.json  where things and handles are held, by kind: a reader's own go beside them
grasps.py    reads it
sight.py     what an operator looks at
skills.py    pick, place, push, slide, turn: each yields where the hand is to be
plans.py     from the facts of a goal to skills, in order
operators.py proficiencies, noise, and actions
"""

from dreamgym.suites.libero.suite import SUITE

__all__ = ["SUITE"]
