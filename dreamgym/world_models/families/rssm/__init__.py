"""Recurrent state-space models with categorical latents (DiWA S.2.1, Table S.2)."""

from dreamgym.world_models.families.rssm.config import RSSMConfig
from dreamgym.world_models.families.rssm.model import RSSM

__all__ = ["RSSM", "RSSMConfig"]
