"""SigLIP at a small size: images and sentences by a sigmoid loss over all pairs of a batch (Zhai et al. 2023)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dreamgym.fields import check_numbers
from dreamgym.nn.encoders.config import NORMALISATION
from dreamgym.nn.encoders.vision import transformers
from dreamgym.training.encoders.frames import Sentences, crops

PAD, UNKNOWN, END = "<pad>", "<unk>", "</s>"


@dataclass(frozen=True)
class SigmoidConfig:
    """Configures a small SigLIP and its training.

    Attributes:
        image_size, patch: of the frames and their patches, pixels.
        width: of both towers.
        layers, text_layers: of the towers.
        heads: of both.
        text_length: words of a text at most, its end included.
        scale: range of a crop's share of the image's area.
    """

    image_size: int = 64
    patch: int = 8
    width: int = 128
    layers: int = 4
    text_layers: int = 2
    heads: int = 4
    text_length: int = 40
    scale: tuple[float, float] = (0.9, 1.0)

    def __post_init__(self) -> None:
        check_numbers(self)


class LanguageImage(nn.Module):
    """A SigLIP model, its tokenizer and its loss.

    Texts are made of several sentences each of which holds of many frames, so which pairs belong together is read off
    the sentences ("holds"), not off the diagonal. The cameras of one moment are read as one image: their embeddings
    are added.

    Args:
        config: sizes.
        sentences: whose words the tokenizer knows; its texts become numbers by this tokenizer.
    """

    def __init__(self, config: SigmoidConfig, sentences: Sentences) -> None:
        super().__init__()
        self.config, module = config, transformers()
        self.tokenizer = _tokenizer(sentences.words, config.text_length)
        vocabulary = self.tokenizer.get_vocab()
        sentences.tokenize(vocabulary, config.text_length, vocabulary[PAD], vocabulary[END])
        towers = {
            "hidden_size": config.width,
            "num_attention_heads": config.heads,
            "intermediate_size": 4 * config.width,
        }
        self.model: Any = module.SiglipModel(
            module.SiglipConfig(
                vision_config={
                    **towers,
                    "num_hidden_layers": config.layers,
                    "image_size": config.image_size,
                    "patch_size": config.patch,
                },
                text_config={
                    **towers,
                    "num_hidden_layers": config.text_layers,
                    "max_position_embeddings": config.text_length,
                    "vocab_size": len(vocabulary),
                    "projection_size": config.width,
                    "pad_token_id": vocabulary[PAD],
                    "bos_token_id": vocabulary[END],
                    "eos_token_id": vocabulary[END],
                },
            )
        )
        with torch.no_grad():  # SigLIP's own start: temperature 10, bias -10
            self.model.logit_scale.fill_(2.3)
            self.model.logit_bias.fill_(-10.0)

    def loss(self, batch: dict[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        """Minus the log-likelihood of which texts hold of which frames, a frame.

        Args:
            batch: "images" uint8 [B, cameras, 3, H, W], "tokens" int64 [B, L], "holds" bool [B, B].
            generator: source of crops.
        """
        mean, std = NORMALISATION["siglip"]
        count, cameras = batch["images"].shape[:2]
        images = batch["images"].flatten(0, 1).float() / 255
        images = (crops(images, self.config.image_size, self.config.scale, generator) - mean[0]) / std[0]
        seen = self.model.vision_model(pixel_values=images).pooler_output.unflatten(0, (count, cameras)).sum(1)
        told = self.model.text_model(input_ids=batch["tokens"]).pooler_output
        seen, told = F.normalize(seen.float(), dim=-1), F.normalize(told.float(), dim=-1)
        logits = seen @ told.T * self.model.logit_scale.exp() + self.model.logit_bias
        sign = batch["holds"].float() * 2 - 1
        pairs = -F.logsigmoid(sign * logits)
        right = ((logits > 0) == batch["holds"]).float()
        held = batch["holds"].float()
        return {
            "loss": pairs.sum(1).mean(),
            "recall": ((right * held).sum() / held.sum()).detach(),
            "specificity": ((right * (1 - held)).sum() / (1 - held).sum().clamp(min=1)).detach(),
        }

    def save(self, folder: str | Path) -> None:
        """Writes both towers and the tokenizer as transformers' ``from_pretrained`` reads them."""
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)


def _tokenizer(words: list[str], length: int) -> Any:
    """One number a word; texts are lowered and split at blanks."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    vocabulary = {word: i for i, word in enumerate([PAD, UNKNOWN, END, *words])}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.post_processor = processors.TemplateProcessing(single=f"$A {END}", special_tokens=[(END, vocabulary[END])])
    return transformers().PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token=PAD, unk_token=UNKNOWN, eos_token=END, model_max_length=length
    )
