"""`PreTrainedPolicy`: a module with ``from_pretrained``, ``reset`` and ``select_action``."""

import abc
from pathlib import Path

from safetensors.torch import load_model, save_model
from torch import nn


class PreTrainedPolicy(nn.Module, abc.ABC):
    def __init__(self, config, *inputs, **kwargs):
        super().__init__()
        self.config = config

    def save_pretrained(self, folder):
        Path(folder).mkdir(parents=True, exist_ok=True)
        self.config.save(folder)
        save_model(self, str(Path(folder) / "model.safetensors"))

    @classmethod
    def from_pretrained(
        cls, pretrained_name_or_path, *, config=None, force_download=False, resume_download=None, proxies=None,
        token=None, cache_dir=None, local_files_only=False, revision=None, strict=False, **kwargs,
    ):  # fmt: skip
        policy = cls(config, **kwargs)
        load_model(policy, str(Path(pretrained_name_or_path) / "model.safetensors"), strict=strict)
        policy.to(config.device)
        policy.eval()
        return policy

    @abc.abstractmethod
    def reset(self): ...

    @abc.abstractmethod
    def select_action(self, batch, **kwargs): ...
