"""robosuite's Lift and Can as a suite, and the table that several robots share as another.

suite.py          `SUITE`: Lift and Can
arms.py           `SUITE` of the shared table, "robosuite_arms"
arm_operators.py  its scripted operator
operators.py      scripted operators: of robomimic's three proficiencies, and a clumsy one
"""

from dreamgym.suites.robosuite.suite import SUITE

__all__ = ["SUITE"]
