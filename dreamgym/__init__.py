"""dreamgym: trained world models as vectorized Gymnasium, TorchRL and Stable-Baselines3 environments.

The way the data flow::

    simulator --collect--+
                         +--> episodes --fit--> world model --+
    data set ---import---+        |                           +--> dream env --> agent --> policy --evaluate--> twin
                                  +--label--> reward model ---+                               +---------------> dream
                                  +--encode--> start states --+

Use::

    import dreamgym, gymnasium as gym
    env = gym.make("Dream-PlayTable-v0", task="open_drawer")
    envs = gym.make_vec("Dream-PlayTable-v0", num_envs=1024, array="torch")
    real = gym.make("Real-PlayTable-v0", task="open_drawer", world_model="playtable")    # the twin
    env = dreamgym.torchrl_env("Dream-PlayTable-v0", num_envs=1024)
    env = dreamgym.sb3_env("Dream-PlayTable-v0", num_envs=64)
    core = dreamgym.make_core("playtable", num_envs=64)                                  # without a face
    checkpoint = dreamgym.load("playtable")

Of one's own: `register_family` (world models), `register_reward`, `register_suite` and `gym_suite` (simulators).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from dreamgym.envs.registration import register_envs
from dreamgym.version import __version__

if TYPE_CHECKING:
    from dreamgym.envs.core.core import DreamCore
    from dreamgym.envs.core.starts import StartBank
    from dreamgym.envs.faces.sb3 import sb3_env
    from dreamgym.envs.faces.torchrl import torchrl_env
    from dreamgym.envs.make import make_core
    from dreamgym.rewards.registry import register_reward
    from dreamgym.suites import Measure, Suite, gym_suite, register_suite
    from dreamgym.training.checkpoint import load
    from dreamgym.world_models.registry import register_family

__all__ = [
    "__version__",
    "make_core",
    "torchrl_env",
    "sb3_env",
    "load",
    "StartBank",
    "DreamCore",
    "Suite",
    "Measure",
    "gym_suite",
    "register_suite",
    "register_family",
    "register_reward",
]

# Public names by the module that holds them, imported when first asked for: `import dreamgym` stays light.
_NAMES = {
    "make_core": "dreamgym.envs.make",
    "torchrl_env": "dreamgym.envs.faces.torchrl",
    "sb3_env": "dreamgym.envs.faces.sb3",
    "load": "dreamgym.training.checkpoint",
    "StartBank": "dreamgym.envs.core.starts",
    "DreamCore": "dreamgym.envs.core.core",
    "Suite": "dreamgym.suites",
    "Measure": "dreamgym.suites",
    "gym_suite": "dreamgym.suites",
    "register_suite": "dreamgym.suites",
    "register_family": "dreamgym.world_models.registry",
    "register_reward": "dreamgym.rewards.registry",
}

register_envs()


if not TYPE_CHECKING:  # a type checker sees the imports above, and tells of a name that is none of them

    def __getattr__(name: str) -> Any:
        if name not in _NAMES:
            raise AttributeError(f"module 'dreamgym' has no attribute {name!r}; public names: {__all__}")
        return getattr(import_module(_NAMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
