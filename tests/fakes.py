"""A world small enough to know by heart, a table whose slider, drawer and lights follow the action; and its models."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

import numpy as np
import torch

from dreamgym.types import ActionSpec, ObservationSpec, WorldModelSpec
from dreamgym.world_models.base import WorldModel

FEATURES = 12


def advance(robot, scene, action):
    """One step of the true world, on tensors [B, 15], [B, 24], [B, 7]."""
    robot, scene = robot.clone(), scene.clone()
    robot[:, :3] += 0.01 * action[:, 4:7]
    scene[:, 0] = (scene[:, 0] + 0.02 * action[:, 0]).clamp(0, 0.28)
    scene[:, 1] = (scene[:, 1] + 0.02 * action[:, 1]).clamp(0, 0.22)
    for entry, a in ((4, action[:, 2]), (5, action[:, 3])):
        scene[:, entry] = torch.where(a > 0.5, 1.0, torch.where(a < -0.5, 0.0, scene[:, entry]))
    return robot, scene


def picture(scene):
    """[B, 24] -> uint8 [B, 3, 8, 8]: three stripes that show slider, drawer and lights."""
    values = torch.stack([scene[:, 0] / 0.28, scene[:, 1] / 0.22, (scene[:, 4] + scene[:, 5]) / 2], 1)
    return (values.clamp(0, 1) * 255).round().to(torch.uint8).view(-1, 3, 1, 1).expand(-1, 3, 8, 8)


@dataclass(frozen=True)
class FakeConfig:
    slip: float
    noise: float
    history: int
    scene: bool

    def to_dict(self):
        return asdict(self)


class FakeModel(WorldModel):
    """Knows the true world; ``slip`` makes its imagination run at (1 + slip) times the speed."""

    family = "fake"

    def __init__(self, slip: float = 0.0, noise: float = 0.0, history: int = 1, scene: bool = True) -> None:
        super().__init__()
        self.slip, self.noise = slip, noise
        self.anchor = torch.nn.Parameter(torch.zeros(1))
        self.spec = WorldModelSpec(
            family="fake",
            observations={
                "rgb_static": ObservationSpec("image", (3, 8, 8)),
                "robot_obs": ObservationSpec("vector", (15,)),
                "scene_obs": ObservationSpec("vector", (24,)),
            },
            action=ActionSpec((-1.0,) * 7, (1.0,) * 7),
            feature_shape=(FEATURES,),
            decodable=("rgb_static", "robot_obs", "scene_obs") if scene else ("rgb_static",),
            history=history,
        )
        self.config = FakeConfig(slip, noise, history, scene)

    @classmethod
    def from_config(cls, config):
        return cls(**config)

    def start(self, history, generator=None, instruction=None):
        robot, scene = history["robot_obs"][:, -1].float(), history["scene_obs"][:, -1].float()
        return {"robot": robot, "scene": scene, "unsure": torch.zeros(len(robot))}

    def observe(self, state, action, obs, generator=None):
        return self.start({k: v.unsqueeze(1) for k, v in obs.items()})

    def imagine(self, state, action, generator=None):
        action = action.view(-1, 7)  # a frame's actions: [B, A] or [B, 1, A]
        robot, scene = advance(state["robot"], state["scene"], action * (1 + self.slip))
        if self.noise:
            scene = scene + self.noise * torch.randn(scene.shape, generator=generator)
        unsure = state["unsure"] + action[:, :2].abs().sum(1) * abs(self.slip)
        return {"robot": robot, "scene": scene, "unsure": unsure}

    def features(self, state):
        scene = state["scene"]
        parts = [scene[:, :1] / 0.28, scene[:, 1:2] / 0.22, scene[:, 4:6], state["robot"][:, :3]]
        flat = torch.cat(parts, 1)
        return torch.nn.functional.pad(flat, (0, FEATURES - flat.shape[1]))

    def decode(self, state, keys):
        self.check_keys(keys)
        whole = {"rgb_static": None, "robot_obs": state["robot"], "scene_obs": state["scene"]}
        if "rgb_static" in keys:
            whole["rgb_static"] = picture(state["scene"]).float() / 255
        return {k: whole[k] for k in keys}

    def uncertainty(self, state):
        return state["unsure"]

    def loss(self, batch, generator=None):
        return {"loss": self.anchor.sum()}


def episode(rng, length, scene=None, action=None):
    """A recorded episode of the true world in numpy layout; a random walk where no actions are given."""
    if action is None:
        goals = np.repeat(rng.uniform(-1, 1, (length // 8 + 1, 7)), 8, 0)[:length]
        action = np.clip(goals + 0.1 * rng.normal(size=(length, 7)), -1, 1)
    action = torch.as_tensor(action, dtype=torch.float32)
    robot, now = torch.zeros(1, 15), torch.zeros(1, 24)
    if scene is not None:
        now[0] = torch.as_tensor(scene)
    rows = {"robot_obs": [], "scene_obs": [], "rgb_static": []}
    for t in range(length):
        rows["robot_obs"].append(robot[0].numpy())
        rows["scene_obs"].append(now[0].numpy())
        rows["rgb_static"].append(picture(now)[0].permute(1, 2, 0).numpy())
        robot, now = advance(robot, now, action[t : t + 1])
    return {k: np.stack(v) for k, v in rows.items()} | {"action": action.numpy()}


KEYS = {
    "action": ((7,), "float32"),
    "robot_obs": ((15,), "float32"),
    "scene_obs": ((24,), "float32"),
    "rgb_static": ((8, 8, 3), "uint8"),
}


class Listener(FakeModel):
    """A `FakeModel` that is told what to do, and notes what it was begun with."""

    def __init__(self, instructions=("open the drawer", "turn on led"), history: int = 1) -> None:
        super().__init__(history=history)
        self.spec = replace(self.spec, instructions=instructions)
        self.heard: list[str] = []
        self.begun: list[dict[str, torch.Tensor]] = []

    def start(self, history, generator=None, instruction=None):
        if instruction is not None:  # `observe` starts anew, untold
            self.heard += instruction
            self.begun.append(history)
        return super().start(history, generator)
