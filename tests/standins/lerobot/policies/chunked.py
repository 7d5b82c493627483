"""A policy with a queue of actions, as ACT has one, that goes where one linear layer says."""

from collections import deque
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from lerobot.configs.policies import PreTrainedConfig
from lerobot.policies.pretrained import PreTrainedPolicy


@PreTrainedConfig.register_subclass("chunked")
@dataclass
class ChunkedConfig(PreTrainedConfig):
    n_action_steps: int = 3
    noise: float = 0.0

    @property
    def image_features(self):
        return {key: feature for key, feature in self.input_features.items() if feature.type == "VISUAL"}


class ChunkedPolicy(PreTrainedPolicy):
    made: ClassVar[list["ChunkedPolicy"]] = []  # every one of this process, for tests to look at what they were shown
    config_class, name = ChunkedConfig, "chunked"

    def __init__(self, config, **kwargs):
        super().__init__(config)
        self.layer = nn.Linear(
            config.input_features["observation.state"].shape[0], config.output_features["action"].shape[0]
        )
        self.seen = []
        self.made.append(self)
        self.reset()

    def reset(self):
        self._queue = deque(maxlen=self.config.n_action_steps)

    @torch.no_grad()
    def select_action(self, batch, **kwargs):
        assert all(isinstance(sentence, str) for sentence in batch["task"])
        for key, feature in self.config.image_features.items():
            assert batch[key].shape[1:] == feature.shape
            assert batch[key].min() >= 0 and batch[key].max() <= 1
        self.seen.append(dict(batch))
        if not self._queue:
            action = self.layer(batch["observation.state"])
            action = action + self.config.noise * torch.randn(action.shape)
            self._queue.extend([action] * self.config.n_action_steps)
        return self._queue.popleft()
