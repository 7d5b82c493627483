"""PushT as a suite.

suite.py     `SUITE`: measures, hints, operators
pusher.py    scripted pushes that plan, `Pusher`
habits.py    scripted pushes without plans, `HabitualPusher`
contacts.py  what both know of the T: its faces, how a push at each moves it, the way round it
"""

from dreamgym.suites.pusht.habits import Habits, HabitualPusher
from dreamgym.suites.pusht.pusher import Pusher, Style
from dreamgym.suites.pusht.suite import SUITE

__all__ = ["SUITE", "HabitualPusher", "Habits", "Pusher", "Style"]
