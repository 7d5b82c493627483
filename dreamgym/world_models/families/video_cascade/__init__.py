"""The video cascade ("DVG-WM"): a low-resolution preview of a clip, refined to high resolution by a flow.

    sentence, first frame ──denoise at low resolution──> preview ──upsample, degrade, flow──> refined clip

The order of reading: `config.py` and `sizes.py`; `autoencoder.py`, `text.py` and `backbone.py`, which wrap the classes
of diffusers and transformers; `preview.py` (denoising) and `refinement.py` (the flow); `model.py`, the contract;
`loss.py` and `recipe.py`, training; `cost.py`, parameters and FLOPs.
"""

from dreamgym.world_models.families.video_cascade.config import VideoCascadeConfig
from dreamgym.world_models.families.video_cascade.model import VideoCascade
from dreamgym.world_models.families.video_cascade.sizes import AutoencoderSize, BackboneSize, TextSize

__all__ = ["VideoCascade", "VideoCascadeConfig", "AutoencoderSize", "BackboneSize", "TextSize"]
