"""The recurrent state-space core: h_t = GRU(h, z, a), prior p(z | h), posterior q(z | h, embedding)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dreamgym.nn import categorical
from dreamgym.nn.blocks import DenseNorm, SequenceLinear
from dreamgym.world_models.families.rssm.config import RSSMConfig


class Dynamics(nn.Module):
    """Latents are [B, k] = h (deter) followed by z (stoch x classes, one-hot): the features, with no copy to make."""

    def __init__(self, config: RSSMConfig) -> None:
        super().__init__()
        self.deter, self.stoch, self.classes = config.deter, config.stoch, config.classes
        z_dim = config.stoch * config.classes
        self.z_dim = z_dim
        self.input = DenseNorm(z_dim + config.action.dim, config.units)
        self.gates = nn.Linear(config.units + config.deter, 3 * config.deter, bias=False)
        self.gates_norm = nn.LayerNorm(3 * config.deter, eps=1e-3)
        self.prior_hidden = DenseNorm(config.deter, config.units)
        self.prior_logits = nn.Linear(config.units, z_dim)
        self.posterior_hidden = DenseNorm(config.deter + config.embed, config.units)
        self.posterior_logits = nn.Linear(config.units, z_dim)

    def initial(self, batch: int) -> Tensor:
        """[B, k] zeros: the state before anything was seen."""
        return self.gates.weight.new_zeros(batch, self.deter + self.z_dim)

    def recur(self, latent: Tensor, action: Tensor) -> Tensor:
        """The next deterministic state [B, deter]; ``latent`` [B, k], ``action`` [B, A]."""
        h = latent[:, : self.deter]
        x = self.input(torch.cat([latent[:, self.deter :], action], dim=1))
        return self._gru(self.gates(torch.cat([x, h], dim=1)), h)

    def _gru(self, parts: Tensor, h: Tensor) -> Tensor:
        # DreamerV2's GRU: one layer norm over all gates, the reset gate on the candidate, update biased to keep.
        # The state stays in its own precision under autocast.
        parts = self.gates_norm(parts).to(h.dtype)
        reset, candidate, update = parts.chunk(3, dim=-1)
        if parts.requires_grad:
            return torch.lerp(h, torch.tanh(torch.sigmoid(reset) * candidate), torch.sigmoid(update - 1))
        # The same in place: at 1,024 envs, page faults of fresh megabytes cost as much as the arithmetic.
        return torch.lerp(h, candidate.mul_(reset.sigmoid_()).tanh_(), update.sub_(1).sigmoid_())

    def prior(self, h: Tensor) -> Tensor:
        """Logits [..., stoch, classes] of p(z | h)."""
        return self.prior_logits(self.prior_hidden(h)).unflatten(-1, (self.stoch, self.classes))

    def posterior(self, h: Tensor, embed: Tensor) -> Tensor:
        """Logits [..., stoch, classes] of q(z | h, observation)."""
        hidden = self.posterior_hidden(torch.cat([h, embed], dim=-1))
        return self.posterior_logits(hidden).unflatten(-1, (self.stoch, self.classes))

    def sample(self, logits: Tensor, uniform: Tensor) -> Tensor:
        """One-hot z [..., stoch * classes] with straight-through gradients; ``uniform`` [..., stoch]."""
        return categorical.straight_through(logits.softmax(-1), uniform).flatten(-2)

    def imagine(self, latent: Tensor, action: Tensor, uniform: Tensor) -> Tensor:
        """One step of the dream: [B, k] to [B, k]."""
        h = self.recur(latent, action)
        return torch.cat([h, self.sample(self.prior(h), uniform).to(h.dtype)], dim=1)

    def observe(self, latent: Tensor, action: Tensor, embed: Tensor, uniform: Tensor) -> Tensor:
        """One step of filtering: [B, k] to [B, k]."""
        h = self.recur(latent, action)
        return torch.cat([h, self.sample(self.posterior(h, embed), uniform).to(h.dtype)], dim=1)

    def unroll(self, embed: Tensor, action: Tensor, keep: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Filters whole sequences from nothing; the one loop of training, so all that can leaves it.

        Args:
            embed: [T, B, E].
            action: [T, B, A], the action that led to each step (zero at the first and after a reset).
            keep: [T, B, 1], 0 where the state restarts from nothing, else 1.
            uniform: [T, B, stoch].

        Returns:
            h [T, B, deter], z [T, B, stoch * classes], posterior logits [T, B, stoch, classes].
        """
        steps, batch = action.shape[:2]
        w_in, w_post = self.input.linear.weight, self.posterior_hidden.linear.weight
        from_z = SequenceLinear(w_in[:, : self.z_dim], steps, batch, F.linear(action, w_in[:, self.z_dim :]))
        to_gates = SequenceLinear(self.gates.weight, steps, batch)
        from_h = SequenceLinear(w_post[:, : self.deter], steps, batch, F.linear(embed, w_post[:, self.deter :]))
        bias = self.posterior_logits.bias.expand(steps, batch, -1)
        to_logits = SequenceLinear(self.posterior_logits.weight, steps, batch, bias)
        h = embed.new_zeros(batch, self.deter)
        z = embed.new_zeros(batch, self.z_dim)
        hs, zs, logits = [], [], []
        for t, (mask, noise) in enumerate(zip(keep.unbind(0), uniform.unbind(0), strict=True)):
            h, z = h * mask, z * mask
            x = F.silu(self.input.norm(from_z(t, z)))
            h = self._gru(to_gates(t, torch.cat([x, h], dim=1)), h)
            post = to_logits(t, F.silu(self.posterior_hidden.norm(from_h(t, h))))
            z = self.sample(post.unflatten(-1, (self.stoch, self.classes)), noise)
            hs.append(h)
            zs.append(z)
            logits.append(post)
        return torch.stack(hs), torch.stack(zs), torch.stack(logits).unflatten(-1, (self.stoch, self.classes))
