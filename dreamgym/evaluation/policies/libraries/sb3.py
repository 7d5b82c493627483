"""Models of Stable-Baselines3 and sb3-contrib as policies: "sb3:FILE.zip", with the `VecNormalize` they learned in."""

from __future__ import annotations

import importlib
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from dreamgym.envs.faces.vector import to_numpy
from dreamgym.evaluation.policies.libraries.options import TRUST, PolicyOptions
from dreamgym.types import ActionSpec, InstructionSpec, WorldModelSpec

PACKAGES = ("stable_baselines3", "sb3_contrib")
_DAMAGE = (
    OSError, zipfile.BadZipFile, pickle.UnpicklingError, EOFError, KeyError, ValueError, TypeError, AttributeError,
    ImportError, IndexError, RuntimeError, AssertionError, NotImplementedError,
)  # fmt: skip
"""What SB3, pickle and torch raise where a file is damaged or of another version."""


class SB3Policy:
    """A model of Stable-Baselines3; it acts deterministically, as SB3's `evaluate_policy` lets it.

    Args:
        model: with a method ``predict``, recurrent or not.
        spec: of the world model.
        obs: what it is shown; None: what its observation space says (see `shown`).
        normalizer: the `VecNormalize` that it learned in.

    Raises:
        ValueError: its actions are not this world's, or its observations are of none of this library's kinds.
    """

    def __init__(self, model: Any, spec: WorldModelSpec, obs: str | None = None, normalizer: Any = None) -> None:
        self.model, self.normalizer = model, normalizer
        self.obs = obs or shown(model.observation_space, spec)
        self.chunk, self._rescale = _fitted(model.action_space, spec)

    def start(self, num_envs: int, generator: torch.Generator | None) -> Any:
        return None

    def act(self, obs: Any, carry: Any, fresh: Tensor, generator: torch.Generator | None) -> tuple[Tensor, Any]:
        """Raises ValueError where the world's observations have another shape than the model's."""
        seen = to_numpy(obs)
        self._check(seen)
        if self.normalizer is not None:
            seen = self.normalizer.normalize_obs(seen)
        action, carry = self.model.predict(seen, state=carry, episode_start=fresh.cpu().numpy(), deterministic=True)
        if self._rescale is not None:
            low, high = self._rescale
            action = low + (high - low) * (np.clip(action, -1, 1) + 1) / 2
        action = torch.from_numpy(np.ascontiguousarray(action)).to(fresh.device)
        return action if isinstance(self.model.action_space, spaces.Discrete) else action.float(), carry

    def _check(self, seen: Any) -> None:
        space = self.model.observation_space
        parts = space.spaces if isinstance(space, spaces.Dict) else {"": space}
        found = seen if isinstance(seen, dict) else {"": seen}
        for key, part in parts.items():
            got = found[key].shape[1:] if key in found else None
            # Pictures may be channels first: SB3 turns them by itself.
            if got is None or sorted(got) != sorted(part.shape or ()):
                raise ValueError(
                    f"the model was trained on observations{' ' + key if key else ''} of shape {part.shape}, this "
                    f"world shows {got} as obs={self.obs!r}: it belongs to another world, or say with --obs what it "
                    "was shown"
                )


def shown(space: spaces.Space, spec: WorldModelSpec) -> str:
    """What a model with that observation space was shown: one of `OBS_MODES`.

    A vector as long as the features is taken for the features, which is what environments show by default; where the
    decoded state is as long, only the caller can know better.

    Raises:
        ValueError: a space that no environment of this library has.
    """
    if isinstance(space, spaces.Dict):
        return "dict" if "features" in space.spaces else "pixels"
    if isinstance(space, spaces.Box) and len(space.shape) == len(spec.feature_shape):
        return "features" if tuple(space.shape) == tuple(spec.feature_shape) else "state"
    raise ValueError(
        f"the model was trained on observations {space}, which this world has none of: train it in "
        "dreamgym.sb3_env(...), without stacked frames"
    )


def _fitted(space: spaces.Space, spec: WorldModelSpec) -> tuple[int | None, tuple[np.ndarray, np.ndarray] | None]:
    """The model's ``chunk``, and the bounds to which its actions in [-1, 1] are scaled; None: they are the world's.

    Raises:
        ValueError: its actions are not this world's.
    """
    if isinstance(spec.action, InstructionSpec):
        if isinstance(space, spaces.Discrete) and space.n == len(spec.action.sentences):
            return None, None
        raise ValueError(
            f"the model acts in {space}, this world takes one of {len(spec.action.sentences)} instructions"
        )
    assert isinstance(spec.action, ActionSpec)
    if not isinstance(space, spaces.Box) or space.shape[-1:] != (spec.action.dim,) or len(space.shape) > 2:
        size = space.shape if isinstance(space, spaces.Box) else space
        raise ValueError(
            f"the model's actions are {size}, this world's have {spec.action.dim} entries: it belongs to another world"
        )
    chunk = int(space.shape[0]) if len(space.shape) == 2 else None
    low, high = np.asarray(spec.action.low, np.float32), np.asarray(spec.action.high, np.float32)
    if np.allclose(space.low, low) and np.allclose(space.high, high):
        return chunk, None
    if np.allclose(space.low, -1) and np.allclose(space.high, 1):  # trained with normalize_actions=True
        return chunk, (low, high)
    raise ValueError(
        f"the model's actions lie in [{space.low.min():g}, {space.high.max():g}], this world's in "
        f"[{low.min():g}, {high.max():g}]: it belongs to another world"
    )


