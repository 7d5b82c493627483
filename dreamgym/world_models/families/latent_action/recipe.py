"""How a latent-action model is trained, and adapted to a new robot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from dreamgym.data.join import EMBODIMENT
from dreamgym.data.store import EpisodeView
from dreamgym.fields import convert, field_types
from dreamgym.nn.encoders import EncoderConfig, encoder_config
from dreamgym.suites.facts import StoreFacts
from dreamgym.world_models.base import WorldModel
from dreamgym.world_models.families.latent_action import adapters
from dreamgym.world_models.families.latent_action.config import ORDERS, PAPER, TINY, LatentActionConfig, Motion
from dreamgym.world_models.families.latent_action.model import LatentActionModel
from dreamgym.world_models.families.latent_action.motion import motion_labels
from dreamgym.world_models.recipe import Example, FitConfig, Preset, Recipe, Stage, Windows

TEMPORAL = "fdm.blocks.*.temporal.*"
SAMPLES = 256  # pairs of frames from which the usual change of tokens is read
SHARES = {"inverse": 20.0, "project": 5.0, "joint": 35.0}  # thousands of updates (section 4.3)


class LatentActionRecipe(Recipe):
    """Pretraining without temporal attention, then with it; then the projectors of the robots that were seen.

    The last quarter of pretraining has temporal attention (A.5: 20,000 of 80,000 updates). The paper trains projectors
    for the robot that it adapts to alone; here each robot has one, so that all of them can be acted as.
    """

    config_class = LatentActionConfig
    presets: ClassVar[Mapping[str, Preset]] = {
        "paper": Preset(PAPER, {"steps": 80_000, "lr": 1e-4}, Windows(batch_size=512, length=6)),
        "tiny": Preset(
            TINY,
            {"steps": 12_000, "lr": 6e-4, "warmup": 200, "cooldown": 0.3, "weight_decay": 1e-3, "ema": 0.995,
             "grad_clip": 1.0},
            Windows(batch_size=24, length=6, balance="episode"),
        ),
    }  # fmt: skip

    def config(self, facts: StoreFacts, preset: str, changes: Mapping[str, Any]) -> LatentActionConfig:
        """Camera, robots and poses of a store; an encoder of which only kind and source are told is read there.

        Raises:
            ValueError: no camera, or several and none named; no sensor whose poses tell motion; or an encoder whose
                weights cannot be read.
        """
        types = field_types(LatentActionConfig)
        changes = {k: convert(_read(v) if k == "encoder" else v, types[k], k) for k, v in changes.items()}
        images = [k for k, s in facts.sensors.items() if s.kind == "image"]
        sensor = changes.get("sensor", images[0] if len(images) == 1 else None)
        if sensor not in images:
            raise ValueError(f"a latent-action model reads one camera; name one of {images} with --set sensor=NAME")
        given = {
            "robots": dict(facts.robots) or {facts.robot or "robot": facts.action},
            "sensor": sensor,
            "image": facts.sensors[sensor].shape,
            "motion": _motion(facts, changes),
            "frame_rate": facts.frame_rate,
        }
        return LatentActionConfig(**{**self.preset(preset).model, **given, **changes})

    def keys(self, config: LatentActionConfig) -> tuple[str, ...]:
        """The camera, the poses, and which robot a row is of where there are several."""
        motion = () if config.motion is None else (config.motion.sensor,)
        several = (EMBODIMENT,) if len(config.robots) > 1 and not config.adaptation else ()
        return (config.sensor, *motion, *several)

    def prepare(self, model: LatentActionModel, episodes: EpisodeView) -> None:
        """Loads the encoder, and sets the usual change of tokens and the spread of motion labels."""
        config = model.config
        if config.encoder.kept:
            model.encoder.fetch()
        model.fdm.scale.copy_(_change(model, episodes))
        if model.motion is not None and config.motion is not None:
            labels = _labels(config.motion, config.actions_per_frame, episodes)
            std = labels.std(0, correction=0)
            model.motion.mean.copy_(labels.mean(0))
            # Entries that never move would else be amplified noise.
            model.motion.std.copy_(std.clamp(min=1e-4))

    def adapted(
        self, config: LatentActionConfig, facts: StoreFacts, robot: str | None, order: str | None
    ) -> Mapping[str, Any]:
        """The new robot becomes the model's own; the others stay.

        Raises:
            ValueError: the model knows the robot; a store of another camera, image or rate; an unknown order.
        """
        name = robot or facts.robot
        if name is None or name in config.robots:
            known = f"the model knows {list(config.robots)}"
            raise ValueError(f"a name for the new robot is needed, and {name!r} is none: {known}; use --embodiment")
        seen = facts.sensors.get(config.sensor)
        if seen is None or seen.shape != config.image or facts.frame_rate != config.frame_rate:
            told = f"{config.sensor!r} {list(config.image)} at {config.frame_rate} Hz"
            found = f"{ {k: list(s.shape) for k, s in facts.sensors.items()} } at {facts.frame_rate} Hz"
            raise ValueError(f"the model reads {told}, and the store has {found}: collect episodes of that form")
        if config.motion is not None and config.motion.sensor not in facts.sensors:
            raise ValueError(f"the store has no {config.motion.sensor!r}, whose poses tell the motion")
        chosen = order or ("lac" if config.front == "latent" else "eac")
        return {**config.to_dict(), "robots": {**config.to_dict()["robots"], name: asdict(facts.action)},
                "adaptation": chosen}  # fmt: skip

    def stages(self, config: LatentActionConfig, fit: FitConfig) -> tuple[Stage, ...]:
        """Of pretraining, or of adaptation where the config names its order."""
        return _adaptation(config) if config.adaptation else _pretraining(config)

    def example(self) -> Example:
        """Random frames of one robot, whose state begins with the pose of a hand and how far it is closed."""
        rng = np.random.default_rng(0)
        episodes: list[tuple[dict[str, Any], dict[str, Any]]] = []
        for i in range(6):
            action = rng.uniform(-1, 1, (24, 8)).astype(np.float32)
            state = rng.normal(0, 1, (24, 10)).astype(np.float32)
            image = rng.integers(0, 256, (24, 16, 16, 3)).astype(np.uint8)
            rows = {"state": state, "action": action, "rgb_static": image}
            episodes.append((rows, {"split": "val" if i == 5 else "train", "task": "move"}))
        return Example(
            keys={"state": ((10,), "float32"), "action": ((8,), "float32"), "rgb_static": ((16, 16, 3), "uint8")},
            info={
                "robot": "arm", "frame_rate": 20.0,
                "hints": {"state": {"end_effector": list(range(9)), "fingers": [9]}},
            },
            episodes=episodes,
            changes={
                "encoder": asdict(EncoderConfig("pixels", image_size=16, grid=4)), "width": 16, "heads": 2,
                "forward_blocks": 1, "inverse_blocks": 1, "head_dim": 8, "projector_width": 16,
                "motion_width": 16, "latent_dim": 8, "augment": 1,
            },
            settings={"batch_size": 2, "length": 6, "warmup": 2},
        )  # fmt: skip


def _read(told: Any) -> Any:
    """An encoder as it was told, or where no architecture was, with that of the weights at its source."""
    known = {"kind", "source", "image_size", "grid", "kept"}  # what decides how weights are read
    if not isinstance(told, Mapping) or not {"kind", "source"} <= told.keys() <= known:
        return told
    return encoder_config(**told)


def _motion(facts: StoreFacts, changes: Mapping[str, Any]) -> Motion | None:
    """Where the store or its suite says that poses are.

    Raises:
        ValueError: it does not, and nobody asked for none.
    """
    if "motion" in changes:
        return None
    for sensor, hint in facts.hints.items():
        if "end_effector" in hint:
            parts = {name: tuple(hint.get(name, ())) for name in ("end_effector", "fingers", "camera")}
            return Motion(sensor, **parts)
    raise ValueError(
        "latent actions are grounded by motion labels, and neither this store nor its suite names poses "
        "('end_effector' of a sensor's hints): say where they are with "
        '--set motion=\'{"sensor": NAME, "end_effector": [...]}\', or train without with --set motion=null'
    )


def _pretraining(config: LatentActionConfig) -> tuple[Stage, ...]:
    pixels = config.decoder_blocks == 0
    world = ("fdm.*",) + (("idm.*", "motion.*") if config.front == "latent" else ("projectors.*",))
    stages = [Stage("pretrain", 60.0, trains=world, frozen=(TEMPORAL,))]
    if config.horizon > 1:
        length = config.horizon * config.actions_per_frame + 1
        stages.append(Stage("temporal", 20.0, trains=world, windows={"length": length}))
    if config.front == "latent":
        stages.append(Stage("project", 20.0, trains=("projectors.*",), loss="project_loss"))
    return (*stages, *(() if pixels else (Stage("decode", 20.0, trains=("decoder.*",), loss="decoder_loss"),)))


def _adaptation(config: LatentActionConfig) -> tuple[Stage, ...]:
    """LAC-WM, section 3.2, and the other orders of its A.6."""
    own = f"projectors.{list(config.robots)[-1]}.*"
    rank = config.rank
    # Shorter windows would leave temporal attention, which imagination uses, as it was.
    windows = {"length": config.horizon * config.actions_per_frame + 1} if config.horizon > 1 else {}

    def parts(model: WorldModel, names: tuple[str, ...]) -> list[torch.nn.Module]:
        return [model.get_submodule(name) for name in names]

    def insert(*names: str) -> Any:
        def act(model: WorldModel) -> None:
            for part in parts(model, names):
                adapters.insert(part, rank)

        return act

    def merge(*names: str) -> Any:
        def act(model: WorldModel) -> None:
            for part in parts(model, names):
                adapters.merge(part)

        return act

    known = {
        "inverse": Stage(
            "inverse", SHARES["inverse"], trains=("idm.*lora_*", "fdm.*lora_*"), begin=insert("idm", "fdm"),
            end=merge("idm", "fdm"), windows=windows,
        ),
        "project": Stage("project", SHARES["project"], trains=(own,), loss="project_loss"),
        "joint": Stage(
            "joint", SHARES["joint"], trains=(own, "fdm.*lora_*"), loss="act_loss", begin=insert("fdm"),
            end=merge("fdm"), windows=windows,
        ),
    }  # fmt: skip
    return tuple(known[name] for name in ORDERS[config.adaptation])


def _change(model: LatentActionModel, episodes: EpisodeView) -> Tensor:
    """Root mean square change of a token's numbers over a frame."""
    config, rng, found = model.config, np.random.default_rng(0), []
    device = model.fdm.scale.device
    long = [i for i, n in enumerate(episodes.lengths) if n > config.actions_per_frame]
    if not long:
        raise ValueError(f"no episode has {config.actions_per_frame + 1} rows, which two frames need")
    for i in rng.choice(long, min(SAMPLES, 2 * len(long))):
        start = int(rng.integers(int(episodes.lengths[i]) - config.actions_per_frame))
        rows = episodes.episode(int(i), [config.sensor], start, start + config.actions_per_frame + 1)[config.sensor]
        pair = torch.from_numpy(np.stack([rows[0], rows[-1]])).movedim(-1, 1).to(device)
        found.append(model.encode(pair).diff(dim=0).square().mean())
    return torch.stack(found).mean().sqrt().clamp(min=1e-4)


def _labels(motion: Motion, per_frame: int, episodes: EpisodeView) -> Tensor:
    """Motion labels [N, M] of all episodes, a frame each."""
    every = [episodes.episode(i, [motion.sensor])[motion.sensor][::per_frame] for i in range(len(episodes))]
    rows = [torch.from_numpy(np.array(r, np.float32))[None] for r in every if len(r) > 1]
    return torch.cat([motion_labels(motion, r)[0] for r in rows])


RECIPE = LatentActionRecipe()
