"""``--env.type=dreamgym`` of lerobot's commands. They import it by ``--env.discover_packages_path`` (lerobot 0.6.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gymnasium import spaces
from lerobot.configs import FeatureType, PolicyFeature
from lerobot.envs.configs import EnvConfig

from dreamgym.envs.faces.lerobot.making import make_env
from dreamgym.envs.faces.lerobot.vector import LeRobotVectorEnv
from dreamgym.envs.registration import DREAMS, REALS

ACTION, STATE, IMAGES = "action", "observation.state", "observation.images."


@EnvConfig.register_subclass("dreamgym")
@dataclass
class DreamgymEnv(EnvConfig):
    """Dreams or twins as ``lerobot-eval`` and ``lerobot-train`` configure an environment.

    ``features`` and ``fps``, from which lerobot builds a policy and records episodes, are the world model's.

    Attributes:
        id: of a dream or a twin, as "Dream-PlayTable-v0" or "Real-PlayTable-v0".
        task: tasks with commas between them, as lerobot's other suites take them; None: every task of the checkpoint.
        checkpoint: the world model where the id names none: of "Dream-v0", and of twins.
        split: of the start states.
        horizon: control steps of an episode; None: the suite's.

    Raises:
        ValueError: no such id, task or checkpoint, or a twin without one.
    """

    id: str = "Dream-PlayTable-v0"
    checkpoint: str | None = None
    split: str = "test"
    horizon: int | None = None

    def __post_init__(self) -> None:
        if self.id not in (*DREAMS, *REALS):
            raise ValueError(f"--env.id={self.id} is not a dream or a twin; those registered are {[*DREAMS, *REALS]}")
        checkpoint = self.checkpoint or DREAMS.get(self.id, {}).get("checkpoint")
        if checkpoint is None:
            raise ValueError(f"--env.id={self.id} needs --env.checkpoint: the world model, by name, folder or hf://")
        # A twin's spaces are its dream's, which needs no simulator.
        dreams = make_env(id="Dream-v0", checkpoint=checkpoint, tasks=self._tasks, split=self.split)
        one = next(iter(dreams["Dream-v0"].values()))
        self.fps = one.metadata["render_fps"]
        self.features = {ACTION: PolicyFeature(FeatureType.ACTION, one.single_action_space.shape)}
        self.features_map = {ACTION: ACTION}
        seen = one.single_observation_space.spaces
        if "agent_pos" in seen:
            self.features["agent_pos"] = PolicyFeature(FeatureType.STATE, seen["agent_pos"].shape)
            self.features_map["agent_pos"] = STATE
        for name, space in seen.get("pixels", spaces.Dict()).items():
            self.features[IMAGES + name] = PolicyFeature(FeatureType.VISUAL, space.shape)
            self.features_map[IMAGES + name] = IMAGES + name
        one.close()

    @property
    def _tasks(self) -> list[str] | None:
        return None if self.task is None else self.task.split(",")

    @property
    def gym_kwargs(self) -> dict[str, Any]:
        """None: lerobot makes these envs by `create_envs`."""
        return {}

    def create_envs(self, n_envs: int, use_async_envs: bool = False) -> dict[str, dict[int, LeRobotVectorEnv]]:
        """See `make_env`."""
        options: dict[str, Any] = {"horizon": self.horizon}
        if self.checkpoint is not None:
            options["world_model" if self.id in REALS else "checkpoint"] = self.checkpoint
        return make_env(n_envs, use_async_envs, id=self.id, tasks=self._tasks, split=self.split, **options)
