"""A diffusion policy, cloned from demonstrations and fine-tuned in a dream with PPO over its denoising steps (DiWA).

The room, in the order of the data (what it shares with others is in `dreamgym_agents.common`)::

    config.py          sizes of the policies; `paper()` and `tiny()` presets
    schedules.py       how to clone and how to fine-tune; presets as well
    noise.py           the noise schedule and the posterior of denoising
    networks.py        the MLP, the denoising network, the critic
    policy.py          what policies share: chunks under way, chains of denoising steps
    diffusion.py       `DiffusionPolicy`        gaussian.py   `GaussianPolicy`
    clone.py           `clone`
    rollout.py         trajectories of the Dream Diffusion MDP
    advantages.py      GAE at k = 1, carried back along the denoising steps
    ppo.py             the clipped objective and the cloning regulariser
    tune.py            `tune`
    checkpoint.py      `save_policy`, `load_policy`
    recipes.py         both from names: a store, a world model, an env id
    shipped.py         policies that ship with the package
    demo.py            the part of ``dreamgym demo`` that fine-tunes one
    tuned.py           what that came to, in figures and words
    demo_page.py       its section of the page
    options.py         what the command line can be asked for
    commands.py        ``dreamgym diffusion-ppo clone | tune | ship | demo``
"""

from dreamgym_agents.diffusion_ppo.checkpoint import load_policy, read_policy_config, save_policy
from dreamgym_agents.diffusion_ppo.clone import clone
from dreamgym_agents.diffusion_ppo.config import DiffusionConfig, GaussianConfig, PolicyConfig
from dreamgym_agents.diffusion_ppo.diffusion import DiffusionPolicy
from dreamgym_agents.diffusion_ppo.gaussian import GaussianPolicy
from dreamgym_agents.diffusion_ppo.policy import ChunkPolicy
from dreamgym_agents.diffusion_ppo.schedules import CloneConfig, TuneConfig
from dreamgym_agents.diffusion_ppo.tune import TuneResult, tune

__all__ = [
    "ChunkPolicy",
    "CloneConfig",
    "DiffusionConfig",
    "DiffusionPolicy",
    "GaussianConfig",
    "GaussianPolicy",
    "PolicyConfig",
    "TuneConfig",
    "TuneResult",
    "clone",
    "load_policy",
    "read_policy_config",
    "save_policy",
    "tune",
]
