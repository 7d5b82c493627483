"""LAC-WM: a world model of several robots that share one latent action space, and its explicit-action baseline EAC-WM.

config.py      `LatentActionConfig`
blocks.py      attention blocks
inverse.py     the inverse dynamics model: two frames to a latent action
forward.py     the forward dynamics model: a frame and a latent action to the next frame
motion.py      motion labels, and the decoder of latent actions into them
projector.py   a robot's own actions to latent actions
decoder.py     tokens to images, for people
augment.py     cross-augmentation
model.py       `LatentActionModel`, the `WorldModel`
loss.py        what each stage minimises
adapters.py    LoRA, put in and merged
recipe.py      presets and stages, of training and of adaptation to a new robot
"""

from dreamgym.world_models.families.latent_action.config import LatentActionConfig
from dreamgym.world_models.families.latent_action.model import LatentActionModel

__all__ = ["LatentActionConfig", "LatentActionModel"]
