"""Instructions as the embeddings that the transformers attend to: a T5 encoder over words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from dreamgym.nn.pretrained import loading_pretrained
from dreamgym.world_models.families.video_cascade.config import VideoCascadeConfig
from dreamgym.world_models.families.video_cascade.pretrained import load_part, on_meta
from dreamgym.world_models.families.video_cascade.sizes import TextSize

PAD, UNKNOWN = 0, 1
SPECIAL = ("", "<unk>")


class InstructionEncoder(nn.Module):
    """Sentence numbers [B] to embeddings [B, L, D]; number S, one beyond the last sentence, is the empty one.

    Trained from scratch, it is a small T5 over the words of its own sentences. Of a pretrained CogVideoX it is a table:
    the sentences are known, so T5-XXL embeds each once, here, and is let go.
    """

    tokens: Tensor
    table: Tensor

    def __init__(self, config: VideoCascadeConfig) -> None:
        super().__init__()
        self.num_sentences = len(config.sentences)
        sentences, size = [*config.sentences, ""], config.text
        if config.weights is not None:
            self.register_buffer("table", embed_pretrained(config.weights, sentences, size))
            return
        from transformers import T5EncoderModel

        words = vocabulary(sentences)
        if len(words) > size.vocabulary:
            raise ValueError(f"the sentences have {len(words)} words, text.vocabulary allows {size.vocabulary}")
        self.register_buffer("tokens", torch.tensor([tokenize(s, words, size.length) for s in sentences]), False)
        # Its encoder is all of it; the model around it holds the word table twice, which no safetensors file may.
        self.network = T5EncoderModel(t5_config(size, len(words))).encoder

    def forward(self, sentence: Tensor) -> Tensor:
        """Embeddings [B, L, D] of sentence numbers, int64 [B]."""
        if hasattr(self, "table"):
            return self.table[sentence]
        tokens = self.tokens[sentence]
        mask = (tokens != PAD).long()
        mask[:, 0] = 1  # the empty sentence is one pad token, not nothing
        out: Tensor = self.network(input_ids=tokens, attention_mask=mask).last_hidden_state
        return out * mask.unsqueeze(-1)

    def pair(self, sentence: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings [B, L, D] of sentences int64 [B], and of no instruction."""
        text, empty = self(torch.cat([sentence, torch.full_like(sentence, self.num_sentences)])).chunk(2)
        return text, empty


def t5_config(size: TextSize, words: int) -> Any:
    """The config of a T5-v1.1 encoder of that size."""
    from transformers import T5Config

    return T5Config(
        vocab_size=words, d_model=size.width, d_kv=size.head_dim, d_ff=size.hidden, num_layers=size.layers,
        num_heads=size.heads, feed_forward_proj="gated-gelu", dropout_rate=0.0,
    )  # fmt: skip


def split(sentence: str) -> list[str]:
    """Lower-case words of a sentence."""
    return re.findall(r"[a-z0-9]+", sentence.lower())


def vocabulary(sentences: Sequence[str]) -> dict[str, int]:
    """Every word of the sentences and its number; padding and the unknown word come first."""
    words = sorted({word for sentence in sentences for word in split(sentence)})
    return {word: i for i, word in enumerate([*SPECIAL, *words])}


def tokenize(sentence: str, words: dict[str, int], length: int) -> list[int]:
    """Word numbers of a sentence, padded or cut to ``length``."""
    numbers = [words.get(word, UNKNOWN) for word in split(sentence)][:length]
    return numbers + [PAD] * (length - len(numbers))


@torch.no_grad()
def embed_pretrained(weights: str, sentences: Sequence[str], size: TextSize) -> Tensor:
    """Embeddings [S, L, D] of sentences by the text encoder of a pretrained CogVideoX."""
    if on_meta():
        return torch.empty(len(sentences), size.length, size.width)
    from transformers import AutoTokenizer, T5EncoderModel

    sizes = {"d_model": size.width, "num_layers": size.layers, "num_heads": size.heads, "d_ff": size.hidden}
    encoder = load_part(T5EncoderModel, weights, "text_encoder", sizes)
    try:
        tokenizer = AutoTokenizer.from_pretrained(weights, subfolder="tokenizer", trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise ValueError(f"{weights!r} has no tokenizer that can be read: {error}") from error
    # As CogVideoX's own pipeline embeds: padded to full length, without a mask.
    tokens = tokenizer(
        list(sentences), padding="max_length", max_length=size.length, truncation=True, return_tensors="pt"
    )
    with loading_pretrained():  # what it makes on its way is large as its weights are
        return torch.cat([encoder(each[None])[0] for each in tokens.input_ids])
