"""SigLIP's text tower as a frozen encoder of instructions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from dreamgym.nn.encoders.vision import quiet_loading, transformers


class TextEncoder(nn.Module):
    """Sentences to vectors; never trained.

    Args:
        source: a folder or a name on the Hugging Face Hub that holds a SigLIP model and its tokenizer.

    Raises:
        ValueError: there is none.
    """

    def __init__(self, source: str) -> None:
        super().__init__()
        module = transformers()
        try:
            with quiet_loading():
                self.tokenizer: Any = module.AutoTokenizer.from_pretrained(source, trust_remote_code=False)
                self.network: Any = module.SiglipTextModel.from_pretrained(
                    source, dtype=torch.float32, use_safetensors=True
                )
        except (OSError, ValueError) as error:
            raise ValueError(
                f"no SigLIP text tower with a tokenizer at {source!r} ({str(error).splitlines()[0]}): give a folder "
                "that `dreamgym encoder --kind siglip` wrote, or a name on the Hugging Face Hub"
            ) from error
        self.requires_grad_(False)
        self.eval()

    @torch.no_grad()
    def forward(self, sentences: Sequence[str]) -> Tensor:
        """One vector a sentence, [N, D] float32 of length 1.

        Raises:
            ValueError: a sentence with words that the tokenizer does not know.
        """
        length = int(self.network.config.max_position_embeddings)
        told = self.tokenizer(list(sentences), padding="max_length", truncation=True, max_length=length)
        unknown = self.tokenizer.unk_token_id
        for sentence, ids in zip(sentences, told["input_ids"], strict=True):
            if unknown is not None and unknown in ids:
                raise ValueError(f"the text encoder does not know every word of {sentence!r}: use words it learned")
        device = next(self.network.parameters()).device
        out = self.network(input_ids=torch.tensor(told["input_ids"], device=device)).pooler_output
        return torch.nn.functional.normalize(out.float(), dim=-1)
