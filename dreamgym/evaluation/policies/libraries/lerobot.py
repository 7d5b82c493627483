"""Policies of LeRobot (ACT, diffusion, SmolVLA, pi0, ...): "lerobot:FOLDER" and "lerobot:organisation/name".

They are loaded and asked as ``lerobot-eval`` does it, by the API of lerobot 0.6.2 (commit 7427f31): the configuration
by ``PreTrainedConfig.from_pretrained``, the class by ``get_policy_class``, the weights by its ``from_pretrained``, the
pipelines by ``make_pre_post_processors``; then a ``reset`` an episode and a ``select_action`` a step. That package
needs Python 3.12.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor
from torch.nn import functional

from dreamgym.evaluation.policies.libraries.options import TRUST, PolicyOptions
from dreamgym.fields import parse_json
from dreamgym.training.checkpoint import hub
from dreamgym.types import InstructionSpec, WorldModelSpec

PROCESSORS = ("policy_preprocessor.json", "policy_postprocessor.json")
IMAGE, IMAGES, STATE, ACTION = "observation.image", "observation.images.", "observation.state", "action"
READ = (IMAGE, IMAGES, STATE, "observation.environment_state")
"""What lerobot's policies read of the features that a data set gave their configuration; all else they leave."""
_DAMAGE = (OSError, KeyError, ValueError, TypeError, AttributeError, IndexError, RuntimeError, SafetensorError)
"""What lerobot, draccus and safetensors raise where a policy is damaged or of another version."""

_log = logging.getLogger(__name__)


