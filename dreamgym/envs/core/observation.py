"""What an env shows of a model state: features, state, pixels or a dict of all, with the space that describes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from dreamgym.types import State, WorldModelSpec
from dreamgym.world_models.base import WorldModel

OBS_MODES = ("features", "state", "pixels", "dict")


def sensors_to_torch(obs: dict[str, Any], spec: WorldModelSpec, device: torch.device | str) -> dict[str, Tensor]:
    """A face's numpy observations (images [..., H, W, C]) as a model reads them (torch, [..., C, H, W]).

    Torch tensors pass as they are: they are C H W already. Sensors that the model does not read are left out.
    """
    out = {}
    for key, value in obs.items():
        if key not in spec.observations and key != "action":
            continue
        if not isinstance(value, Tensor):
            value = torch.from_numpy(np.ascontiguousarray(value))
            if key in spec.observations and spec.observations[key].kind == "image":
                value = value.movedim(-1, -3)
        out[key] = value.to(device)
    return out


def to_uint8(image: Tensor) -> Tensor:
    """Decoded images [..., C, H, W] in [0, 1] as uint8 [..., H, W, C]."""
    return image.mul(255.0).round_().clamp_(0, 255).to(torch.uint8).movedim(-3, -1).contiguous()


class ObservationReader:
    """Reads observations off model states; made once per env.

    Attributes:
        mode: "features", "state", "pixels" or "dict".
        space: the single-env space.
        features_are_state: whether features are a part of the state, without a copy.
        aliases: whether features are handed out that are the state itself.
        images, vectors: what the model decodes, key -> shape (C H W and (d,)), found on a blank state.
    """

    def __init__(
        self,
        model: WorldModel,
        mode: str,
        tasks: tuple[str, ...],
        blank: State,
        copy: bool = True,
        proprioception: str | None = None,
    ) -> None:
        if mode not in OBS_MODES:
            raise ValueError(f"obs must be one of {OBS_MODES}, got {mode!r}")
        self.model, self.mode, self.proprioception = model, mode, proprioception
        with torch.no_grad():
            decoded = model.decode(blank, list(model.spec.decodable)) if model.spec.decodable else {}
            features = model.features(blank)
        if tuple(features.shape[1:]) != tuple(model.spec.feature_shape):
            raise ValueError(
                f"features have shape {tuple(features.shape[1:])} but the spec says {tuple(model.spec.feature_shape)}: "
                "mend spec.feature_shape"
            )
        self.images = {k: tuple(v.shape[1:]) for k, v in decoded.items() if v.dim() == 4}
        self.vectors = {k: tuple(v.shape[1:]) for k, v in decoded.items() if v.dim() == 2}
        # A features() that hands out the state itself would let a caller write into the dream.
        held = {v.untyped_storage().data_ptr() for v in blank.values()}
        same = features.untyped_storage().data_ptr() in held
        self.features_are_state = same
        self._copy = same and copy
        self.aliases = same and not copy
        self._require()
        self.space = self._space(len(tasks))

    def _require(self) -> None:
        family = self.model.spec.family
        if self.mode == "state" and not self.vectors:
            raise ValueError(
                f"obs='state' needs a model with a state head; this {family} model decodes "
                f"{list(self.model.spec.decodable)}. Use obs='features', or a hybrid or state checkpoint"
            )
        if self.mode == "pixels" and not self.images:
            raise ValueError(
                f"obs='pixels' needs a model that decodes images; this {family} model decodes "
                f"{list(self.model.spec.decodable)}. Use obs='features' or obs='state'"
            )

    def _space(self, num_tasks: int) -> spaces.Space:
        def box(shape: tuple[int, ...]) -> spaces.Box:
            return spaces.Box(-np.inf, np.inf, shape, np.float32)

        features = box(tuple(self.model.spec.feature_shape))
        state = box((sum(s[0] for s in self.vectors.values()),)) if self.vectors else None
        pixels = {k: spaces.Box(0, 255, (h, w, c), np.uint8) for k, (c, h, w) in self.images.items()}
        if self.mode == "features":
            return features
        if self.mode == "state":
            assert state is not None
            return state
        if self.mode == "pixels":
            return spaces.Dict(dict(pixels))
        parts: dict[str, spaces.Space] = {"features": features, "instruction": spaces.Discrete(num_tasks), **pixels}
        if state is not None:
            parts["state"] = state
        if self.proprioception in self.vectors:
            parts["proprioception"] = box(self.vectors[self.proprioception])
        return spaces.Dict(parts)

    def features(self, state: State) -> Tensor:
        """``[B, *feature_shape]``, never a view of the state."""
        features = self.model.features(state)
        return features.clone() if self._copy else features

    def __call__(self, state: State, task: Tensor) -> Tensor | dict[str, Tensor]:
        """The observation of B states; images uint8 [B, H, W, C]. Fresh tensors each time."""
        if self.mode == "features":
            return self.features(state)
        keys = [*(self.images if self.mode != "state" else ()), *(self.vectors if self.mode != "pixels" else ())]
        decoded = self.model.decode(state, keys) if keys else {}
        return self.assemble(
            lambda: self.features(state),
            task,
            lambda: {k: to_uint8(decoded[k]) for k in self.images},
            lambda: {k: decoded[k] for k in self.vectors},
        )

    def assemble(
        self,
        features: Callable[[], Tensor],
        task: Tensor,
        images: Callable[[], dict[str, Tensor]],
        vectors: Callable[[], dict[str, Tensor]],
    ) -> Tensor | dict[str, Tensor]:
        """The observation in this reader's mode from its parts, each made only where it is shown.

        Args:
            features: gives ``[B, *feature_shape]``.
            task: [B] int64.
            images: gives uint8 [B, H, W, C] by camera.
            vectors: gives float32 [B, d] by sensor.
        """
        if self.mode == "features":
            return features()
        if self.mode == "pixels":
            return images()
        parts = vectors()
        state = torch.cat([parts[k] for k in self.vectors], -1) if self.vectors else None
        if self.mode == "state":
            assert state is not None
            return state
        out = {"features": features(), "instruction": task.clone(), **images()}
        if state is not None:
            out["state"] = state
        if self.proprioception in self.vectors:
            out["proprioception"] = parts[self.proprioception].clone()
        return out

    def fresh(self, state: State, task: Tensor, rows: Tensor) -> Tensor | dict[str, Tensor]:
        """The observation of ``state``, K states that nobody else holds, of the envs ``rows``; ``task`` [B]."""
        if self.mode == "features":
            return self.model.features(state)
        return self(state, task.index_select(0, rows))

    def picture(self, state: State) -> Tensor:
        """All cameras side by side, uint8 [B, H, W, 3]; lower ones are padded with black below."""
        if not self.images:
            raise ValueError(
                f"nothing to render: this {self.model.spec.family} model decodes no images, only "
                f"{list(self.model.spec.decodable)}"
            )
        images = [to_uint8(v) for v in self.model.decode(state, list(self.images)).values()]
        height = max(i.shape[1] for i in images)
        padded = [torch.nn.functional.pad(i, (0, 0, 0, 0, 0, height - i.shape[1])) for i in images]
        return torch.cat(padded, 2)
