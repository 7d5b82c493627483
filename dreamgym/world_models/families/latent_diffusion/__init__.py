"""Latent diffusion in the features of vision encoders (LaDi-WM)."""

from dreamgym.world_models.families.latent_diffusion.config import LatentDiffusionConfig
from dreamgym.world_models.families.latent_diffusion.model import LatentDiffusion

__all__ = ["LatentDiffusion", "LatentDiffusionConfig"]