class LeRobotPolicy:
    """A policy of LeRobot. It remembers its plan itself, so one object acts in one world at a time.

    It is shown cameras as float [B, C, H, W] in [0, 1] under ``observation.images.NAME`` (the sensor's name, or what
    the suite calls the camera), resized to the size that its configuration states; the robot's own sensor (or, where
    there is none, the whole state) under ``observation.state``; and what is to be done, as a sentence, under ``task``.
    Where a frame of the world model spans several actions, it sees the last frame again for each of them.

    Args:
        policy: of lerobot, with its weights, on a device.
        pipelines: its preprocessor and its postprocessor.
        spec: of the world model.
        options: see `PolicyOptions`.

    Raises:
        ValueError: the world is driven by instructions, or its actions have another number of entries.
    """

    obs = "dict"

    def __init__(self, policy: Any, pipelines: tuple[Any, Any], spec: WorldModelSpec, options: PolicyOptions) -> None:
        self._policy, (self._before, self._after) = policy, pipelines
        self._config, self._options = policy.config, options
        if isinstance(spec.action, InstructionSpec):
            raise ValueError("a LeRobot policy gives control actions, and this model is driven by instructions")
        feature = (self._config.output_features or {}).get(ACTION)
        if feature is not None and tuple(feature.shape) != (spec.action.dim,):
            raise ValueError(
                f"the policy's actions have shape {tuple(feature.shape)}, this world's have {spec.action.dim} entries: "
                "it was trained for another robot"
            )
        self._actions = spec.actions_per_frame
        self.chunk = self._actions if self._actions > 1 else None
        self._sensors: dict[str, str] | None = None
        self._resized: set[str] = set()

    def start(self, num_envs: int, generator: torch.Generator | None) -> list[str]:
        return [""] * num_envs

    def begin(self, carry: list[str], fresh: Tensor, tasks: list[str]) -> list[str]:
        """The sentence of each env's task."""
        suite = self._options.suite
        return [task.replace("_", " ") if suite is None else suite.instruction(task) for task in tasks]

    def act(
        self, obs: Mapping[str, Tensor], carry: list[str], fresh: Tensor, generator: torch.Generator | None
    ) -> tuple[Tensor, list[str]]:
        """Raises ValueError where the world lacks a sensor, or where some envs begin while others go on."""
        if fresh.any():
            if not fresh.all():
                raise ValueError("a LeRobot policy plans for all envs together: begin their episodes together")
            self._policy.reset()
        batch = {**self._seen(obs), "task": list(carry)}
        with _seeded(generator, fresh.device), _precision(self._config, fresh.device):
            actions = [self._after(self._policy.select_action(self._before(dict(batch)))) for _ in range(self._actions)]
        action = actions[0] if self.chunk is None else torch.stack(actions, 1)
        return action.to(fresh.device, torch.float32), carry

    def _seen(self, obs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What the policy reads, under its own keys."""
        if self._sensors is None:
            self._sensors = self._matched(obs)
        return {key: self._shaped(key, obs[sensor]) for key, sensor in self._sensors.items()}

    def _matched(self, obs: Mapping[str, Tensor]) -> dict[str, str]:
        """KEY -> SENSOR of all that the policy reads.

        A configuration lists every ``observation.*`` of the data set that the policy learned from, of which lerobot's
        policies read the cameras, the robot's state and the environment's; no other need be here.

        Raises:
            ValueError: the world shows nothing of that name; the message says what it shows.
        """
        cameras = {name: name for name, value in obs.items() if value.dtype == torch.uint8}
        suite = self._options.suite
        cameras |= {} if suite is None else {called: key for key, called in suite.cameras.items() if key in cameras}
        known = {f"{IMAGES}{name}": sensor for name, sensor in cameras.items()}
        if len(set(cameras.values())) == 1:
            known[IMAGE] = next(iter(cameras.values()))
        own = next((name for name in ("proprioception", "state") if name in obs), None)
        known |= ({} if own is None else {STATE: own}) | self._options.sensors()
        wanted = [key for key in self._config.input_features or known if "empty_camera" not in key]
        sensors = sorted(name for name in obs if name != "instruction")
        missing = [key for key in wanted if known.get(key) not in obs]
        if left := [key for key in missing if not key.startswith(READ)]:
            _log.warning("nothing here goes by the names %s of the policy's configuration: left out", left)
        if missing := [key for key in missing if key not in left]:
            raise ValueError(
                f"the policy reads {missing}, and nothing here goes by that name: say which of this world's sensors "
                f"{sensors} it is, with --map SENSOR={missing[0]}"
            )
        return {key: known[key] for key in wanted if known.get(key) in obs}

    def _shaped(self, key: str, value: Tensor) -> Tensor:
        feature = (self._config.input_features or {}).get(key)
        shape = None if feature is None else tuple(feature.shape)
        if value.dtype == torch.uint8:
            image = value.movedim(-1, 1).float() / 255
            if shape is None or tuple(image.shape[1:]) == shape:
                return image
            if key not in self._resized:
                self._resized.add(key)
                _log.warning("%s: this world's %s are resized to %s", key, tuple(image.shape[2:]), shape[1:])
            return functional.interpolate(image, shape[1:], mode="bilinear", antialias=True)
        if shape is not None and tuple(value.shape[1:]) != shape:
            raise ValueError(
                f"the policy reads {key} of shape {shape}, the sensor that it is shown has {value.shape[1]} entries: "
                f"it was trained on another robot, or name the sensor, with --map SENSOR={key}"
            )
        return value.float()


@contextlib.contextmanager
def _seeded(generator: torch.Generator | None, device: torch.device) -> Iterator[None]:
    """Policies that draw do so from torch's own generator: it is seeded for them, and left as it was."""
    if generator is None:
        yield
        return
    seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def _precision(config: Any, device: torch.device) -> contextlib.AbstractContextManager[Any]:
    return torch.autocast(device.type) if getattr(config, "use_amp", False) else contextlib.nullcontext()


def load_lerobot(name: str, spec: WorldModelSpec, device: torch.device | str, options: PolicyOptions) -> LeRobotPolicy:
    """Loads "FOLDER" or "organisation/name", with "@revision" if need be.

    Args:
        name: the folder that lerobot's training saved (`pretrained_model`, or the one that holds it), or a repository.
        spec: of the world model that it will act in.
        device: where the policy is to be.
        options: names of sensors, and whether code that the folder names may run.

    Raises:
        ImportError: lerobot is missing, or one of the policy's own packages.
        ValueError: no such folder or repository; a damaged one; a pipeline that runs code of others, without trust; a
            policy that does not fit the world.
    """
    try:
        from lerobot.configs.policies import PreTrainedConfig
        from lerobot.policies.factory import get_policy_class, make_pre_post_processors
    except ImportError as error:
        raise ImportError(
            f"policies of LeRobot need lerobot 0.4 or newer: pip install lerobot, in Python 3.12 ({error})"
        ) from error
    folder = _folder(name)
    steps = {file: _steps(folder / file, options.trust) for file in PROCESSORS}
    placed = {"device_processor": {"device": str(device)}} if "device_processor" in steps[PROCESSORS[0]] else {}
    try:
        config = PreTrainedConfig.from_pretrained(folder)
        config.device, config.pretrained_path = str(device), folder
        policy = _weights(get_policy_class(config.type), folder, config)
        pipelines = make_pre_post_processors(
            policy_cfg=config, pretrained_path=str(folder), preprocessor_overrides=placed
        )
    except ImportError as error:
        raise ImportError(f"lerobot:{name} needs more of lerobot: {error}") from error
    except _DAMAGE as error:
        told = f"{type(error).__name__}: {error}"
        raise ValueError(
            f"lerobot:{name} cannot be loaded ({told}): expected what save_pretrained of lerobot 0.4 or newer wrote"
        ) from error
    return LeRobotPolicy(policy.eval(), pipelines, spec, options)


def _weights(policy_class: Any, folder: Path, config: Any) -> Any:
    """The policy with its weights; of one that was trained by adapters, its base with them on top."""
    if not getattr(config, "use_peft", False):
        return policy_class.from_pretrained(folder, config=config)
    try:
        from peft import PeftConfig, PeftModel
    except ImportError as error:
        raise ImportError(f'adapters need peft: pip install "dreamgym[video]" ({error})') from error
    adapter = PeftConfig.from_pretrained(str(folder))
    if not adapter.base_model_name_or_path:
        raise ValueError("adapter_config.json names no policy that it was trained on")
    base = policy_class.from_pretrained(adapter.base_model_name_or_path, config=config, revision=adapter.revision)
    return PeftModel.from_pretrained(base, str(folder), config=adapter)


def _folder(name: str) -> Path:
    """The local folder: as it is, the `pretrained_model` inside it, or what the Hub has.

    Raises:
        ValueError: there is none.
    """
    place = Path(name)
    if (place / "pretrained_model").is_dir():
        place = place / "pretrained_model"
    if not place.exists():
        return hub.download(name)
    if not (place / "config.json").is_file():
        raise ValueError(
            f"lerobot:{name}: {place} holds no config.json: point at .../checkpoints/last/pretrained_model, which "
            "lerobot's training wrote"
        )
    return place


def _steps(file: Path, trust: bool) -> list[str]:
    """Names of a pipeline's steps.

    Raises:
        ValueError: no such file, a damaged one, or a step that is code of others, without trust.
    """
    try:
        steps = [(step.get("registry_name"), step.get("class", "")) for step in parse_json(file.read_text())["steps"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{file} is missing or damaged ({error}): policies of before lerobot 0.4 have none; convert them with "
            "lerobot's migrate_policy_normalization"
        ) from error
    foreign = [code for known, code in steps if known is None and not str(code).startswith("lerobot.")]
    if foreign and not trust:
        raise ValueError(f"{file} names code that loading it would import and call, {foreign}: {TRUST}")
    return [str(known or str(code).rpartition(".")[2]) for known, code in steps]
