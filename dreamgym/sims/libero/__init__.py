"""LIBERO on today's Python: 130 tasks of a mounted arm, from LIBERO's own task files and models.

env.py         `LiberoEnv` (needs robosuite; nothing imported here does)
tasks.py       the tasks by suite, and their sentences
problem.py     reads task files
workspaces.py  tables and floors: scene, robot's place, camera
things.py      how things are put down; when they are open or on
scene.py       the MuJoCo model of a task
placement.py   draws initial states
osc.py         the arm's controller
goals.py       the oracle
simulation.py  steps, snapshots, pictures
"""

from dreamgym.sims.libero.problem import Problem, parse_problem, read_problem
from dreamgym.sims.libero.tasks import SUITES, TASKS, check_task, task_description

__all__ = [
    "SUITES",
    "TASKS",
    "Problem",
    "check_task",
    "parse_problem",
    "read_problem",
    "task_description",
]
