"""robosuite's Lift and Can as a suite.

suite.py      `SUITE`
operators.py  scripted operators: of robomimic's three proficiencies, and a clumsy one
"""

from dreamgym.suites.robosuite.suite import SUITE

__all__ = ["SUITE"]
