"""Two linear policies on a point that moves by a tenth of its action."""

from __future__ import annotations

import torch
from dreamgym_agents.warpd import Demonstrations, DenoiserConfig, DenoisingConfig, Dynamics, TrainConfig, WARPDConfig
from dreamgym_agents.warpd.sizes import VAEConfig
from torch import Tensor, nn

GOALS = {"left": torch.tensor([-1.0, 0.0]), "right": torch.tensor([1.0, 0.5])}


def towards(task: str, obs: Tensor) -> Tensor:
    """The policy of a task: a fixed point at its goal."""
    return GOALS[task] - obs


def walk(task: str, steps: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    position, obs, action = torch.rand(2, generator=generator) * 2 - 1, [], []
    for _ in range(steps):
        obs.append(position)
        action.append(towards(task, position))
        position = position + 0.1 * action[-1]
    return torch.stack(obs), torch.stack(action)


def make_demonstrations(each: int = 8, steps: int = 12) -> Demonstrations:
    generator = torch.Generator().manual_seed(0)
    tasks = ["left", "right"] * each
    return Demonstrations.from_episodes([walk(t, steps, generator) for t in tasks], tasks)


def make_config(**changes: object) -> WARPDConfig:
    values: dict[str, object] = {
        "length": 8, "horizon": 5, "tasks": ("left", "right"), "condition": "task", "hidden": (16, 16),
        "vae": VAEConfig(latent=8, encoder=(32,), decoder=(16,), rollout_after=1),
        "diffusion": DenoisingConfig(
            DenoiserConfig(step_embed=16, channels=(8, 16), kernel=3, groups=4), latent_channels=2, steps=6,
            inference_steps=6, ema=0.9,
        ),
        "train": TrainConfig(vae_epochs=3, diffusion_epochs=3, batch_size=8, save_every_s=0.001),
    }  # fmt: skip
    return WARPDConfig(2, 2, **{**values, **changes})  # type: ignore[arg-type]


class LinearDynamics(Dynamics):
    """The point itself: next = obs + gain * action; the gain can be trained."""

    def __init__(self, gain: float = 0.1, std: float = 0.1, history: int = 1) -> None:
        super().__init__()
        self.gain, self.history = nn.Parameter(torch.tensor(gain)), history
        self.std = torch.full((2,), std)

    def predict(self, obs: Tensor, action: Tensor) -> Tensor:
        return obs[:, -1] + self.gain * action[:, -1]
