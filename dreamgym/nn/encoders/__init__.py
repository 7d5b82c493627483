"""Pretrained vision encoders behind one call: images in, a grid of tokens out; frozen, identified by sha256."""

from dreamgym.nn.encoders.config import KINDS, EncoderConfig
from dreamgym.nn.encoders.reading import encoder_config
from dreamgym.nn.encoders.text import TextEncoder
from dreamgym.nn.encoders.vision import VisionEncoder

__all__ = ["KINDS", "EncoderConfig", "TextEncoder", "VisionEncoder", "encoder_config"]
