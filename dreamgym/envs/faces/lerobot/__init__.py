"""The LeRobot face: dreams and twins as the vector envs that ``lerobot-eval`` scores policies in.

    vector.py    a core as LeRobot's vector env
    making.py    `make_env`: a vector env a task, what an ``env.py`` of its hub returns
    plugin.py    ``--env.type=dreamgym`` of lerobot's commands; only lerobot imports it

What LeRobot asks of an env was read off its source (0.6.2, commit 7427f31: ``scripts/lerobot_eval.py``,
``envs/utils.py``, ``envs/factory.py``), and ``tests/envs/faces/test_lerobot.py`` makes the same calls. All but the
plug-in works without the lerobot package.
"""

from dreamgym.envs.faces.lerobot.making import make_env
from dreamgym.envs.faces.lerobot.vector import LeRobotVectorEnv

__all__ = ["LeRobotVectorEnv", "make_env"]