def load_sb3(name: str, spec: WorldModelSpec, device: torch.device | str, options: PolicyOptions) -> SB3Policy:
    """Loads "FILE.zip" or "CLASS:FILE.zip".

    Args:
        name: the file that a model's `save` wrote, behind the name of its class where the file does not tell it (a
            policy class of the user's own).
        spec: of the world model that it will act in.
        device: where its networks are to be.
        options: ``vecnormalize``, ``obs``, and ``trust``, without which nothing is loaded.

    Raises:
        ImportError: stable-baselines3 (or sb3-contrib, of its models) is missing.
        FileNotFoundError: no such file.
        ValueError: without trust; a damaged file or one of another library; a model that does not fit the world.
    """
    kind, _, path = name.rpartition(":")
    file = _file(path)
    if not options.trust:
        raise ValueError(f"sb3:{name}: a model of Stable-Baselines3 is a pickle, and loading it runs code: {TRUST}")
    if kind == "":
        kind = _recorded_class(file)
    algorithm = _algorithm(kind)
    try:
        model = algorithm.load(file, device=device)
    except _DAMAGE as error:
        raise ValueError(f"{file} cannot be loaded as {kind} ({type(error).__name__}: {error}): {_MEND}") from error
    normalizer = None if options.vecnormalize is None else _normalizer(_file(options.vecnormalize))
    return SB3Policy(model, spec, options.obs, normalizer)


_MEND = "name its class as sb3:CLASS:FILE.zip, or save it again with the version that is installed"


def _file(path: Any) -> Path:
    file = Path(path)
    found = next((f for f in (file, file.with_name(file.name + ".zip")) if f.is_file()), None)
    if found is None:
        raise FileNotFoundError(f"no file {str(file)!r}: expected what a model's save() or VecNormalize's save() wrote")
    return found


def _recorded_class(file: Path) -> str:
    """The algorithm's class, as far as the zip's JSON tells it without unpickling.

    Raises:
        ValueError: no zip of SB3, or a policy class of the user's own.
    """
    try:
        with zipfile.ZipFile(file) as content:
            data = json.loads(content.read("data"))
        module = str(data["policy_class"]["__module__"])
    except _DAMAGE as error:
        raise ValueError(f"{file} is no model that Stable-Baselines3 saved, or damaged ({error!r})") from error
    package, _, rest = module.partition(".")
    parts = rest.split(".")
    if package not in PACKAGES or len(parts) < 2 or parts[-1] != "policies":
        raise ValueError(f"{file} has a policy of {module}: {_MEND}")
    if package == "sb3_contrib" and "recurrent" in parts:
        return "RecurrentPPO"
    if parts[0] != "common":
        return parts[0].upper()
    # PPO, A2C and TRPO share their policies, and differ in what their training is told.
    return "PPO" if "n_epochs" in data else "TRPO" if "cg_max_steps" in data else "A2C"


def _algorithm(name: str) -> Any:
    """The class of that name in stable-baselines3 or sb3-contrib."""
    try:
        base: Any = importlib.import_module("stable_baselines3.common.base_class").BaseAlgorithm
    except ImportError as error:
        raise ImportError('models of SB3 need stable-baselines3: pip install "dreamgym[sb3]"') from error
    for package in PACKAGES:
        try:
            found = getattr(importlib.import_module(package), name, None)
        except ImportError:
            continue
        if isinstance(found, type) and issubclass(found, base):
            return found
    raise ImportError(
        f"neither stable-baselines3 nor sb3-contrib has {name!r} here: name its class as sb3:CLASS:FILE.zip, or "
        "pip install sb3-contrib"
    )


def _normalizer(file: Path) -> Any:
    from stable_baselines3.common.vec_env import VecNormalize

    try:
        with open(file, "rb") as stream:
            # Trusted by the caller, who passed trust: a VecNormalize is saved as a pickle and in no other way.
            found = pickle.load(stream)  # noqa: S301
    except _DAMAGE as error:
        raise ValueError(
            f"{file} cannot be loaded ({type(error).__name__}: {error}): save the VecNormalize again"
        ) from error
    if not isinstance(found, VecNormalize):
        raise ValueError(f"{file} holds a {type(found).__name__}, not what VecNormalize's save() wrote")
    return found
