"""WARPD: policies generated from a latent space that a world model helped to shape."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from dreamgym_agents.common.demonstrations import Demonstrations
from dreamgym_agents.common.scale import Scale, Scaling
from dreamgym_agents.common.stages import EpochStage
from dreamgym_agents.warpd.agent import Agent, Task
from dreamgym_agents.warpd.config import WARPDConfig
from dreamgym_agents.warpd.dynamics import Dynamics
from dreamgym_agents.warpd.latent_diffusion import LatentDiffusion, draw, fit_latent_range
from dreamgym_agents.warpd.policy import GeneratedPolicy, read_obs
from dreamgym_agents.warpd.vae import PolicyVAE


class WARPD(Agent):
    """Generates closed-loop policies: a plan is a policy's weights.

    Stage 1 trains the VAE and the world model together (equation 5), stage 2 the diffusion over its latents.

    Args:
        config: see there; ``config.vae.rollout_after = None`` is the paper's "w/o WM".
        scaling: of observations and actions.
        dynamics: the world model that is trained along; needed in training only, and not part of what is saved.
    """

    kind: ClassVar[str] = "warpd"

    def __init__(self, config: WARPDConfig, scaling: Scaling | None = None, dynamics: Dynamics | None = None) -> None:
        super().__init__(config, scaling)
        self.vae = PolicyVAE(config, self.scaling)
        self.latent_diffusion = LatentDiffusion(config, self.condition_dim(config.condition))
        self.trained_with = [dynamics]  # in a list: it is no part of the agent, so no submodule of it

    @property
    def dynamics(self) -> Dynamics | None:
        """The world model of the training, if any."""
        return self.trained_with[0]

    @torch.no_grad()
    def generate(
        self,
        obs: Any,
        task: Task | None = None,
        generator: torch.Generator | None = None,
        obs_scale: Scale | None = None,
    ) -> GeneratedPolicy:
        """Generates a policy for each row.

        Args:
            obs: raw observations [B, O], tensor or array; with ``obs_scale`` standardised ones.
            task: one for all rows, or one for each, by name or index; the only one by default.
            generator: of the denoising.
            obs_scale: where ``obs``, and what the policies will be shown, are the features of an MLP world model:
                their scale, see `read_obs`.

        Raises:
            ValueError: observations of another shape, or not finite; a task that was never seen; none given
                where there are several.
        """
        obs = torch.as_tensor(obs, dtype=torch.float32)
        if obs.dim() != 2 or obs.shape[1] != self.config.obs_dim:
            raise ValueError(
                f"expected observations [B, {self.config.obs_dim}], one for each policy, got {tuple(obs.shape)}"
                f"{'; add a batch axis: obs[None]' if obs.dim() == 1 else ''}"
            )
        if not obs.isfinite().all():
            bad = (~obs.isfinite()).any(1).nonzero().flatten().tolist()
            raise ValueError(f"expected finite observations, got NaN or infinity in rows {bad}")
        obs = read_obs(obs, self.config.obs_dim, scale=obs_scale).to(self.scaling.obs_mean.device)
        if task is None and len(self.config.tasks) > 1:
            raise ValueError(f"say which task: one of {list(self.config.tasks)}, or one for each row")
        index = self.task_index(self.config.tasks[0] if task is None else task, len(obs)).to(obs.device)
        return GeneratedPolicy(self.vae, self.plan(obs.unsqueeze(1), index, generator), obs_scale=obs_scale)

    def check(self, demonstrations: Demonstrations) -> None:
        super().check(demonstrations)
        if self.dynamics is not None and self.config.vae.rollout_after is not None:
            self.dynamics.check(demonstrations.obs_dim, demonstrations.action_dim)

    def plan(self, history: Tensor, task: Tensor, generator: torch.Generator | None) -> Tensor:
        condition = self.condition(history, task, self.config.condition)
        return self.vae.decode(self.latent_diffusion.sample(condition, generator))

    def follow(self, plan: Tensor, obs: Tensor, step: Tensor) -> Tensor:
        return self.vae.act(plan, obs)

    def stages(self) -> list[EpochStage]:
        config, train = self.config, self.config.train
        dynamics = self.dynamics if config.vae.rollout_after is not None else None
        if config.vae.rollout_after is not None and dynamics is None:
            raise ValueError(
                "WARPD trains with a world model: pass dynamics=WorldModelDynamics(world_model), or use "
                "config.without_world_model()"
            )
        networks = [*self.vae.encoder.parameters(), *self.vae.decoder.parameters()]
        groups: list[dict[str, object]] = [{"params": networks, "lr": train.vae_lr}]
        if dynamics is not None:
            dynamics.to(self.scaling.obs_mean.device)
            groups.append({"params": list(dynamics.parameters()), "lr": train.lr})
        module = nn.ModuleDict({"vae": self.vae} | ({} if dynamics is None else {"dynamics": dynamics}))
        first = EpochStage("vae", train.vae_epochs, module, groups, self._vae_loss, self._prepare_vae)
        denoiser: list[dict[str, object]] = [{"params": list(self.latent_diffusion.parameters()), "lr": train.lr}]
        second = EpochStage(
            "diffusion", train.diffusion_epochs, self.latent_diffusion, denoiser, self._diffusion_loss,
            self._prepare_diffusion, config.diffusion.ema,
        )  # fmt: skip
        return [first, second]

    def _prepare_vae(self, demonstrations: Demonstrations, generator: torch.Generator) -> None:
        if self.dynamics is not None:
            self.dynamics.prepare(demonstrations)

    def _vae_loss(self, batch: dict[str, Tensor], generator: torch.Generator, epoch: int) -> dict[str, Tensor]:
        after = self.config.vae.rollout_after
        if after is None:
            return self.vae.loss(batch, generator)
        return self.vae.loss(batch, generator, self.dynamics, rollout=epoch >= after)

    def _prepare_diffusion(self, demonstrations: Demonstrations, generator: torch.Generator) -> None:
        fit_latent_range(self.latent_diffusion, self.vae.encode, demonstrations, self.config, generator)

    def _diffusion_loss(self, batch: dict[str, Tensor], generator: torch.Generator, epoch: int) -> dict[str, Tensor]:
        with torch.no_grad():
            z = draw(*self.vae.encode(batch["obs"], batch["action"]), generator)
        condition = self.condition(batch["obs"][:, :1], batch["task"], self.config.condition)
        return {"loss": self.latent_diffusion.loss(z, condition, generator)}
