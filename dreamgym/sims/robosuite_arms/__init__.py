"""Several robots at one table of robosuite: each lifts an object and puts it down elsewhere, in actions of its own.

embodiments.py  the robots by name: arm, hand, controller, camera; actions from one common command
objects.py      what lies on the table: categories, instances, which of them are held out
scene.py        the MuJoCo model: arm, table, every object, of which one is in use
views.py        the camera, at rest or moving, and pictures through it
oracles.py      contact, lift, success
env.py          `ArmsEnv`
"""

__all__: list[str] = []
