"""Policies that look at what they are about to do (LaDi-WM, section 3.2): a chunk is imagined before it is executed.

    chunk ──world model──> imagined features ──policy──> better chunk, a few times over

`refine` does it with any chunk policy on any dream. `GuidedPolicy` is the paper's: a diffusion policy that reads the
imagined features as further tokens.
"""

from dreamgym_agents.refinement.config import GuidedConfig
from dreamgym_agents.refinement.policy import GuidedPolicy
from dreamgym_agents.refinement.refine import Refined, refine
from dreamgym_agents.refinement.saving import load, save
from dreamgym_agents.refinement.training import GuidedTraining, train

__all__ = ["GuidedConfig", "GuidedPolicy", "GuidedTraining", "Refined", "load", "refine", "save", "train"]
