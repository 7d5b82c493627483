"""What WARPD is compared with (section 4.1): diffusion of action chunks, of their latents, and a plain perceptron."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from dreamgym_agents.common.chunks import action_at
from dreamgym_agents.common.demonstrations import Demonstrations
from dreamgym_agents.common.scale import Scaling
from dreamgym_agents.common.stages import EpochStage
from dreamgym_agents.warpd.agent import Agent
from dreamgym_agents.warpd.config import WARPDConfig
from dreamgym_agents.warpd.diffusion import Diffusion
from dreamgym_agents.warpd.encoder import TrajectoryEncoder
from dreamgym_agents.warpd.generated_policy import initial_weights, run
from dreamgym_agents.warpd.latent_diffusion import LatentDiffusion, draw, fit_latent_range
from dreamgym_agents.warpd.sizes import PolicyShape
from dreamgym_agents.warpd.vae import kl_to_standard_normal


def _check_chunk(config: WARPDConfig, relative: bool = False) -> None:
    if config.horizon > config.length:
        raise ValueError(f"a chunk of {config.length} actions cannot be followed for {config.horizon} steps")
    if relative and not config.action_origin:
        raise ValueError(
            "a relative chunk needs action_origin, the entries of the observation in which the robot's place lies: "
            "give it, and demonstrations with `counted_from` the same entries; other actions are relative already"
        )
    if config.action_origin and not relative:
        raise ValueError(
            "chunks are followed blindly, so their actions cannot be counted from what is seen on the way, the entries "
            f"{config.action_origin}: give demonstrations and config without an origin"
        )


class DiffusionBaseline(Agent):
    """DP: denoises a chunk of ``length`` actions from the last ``obs_history`` observations, executed open loop.

    On Metaworld "each DP model is run at an inference frequency of half the action horizon": length 32 or 128, horizon
    half of it. On PushT and robosuite length and horizon are one.
    """

    kind: ClassVar[str] = "diffusion_policy"
    relative: ClassVar[bool] = False

    def __init__(self, config: WARPDConfig, scaling: Scaling | None = None) -> None:
        super().__init__(config, scaling)
        _check_chunk(config, self.relative)
        self.history = config.obs_history
        condition = self.condition_dim(self.baseline_condition)
        multiple = config.diffusion.denoiser.multiple
        self.padded = -(-config.length // multiple) * multiple  # the U-Net halves; the surplus is predicted and dropped
        self.diffusion = Diffusion(config.action_dim, self.padded, condition, config.diffusion)

    @property
    def max_horizon(self) -> int:
        return self.config.length

    def plan(self, history: Tensor, task: Tensor, generator: torch.Generator | None) -> Tensor:
        condition = self.condition(history, task, self.baseline_condition)
        return self.scaling.action(self.diffusion.sample(condition, generator)[:, : self.config.length])

    def follow(self, plan: Tensor, obs: Tensor, step: Tensor) -> Tensor:
        return action_at(plan, step)

    def stages(self) -> list[EpochStage]:
        train = self.config.train
        groups: list[dict[str, object]] = [{"params": list(self.diffusion.parameters()), "lr": train.lr}]
        ema = self.config.diffusion.ema
        return [
            EpochStage(
                "diffusion", train.diffusion_epochs, self.diffusion, groups, self._loss, self._prepare, ema,
                lead=self.history - 1,
            )
        ]  # fmt: skip

    def _prepare(self, demonstrations: Demonstrations, generator: torch.Generator) -> None:
        action = self.scaling.scale_action(demonstrations.action)
        low, high = action.amin(0).expand(self.padded, -1), action.amax(0).expand(self.padded, -1)
        self.diffusion.fit_range(torch.stack([low, high]))

    def _loss(self, batch: dict[str, Tensor], generator: torch.Generator, epoch: int) -> dict[str, Tensor]:
        obs, action = batch["obs"], self.scaling.scale_action(batch["action"][:, self.history - 1 :])
        surplus = action[:, -1:].expand(-1, self.padded - action.shape[1], -1)
        condition = self.condition(obs[:, : self.history], batch["task"], self.baseline_condition)
        return {"loss": self.diffusion.loss(torch.cat([action, surplus], 1), condition, generator)}


class RelativeDiffusionBaseline(DiffusionBaseline):
    """DP whose chunk of positions is counted from where the robot is when it plans: a trajectory relative to its start.

    Demonstrations and config are those of closed-loop policies (`Demonstrations.counted_from`, ``action_origin``); the
    chunk is followed blindly all the same.
    """

    kind: ClassVar[str] = "diffusion_policy_relative"
    relative: ClassVar[bool] = True

    def plan(self, history: Tensor, task: Tensor, generator: torch.Generator | None) -> Tensor:
        condition = self.condition(history, task, self.baseline_condition)
        chunk = self.diffusion.sample(condition, generator)[:, : self.config.length]
        return chunk + self._place(history[:, -1:])

    def follow(self, plan: Tensor, obs: Tensor, step: Tensor) -> Tensor:
        return action_at(plan, step) - self._place(obs)  # what acts adds the place of now

    def _place(self, obs: Tensor) -> Tensor:
        return obs[..., list(self.config.action_origin)]

    def chunk(self, batch: dict[str, Tensor]) -> Tensor:
        """Positions counted from the place at the first row that is acted on, [B, padded, A]."""
        obs = batch["obs"][:, self.history - 1 :]
        places = self._place(obs)
        chunk = batch["action"][:, self.history - 1 :] + places - places[:, :1]
        return torch.cat([chunk, chunk[:, -1:].expand(-1, self.padded - chunk.shape[1], -1)], 1)

    def _prepare(self, demonstrations: Demonstrations, generator: torch.Generator) -> None:
        length, size = self.config.length + self.history - 1, self.config.train.batch_size
        chunks = torch.cat([self.chunk(b).cpu() for b in demonstrations.epoch(length, size, generator)])
        low, high = chunks.amin((0, 1)).expand(self.padded, -1), chunks.amax((0, 1)).expand(self.padded, -1)
        self.diffusion.fit_range(torch.stack([low, high]).to(self.scaling.obs_mean.device))

    def _loss(self, batch: dict[str, Tensor], generator: torch.Generator, epoch: int) -> dict[str, Tensor]:
        condition = self.condition(batch["obs"][:, : self.history], batch["task"], self.baseline_condition)
        return {"loss": self.diffusion.loss(self.chunk(batch), condition, generator)}


class ChunkVAE(nn.Module):
    """The VAE of LDP: WARPD's encoder, and a perceptron of 256 x 2 that decodes a chunk of actions."""

    def __init__(self, config: WARPDConfig, scaling: Scaling) -> None:
        super().__init__()
        vae, self.config, self.scaling = config.vae, config, scaling
        self.encoder = TrajectoryEncoder(config.length, config.obs_dim, config.action_dim, vae.encoder, vae.latent)
        width = 256  # section 4.1.1
        self.decoder = nn.Sequential(
            nn.Linear(vae.latent, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(),
            nn.Linear(width, config.length * config.action_dim),
        )  # fmt: skip

    def encode(self, obs: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """Raw snippets to mean and log standard deviation of z, [B, D] each."""
        mean, log_std = self.encoder(self.scaling.observe(obs), self.scaling.scale_action(action))
        return mean, log_std

    def decode(self, z: Tensor) -> Tensor:
        """Latents [B, D] to chunks of scaled actions [B, T, A]."""
        chunk: Tensor = self.decoder(z).unflatten(1, (self.config.length, self.config.action_dim))
        return chunk

    def loss(self, batch: dict[str, Tensor], generator: torch.Generator | None) -> dict[str, Tensor]:
        """Equation 5 with the chunk in the place of the policy's actions: reconstruction and KL."""
        mean, log_std = self.encode(batch["obs"], batch["action"])
        error = self.decode(draw(mean, log_std, generator)) - self.scaling.scale_action(batch["action"])
        bc, kl = error.square().sum((1, 2)).mean(), kl_to_standard_normal(mean, log_std).mean()
        return {"loss": bc + self.config.vae.kl_weight * kl, "bc": bc, "kl": kl}


class LatentDiffusionPolicy(Agent):
    """LDP: as WARPD, but what the latent decodes to is a chunk of actions, executed open loop."""

    kind: ClassVar[str] = "latent_diffusion_policy"

    def __init__(self, config: WARPDConfig, scaling: Scaling | None = None) -> None:
        super().__init__(config, scaling)
        _check_chunk(config)
        self.vae = ChunkVAE(config, self.scaling)
        self.latent_diffusion = LatentDiffusion(config, self.condition_dim(self.baseline_condition))

    @property
    def max_horizon(self) -> int:
        return self.config.length

    def plan(self, history: Tensor, task: Tensor, generator: torch.Generator | None) -> Tensor:
        condition = self.condition(history, task, self.baseline_condition)
        return self.scaling.action(self.vae.decode(self.latent_diffusion.sample(condition, generator)))

    def follow(self, plan: Tensor, obs: Tensor, step: Tensor) -> Tensor:
        return action_at(plan, step)

    def stages(self) -> list[EpochStage]:
        config, train = self.config, self.config.train
        networks = [*self.vae.encoder.parameters(), *self.vae.decoder.parameters()]
        first = EpochStage(
            "vae", train.vae_epochs, self.vae, [{"params": networks, "lr": train.vae_lr}],
            lambda batch, generator, epoch: self.vae.loss(batch, generator),
        )  # fmt: skip
        second = EpochStage(
            "diffusion", train.diffusion_epochs, self.latent_diffusion,
            [{"params": list(self.latent_diffusion.parameters()), "lr": train.lr}],
            self._diffusion_loss, self._prepare, config.diffusion.ema,
        )  # fmt: skip
        return [first, second]

    def _prepare(self, demonstrations: Demonstrations, generator: torch.Generator) -> None:
        fit_latent_range(self.latent_diffusion, self.vae.encode, demonstrations, self.config, generator)

    def _diffusion_loss(self, batch: dict[str, Tensor], generator: torch.Generator, epoch: int) -> dict[str, Tensor]:
        with torch.no_grad():
            z = draw(*self.vae.encode(batch["obs"], batch["action"]), generator)
        condition = self.condition(batch["obs"][:, :1], batch["task"], self.baseline_condition)
        return {"loss": self.latent_diffusion.loss(z, condition, generator)}


class MLPPolicy(Agent):
    """One perceptron of the generated policy's architecture, cloned with squared errors; the task is in its input."""

    kind: ClassVar[str] = "mlp"

    def __init__(self, config: WARPDConfig, scaling: Scaling | None = None) -> None:
        super().__init__(config, scaling)
        width = self.condition_dim(self.baseline_condition)
        self.shape = PolicyShape(width, config.action_dim, config.hidden, config.activation)
        self.theta = nn.Parameter(initial_weights(self.shape))

    def plan(self, history: Tensor, task: Tensor, generator: torch.Generator | None) -> Tensor:
        return task

    def follow(self, plan: Tensor, obs: Tensor, step: Tensor) -> Tensor:
        return self.scaling.action(self._run(obs, plan))

    def _run(self, obs: Tensor, task: Tensor) -> Tensor:
        """Scaled actions [N, A] on raw observations [N, O]; one policy, so N is its time."""
        condition = self.condition(obs.unsqueeze(1), task, self.baseline_condition)
        return run(self.theta.unsqueeze(0), condition.unsqueeze(0), self.shape).squeeze(0)

    def stages(self) -> list[EpochStage]:
        train = self.config.train
        groups: list[dict[str, object]] = [{"params": [self.theta], "lr": train.lr}]
        return [EpochStage("cloning", train.diffusion_epochs, self, groups, self._loss)]

    def _loss(self, batch: dict[str, Tensor], generator: torch.Generator, epoch: int) -> dict[str, Tensor]:
        task = batch["task"].repeat_interleave(batch["obs"].shape[1])
        predicted = self._run(batch["obs"].flatten(0, 1), task)
        return {"loss": (predicted - self.scaling.scale_action(batch["action"]).flatten(0, 1)).square().mean()}
