"""Low-rank adapters (LoRA): put into the attention layers of a part, and merged into its weights again."""

from __future__ import annotations

from typing import Any

from torch import nn

TARGETS = r".*(attention|temporal)\.(query|key|value|out)"


def insert(part: nn.Module, rank: int) -> None:
    """Gives every attention layer of ``part`` an adapter of that rank, in place.

    Raises:
        ImportError: peft is missing.
    """
    peft = _peft()
    config = peft.LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=TARGETS, lora_dropout=0.0, bias="none")
    peft.inject_adapter_in_model(config, part)


def merge(part: nn.Module) -> None:
    """Adds the adapters of ``part`` to the weights that they adapt, and takes them out."""
    layer = _peft().tuners.lora.LoraLayer
    for name, module in list(part.named_modules()):
        if isinstance(module, layer):
            module.merge()
            above, _, attribute = name.rpartition(".")
            setattr(part.get_submodule(above), attribute, module.get_base_layer())
    if hasattr(part, "peft_config"):
        del part.peft_config


def _peft() -> Any:
    try:
        import peft
    except ImportError as error:
        raise ImportError('adapting to a new robot needs peft: pip install "dreamgym[latent-action]"') from error
    return peft
