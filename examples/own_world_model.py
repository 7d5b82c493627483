"""A small world model of your own as an environment: Gymnasium's Pendulum learned by an MLP, saved, opened, tried.

Run it: ``python examples/own_world_model.py`` (half a minute). The commands know the family too:
``dreamgym --import examples/own_world_model.py fit --family swing ...``. ``docs/add_a_world_model.md`` goes through it.
"""

import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import gymnasium as gym
import numpy as np
import torch
from torch import nn

import dreamgym
from dreamgym.data import EpisodeStore, split_of
from dreamgym.rewards.base import RewardModel
from dreamgym.rewards.registry import register_reward
from dreamgym.training import checkpoint
from dreamgym.training.bank import BankConfig, build_starts
from dreamgym.training.train import load_run
from dreamgym.training.train import train as fit
from dreamgym.types import ActionSpec, ObservationSpec, WorldModelSpec
from dreamgym.world_models.base import WorldModel
from dreamgym.world_models.recipe import Example, Preset, Recipe, Windows


# [config]
@dataclass(frozen=True)
class SwingConfig:
    """Configures `Swing`; what a checkpoint needs to build it again."""

    units: int = 64

    def to_dict(self):
        return asdict(self)


# [model]
class Swing(WorldModel):
    """Pendulum-v1: from (cos, sin, speed) and a torque to the next (cos, sin, speed)."""

    family = "swing"

    def __init__(self, config=SwingConfig()):
        super().__init__()
        self.config, units = config, config.units
        self.net = nn.Sequential(
            nn.Linear(4, units), nn.SiLU(), nn.Linear(units, units), nn.SiLU(), nn.Linear(units, 3)
        )
        sensors, torque = {"state": ObservationSpec("vector", (3,))}, ActionSpec(low=(-2.0,), high=(2.0,))
        self.spec = WorldModelSpec("swing", sensors, torque, feature_shape=(3,), decodable=("state",), frame_rate=20.0)

    @classmethod
    def from_config(cls, config):
        return cls(SwingConfig(**config))

    def start(self, history, generator=None, instruction=None):
        return {"x": history["state"][:, -1].float()}

    def observe(self, state, action, obs, generator=None):
        return {"x": obs["state"].float()}

    def imagine(self, state, action, generator=None):
        x, torque = state["x"], action.view(-1, 1)  # a frame's actions: [B, A] or [B, 1, A]
        return {"x": x + self.net(torch.cat([x, torque], -1))}

    def features(self, state):
        return state["x"]

    def decode(self, state, keys):
        self.check_keys(keys)
        return {"state": state["x"]}

    def uncertainty(self, state):
        return (state["x"][:, :2].norm(dim=1) - 1).abs()  # how far (cos, sin) has left the circle

    def loss(self, batch, generator=None):
        x, torque = batch["state"], batch["action"]
        predicted = x[:, :-1] + self.net(torch.cat([x, torque], -1)[:, :-1])
        return {"loss": (predicted - x[:, 1:]).square().mean()}


# [recipe]
class SwingRecipe(Recipe):
    """How `Swing` is trained from a store of "state" and "action"."""

    config_class = SwingConfig
    presets = {
        "tiny": Preset(
            fit={"steps": 1500, "lr": 1e-3, "warmup": 20, "weight_decay": 0.0, "precision": "fp32"},
            windows=Windows(batch_size=32, length=20),
        ),
        "paper": Preset(model={"units": 256}, windows=Windows(batch_size=64, length=20)),
    }

    def config(self, facts, preset, changes):
        return SwingConfig(**{**self.preset(preset).model, **changes})

    def keys(self, config):
        return ("state",)

    def example(self):
        return Example(KEYS, INFO, [(swing(seed), {"split": split_of(seed)}) for seed in range(20)])


# [reward]
class Upright(RewardModel):
    """The pendulum stands: the probability is the height of its tip."""

    kind, tasks = "upright", ("stand",)

    def __init__(self):
        super().__init__()
        self.register_buffer("thresholds", torch.tensor([0.98]))

    def start(self, model, state, task):
        return {}

    def probability(self, model, memory, state, task):
        return ((model.features(state)[:, 0] + 1) / 2).clamp(0, 1)

    def to_config(self):
        return {}


# [function]
def swung_up(decoded, action, next_decoded):
    """The same task without a reward model: what it pays, and when it is done."""
    height = (next_decoded["state"][:, 0] + 1) / 2
    return height - 0.01 * action.square().sum(-1), height > 0.98


# [register]
dreamgym.register_family("swing", Swing, recipe=SwingRecipe())
register_reward("upright", lambda config: Upright())


# [data]
KEYS = {"state": ((3,), "float32"), "action": ((1,), "float32")}
INFO = {"frame_rate": 20.0, "action": {"low": [-2.0], "high": [2.0]}}


def swing(seed: int) -> dict[str, np.ndarray]:
    """An episode of random torques on the real pendulum, 200 rows."""
    env = gym.make("Pendulum-v1")
    env.action_space.seed(seed)
    obs, _ = env.reset(seed=seed)
    rows = []
    for _ in range(200):
        action = env.action_space.sample()
        rows.append((obs, action))
        obs, *_ = env.step(action)
    states, actions = map(np.stack, zip(*rows, strict=True))
    return {"state": states, "action": actions}


def collect(path: Path, num_episodes: int = 40) -> EpisodeStore:
    """Episodes in a store; one of every 20 is held out."""
    store = EpisodeStore.create(path, KEYS, INFO)
    store.append([(swing(seed), {"split": split_of(seed)}) for seed in range(num_episodes)])
    return store


# [train]
def train(folder: Path, steps: int = 1500) -> Path:
    """Collects, fits and saves; returns the checkpoint's folder."""
    store = collect(folder / "data")
    fit(store.path, folder / "run", "swing", steps=steps)
    model = load_run(folder / "run")
    starts, meta = build_starts(model, [store], (), BankConfig(context=1))
    return checkpoint.save(folder / "swing", model, {"success": Upright()}, starts, starts_meta=meta)


# [use]
def drift(path: Path, steps: int = 20) -> float:
    """The largest error of ``steps`` imagined steps against the simulator, from the same start."""
    real = gym.make("Pendulum-v1")
    dream = gym.make("Dream-v0", checkpoint=str(path), task="stand", reward="probability")
    start, _ = real.reset(seed=1000)
    dream.reset(options={"history": {"state": start[None, None]}})
    error = 0.0
    for i in range(steps):
        action = np.float32([np.sin(i / 3)])
        error = max(error, float(np.abs(dream.step(action)[0] - real.step(action)[0]).max()))
    return error


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        print(f"largest error over 20 imagined steps: {drift(train(Path(scratch))):.3f}")
