"""Trains a small DINOv2, SigLIP or V-JEPA 2 on the frames of a store and writes it as ``from_pretrained`` reads it."""

from __future__ import annotations

import logging
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from dreamgym.data import EpisodeStore, EpisodeView
from dreamgym.fields import check_numbers
from dreamgym.nn.encoders.config import NORMALISATION
from dreamgym.places import check_place
from dreamgym.suites.facts import StoreFacts, store_facts
from dreamgym.training.checkpoint import replace_folder
from dreamgym.training.encoders.distillation import DistillationConfig, SelfDistillation
from dreamgym.training.encoders.frames import FrameSampler, Sentences
from dreamgym.training.encoders.masked import MaskedPrediction, MaskedPredictionConfig
from dreamgym.training.encoders.sigmoid import LanguageImage, SigmoidConfig
from dreamgym.training.fit import FitResult, fit
from dreamgym.training.progress import latest, load_averaged
from dreamgym.training.runs import check_run_folder, read_json, write_json
from dreamgym.training.train import training_episodes
from dreamgym.world_models.recipe import FitConfig

_log = logging.getLogger(__name__)

TRAINED = ("dinov2", "siglip", "vjepa2")
HEAD = 32  # width of an attention head of a small V-JEPA 2


@dataclass(frozen=True)
class EncoderTraining:
    """How a small encoder is trained.

    Attributes:
        steps: updates in all, those before a resume included.
        batch_size: moments an update, each with all cameras.
        lr: peak learning rate.
        patch, width, layers: of the vision transformer.
        seed: of weights, frames and crops.
        precision: "fp32" or "bf16".
        threads: torch threads, or None to leave them.
        save_every: seconds between saves of progress.
    """

    steps: int = 4000
    batch_size: int = 32
    lr: float = 5e-4
    patch: int = 16
    width: int = 128
    layers: int = 4
    seed: int = 0
    precision: str = "fp32"
    threads: int | None = None
    save_every: float = 120.0

    def __post_init__(self) -> None:
        check_numbers(self)


def train_encoder(store: str | Path, run_dir: str | Path, kind: str, training: EncoderTraining) -> FitResult:
    """Trains an encoder on a store's training episodes, or goes on with the run in ``run_dir``.

    The episodes that the run was begun with stay its own, though the store may grow.

    Args:
        store: an `EpisodeStore` with cameras of one size; for "siglip", of a suite that describes its frames.
        run_dir: the run; `save_encoder` takes the encoder out of it.
        kind: "dinov2", "siglip" or "vjepa2".
        training: how.

    Raises:
        ValueError: an unknown kind, a store that does not suit it, or a run begun with other settings.
    """
    if kind not in TRAINED:
        raise ValueError(f"kind of encoder to train: expected one of {TRAINED}, got {kind!r}")
    run_dir, opened = check_run_folder(run_dir), EpisodeStore.open(store)
    facts, episodes = store_facts(opened), training_episodes(opened)
    shaping = {"kind": kind, "width": training.width, "layers": training.layers, "patch": training.patch}
    begun = _begin(run_dir, {**shaping, "store": str(opened.path), "episodes": len(episodes)})
    episodes = episodes.first(begun["episodes"])
    torch.manual_seed(training.seed)
    model, sampler = _parts(kind, facts, episodes, training)
    config = FitConfig(
        steps=training.steps,
        lr=training.lr,
        warmup=min(200, training.steps // 10),
        cooldown=0.5,
        grad_clip=3.0,
        seed=training.seed,
        precision=training.precision,
        threads=training.threads,
        save_every=training.save_every,
        ema=0.999 if kind == "siglip" else None,
    )
    made: Any = model  # `fit` asks a model for its loss alone
    return fit(made, sampler, config, run_dir)


def save_encoder(run_dir: str | Path, folder: str | Path) -> Path:
    """Writes the encoder of a run as it stands, with its preprocessor; returns the folder, replaced as a whole.

    Raises:
        ValueError: the run has no progress, or the folder holds something else.
    """
    run_dir, folder = Path(run_dir), check_place(folder)
    if folder.exists() and any(folder.iterdir()) and not (folder / "preprocessor_config.json").exists():
        raise ValueError(f"{folder} exists and is no encoder's folder: choose another path")
    path = latest(run_dir)
    if path is None or not (run_dir / "encoder.json").exists():
        raise ValueError(f"{run_dir} holds no progress of an encoder's training: train one first")
    begun = read_json(run_dir / "encoder.json")
    opened = EpisodeStore.open(begun["store"])
    sizes = EncoderTraining(**{k: begun[k] for k in ("width", "layers", "patch")})
    model, _ = _parts(begun["kind"], store_facts(opened), training_episodes(opened).first(begun["episodes"]), sizes)
    made: Any = model
    load_averaged(path, made)
    mean, std = NORMALISATION[begun["kind"]]
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.parent / f".tmp-{folder.name}-{uuid.uuid4().hex[:8]}"
    try:
        made.eval().save(temporary)
        write_json(temporary / "preprocessor_config.json", {"image_mean": mean, "image_std": std})
        replace_folder(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def _begin(run_dir: Path, asked: dict[str, Any]) -> dict[str, Any]:
    """What the run was begun with; writes it down where there is no progress yet, which a failed call does not pin."""
    file = run_dir / "encoder.json"
    if latest(run_dir) is None or not file.exists():
        write_json(file, asked)
        return asked
    begun = read_json(file)
    differ = {k: v for k, v in asked.items() if k != "episodes" and begun.get(k) != v}
    if differ:
        raise ValueError(f"{run_dir} was begun with {begun}, not {differ}: use a new run directory")
    return begun


def _parts(
    kind: str, facts: StoreFacts, episodes: EpisodeView, training: EncoderTraining
) -> tuple[SelfDistillation | LanguageImage | MaskedPrediction, FrameSampler]:
    cameras = {name: sensor.shape for name, sensor in facts.sensors.items() if sensor.kind == "image"}
    sizes = {shape[-2:] for shape in cameras.values()}
    if len(sizes) != 1 or len({*sizes.copy().pop()}) != 1:
        raise ValueError(f"an encoder is trained on square cameras of one size, this store has {cameras}")
    size = sizes.pop()[0]
    shared: dict[str, Any] = {
        "image_size": size,
        "patch": training.patch,
        "width": training.width,
        "layers": training.layers,
    }
    if kind == "dinov2":
        local = max(1, size // 2 // training.patch) * training.patch
        distilled = SelfDistillation(DistillationConfig(**shared, local_size=local))
        return distilled, FrameSampler(episodes, list(cameras), training.batch_size, training.seed)
    if kind == "vjepa2":
        masked = MaskedPrediction(MaskedPredictionConfig(**shared, heads=max(1, training.width // HEAD)))
        return masked, FrameSampler(episodes, list(cameras), training.batch_size, training.seed)
    if facts.suite is None:
        raise ValueError("a semantic encoder learns from sentences about frames: this store names no suite")
    sentences = Sentences(facts.suite, episodes)
    model = LanguageImage(SigmoidConfig(**shared), sentences)
    return model, FrameSampler(episodes, list(cameras), training.batch_size, training.seed, sentences)
