"""Policies that other libraries have saved, as policies of this one.

options.py   what such a policy must be told: `PolicyOptions`
lerobot.py   "lerobot:FOLDER" and "lerobot:organisation/name": policies of LeRobot
sb3.py       "sb3:FILE.zip" and "sb3:CLASS:FILE.zip": models of Stable-Baselines3 and sb3-contrib
names.py     which library a name is of, and what its files are
settings.py  settings of an evaluation that are of one library alone

The libraries are imported when one of their policies is loaded.
"""

from dreamgym.evaluation.policies.libraries.names import called, fingerprint, library_of
from dreamgym.evaluation.policies.libraries.options import PolicyOptions

__all__ = ["PolicyOptions", "called", "fingerprint", "library_of"]
