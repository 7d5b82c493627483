"""PushT as a suite.

suite.py    `SUITE`
"""

from dreamgym.suites.pusht.suite import SUITE

__all__ = ["SUITE"]
