"""A small video cascade, and pretrained parts of CogVideoX, as tests need them."""

from pathlib import Path
from typing import Any

import torch

from dreamgym.types import ActionSpec
from dreamgym.world_models.families.video_cascade import (
    AutoencoderSize,
    BackboneSize,
    TextSize,
    VideoCascade,
    VideoCascadeConfig,
)

TASKS = {"go_right": ("go right", "to the right"), "go_down": ("go down",)}
ACTION = ActionSpec((-1.0, -1.0), (1.0, 1.0))
SIZES: dict[str, Any] = {
    "camera": "rgb",
    "image": (3, 16, 16),
    "low": (8, 8),
    "frames": 5,
    "actions_per_frame": 2,
    "steps": 2,
    "lora_rank": 2,
    "refiner_steps": 2,
    "autoencoder": AutoencoderSize((4, 4, 4), 1, 4, 2, stride=2),
    "backbone": BackboneSize(heads=2, head_dim=16, layers=1, time_dim=16, latent_scale=1.0),
    "refiner": BackboneSize(heads=1, head_dim=16, layers=1, time_dim=16, latent_scale=1.0),
    "text": TextSize(width=16, head_dim=8, hidden=16, layers=1, heads=2, length=4, vocabulary=16),
}


def small_config(**changes: Any) -> VideoCascadeConfig:
    return VideoCascadeConfig.tiny(**{"tasks": TASKS, "control": ACTION, **SIZES, **changes})


def small_cascade(seed: int = 0, **changes: Any) -> VideoCascade:
    torch.manual_seed(seed)
    return VideoCascade(small_config(**changes)).eval()


def pretrained_config(folder: Path, **changes: Any) -> VideoCascadeConfig:
    """The config of a cascade on the weights that `save_pretrained` wrote."""
    more = {"weights": str(folder), "residual": False, "stages": ("preview", "refiner"), "guidance": 2.0}
    return small_config(**{**more, **changes})


def save_pretrained(folder: Path, image: bool = True, seed: int = 0, **changes: Any) -> Path:
    """A small CogVideoX as the hub has them: vae, transformer, text_encoder, tokenizer.

    Args:
        folder: where to.
        image: whether its transformer is conditioned on an image and has learned positions (5B-I2V), or is of text
            alone with sine positions (2B).
        seed: of the weights.
        changes: of the transformer's arguments.
    """
    from diffusers import AutoencoderKLCogVideoX, CogVideoXTransformer3DModel
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import PreTrainedTokenizerFast, T5EncoderModel

    from dreamgym.world_models.families.video_cascade.autoencoder import network_arguments
    from dreamgym.world_models.families.video_cascade.text import t5_config, vocabulary

    torch.manual_seed(seed)
    size = SIZES["backbone"] if image else SIZES["refiner"]
    words = vocabulary([s for each in TASKS.values() for s in each])
    transformer = CogVideoXTransformer3DModel(
        **{
            "num_attention_heads": size.heads, "attention_head_dim": size.head_dim, "num_layers": size.layers,
            "in_channels": 8 if image else 4, "out_channels": 4, "time_embed_dim": size.time_dim, "text_embed_dim": 16,
            "sample_width": 4, "sample_height": 4, "sample_frames": 5, "patch_size": 2, "max_text_seq_length": 4,
            "temporal_compression_ratio": 2, "use_rotary_positional_embeddings": image,
            "use_learned_positional_embeddings": image, **changes,
        }
    )  # fmt: skip
    transformer.save_pretrained(folder / "transformer")
    AutoencoderKLCogVideoX(**network_arguments(SIZES["autoencoder"])).save_pretrained(folder / "vae")
    T5EncoderModel(t5_config(SIZES["text"], len(words))).save_pretrained(folder / "text_encoder")
    table = {word or "<pad>": number for word, number in words.items()}
    tokenizer = Tokenizer(WordLevel(table, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    made = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>")
    made.save_pretrained(folder / "tokenizer")
    return folder
