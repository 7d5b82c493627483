"""Small encoders trained on a store's frames: they resume, they are read as pretrained ones, they learn."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dreamgym.data import EpisodeStore
from dreamgym.nn.encoders import TextEncoder, VisionEncoder, encoder_config
from dreamgym.suites import registry
from dreamgym.suites.base import Suite
from dreamgym.training.encoders import EncoderTraining, save_encoder, train_encoder
from dreamgym.training.encoders.frames import FrameSampler, Sentences, crops
from dreamgym.training.encoders.masked import MaskedPrediction, MaskedPredictionConfig
from dreamgym.training.encoders.sigmoid import LanguageImage, SigmoidConfig
from dreamgym.types import ActionSpec

TINY = EncoderTraining(steps=2, batch_size=4, patch=8, width=16, layers=1)


def describe(rows: dict[str, np.ndarray]) -> list[np.ndarray]:
    bright = rows["light"][:, 0] > 0.5
    return [np.where(bright, "the light is on", "the light is off")]


@pytest.fixture
def store(tmp_path: Path) -> EpisodeStore:
    """A camera that shows a bright or a dark frame, of a suite that says which."""
    action = ActionSpec((-1.0,), (1.0,))
    suite = Suite(
        "lamp", ("turn_on",), action, 10.0, 8, "nowhere:Env", layouts={"light": (("binary", 1),)}, describe=describe
    )
    registry.register_suite(suite)
    keys = {"rgb": ((16, 16, 3), "uint8"), "light": ((1,), "float32"), "action": ((1,), "float32")}
    made = EpisodeStore.create(tmp_path / "store", keys, {"suite": "lamp"})
    rng = np.random.default_rng(0)
    for _ in range(3):
        light = rng.integers(0, 2, (12, 1)).astype(np.float32)
        image = np.broadcast_to((30 + 180 * light).astype(np.uint8)[:, :, None, None], (12, 16, 16, 3))
        rows = {"rgb": image, "light": light, "action": np.zeros((12, 1), np.float32)}
        made.append([(rows, {"split": "train", "task": "turn_on"})])
    return made


def test_texts_hold_where_all_their_sentences_do(store: EpisodeStore) -> None:
    said = Sentences(registry.suite("lamp"), store)
    assert set(said.sentences) == {"the light is on", "the light is off", "turn on"}
    said.tokenize({word: i + 3 for i, word in enumerate(said.words)}, 12, 0, 2)
    sampler = FrameSampler(store, ["rgb"], 16, said=said)
    batch = sampler.batch(0)
    assert all(torch.equal(a, b) for a, b in zip(batch.values(), sampler.batch(0).values(), strict=True))
    assert batch["holds"].diagonal().all()  # a row's own text holds of it
    bright = batch["images"].flatten(1).float().mean(1) > 100
    words = {word: i + 3 for i, word in enumerate(said.words)}
    for j, tokens in enumerate(batch["tokens"].tolist()):
        told = ~bright if words["off"] in tokens else bright
        expected = told if words["light"] in tokens else torch.ones_like(bright)
        assert torch.equal(batch["holds"][:, j], expected)


@pytest.mark.parametrize("kind", ["dinov2", "siglip", "vjepa2"])
def test_it_resumes_and_is_read_as_a_pretrained_encoder(store: EpisodeStore, tmp_path: Path, kind: str) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    train_encoder(store.path, whole, kind, TINY)
    train_encoder(store.path, broken, kind, replace(TINY, steps=1, batch_size=4))
    assert train_encoder(store.path, broken, kind, TINY).step == 2
    folder = save_encoder(broken, tmp_path / "encoder")
    encoder = VisionEncoder(encoder_config(kind, str(folder)))
    assert encoder(torch.zeros(1, 3, 16, 16, dtype=torch.uint8)).shape == (1, 4, 16)
    if kind == "siglip":
        text = TextEncoder(str(folder))
        assert torch.allclose(text(["the light is on"]).norm(dim=-1), torch.ones(1))
        with pytest.raises(ValueError, match="does not know every word"):
            text(["the moon is on"])


def test_language_learns_which_texts_hold(store: EpisodeStore) -> None:
    torch.manual_seed(0)
    said = Sentences(registry.suite("lamp"), store)
    model = LanguageImage(SigmoidConfig(image_size=16, patch=8, width=16, layers=1, text_length=12), said)
    batch = FrameSampler(store, ["rgb"], 16, said=said).batch(0)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    values = []
    for step in range(60):
        losses = model.loss(batch, torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        losses["loss"].backward()
        optimizer.step()
        values.append(float(losses["loss"].detach()))
    assert values[-1] < 0.7 * values[20]


SMALL_JEPA = MaskedPredictionConfig(image_size=16, patch=4, width=24, layers=1, heads=2, predictor_layers=1)


def test_hidden_patches_are_predicted_from_those_that_are_seen_alone() -> None:
    torch.manual_seed(0)
    model = MaskedPrediction(SMALL_JEPA).eval()
    images = torch.rand(1, 2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    seen, hidden = model.split(2, torch.Generator().manual_seed(1))
    assert torch.equal(torch.cat([seen, hidden], 1).sort(1).values, torch.arange(16).expand(2, -1))
    clip = images[0].unsqueeze(1).expand(-1, 2, -1, -1, -1)
    told = model.predicted(clip, seen, hidden)
    assert told.shape == (2, hidden.shape[1], 24)

    def painted(places: torch.Tensor) -> torch.Tensor:
        mask = torch.zeros(2, 16).scatter(1, places, 1.0).view(2, 1, 1, 4, 4)
        return clip + mask.repeat_interleave(4, 3).repeat_interleave(4, 4)

    torch.testing.assert_close(model.predicted(painted(hidden), seen, hidden), told)
    assert not torch.allclose(model.predicted(painted(seen), seen, hidden), told, atol=1e-3)


def test_masked_prediction_learns_and_does_not_collapse(store: EpisodeStore) -> None:
    torch.manual_seed(0)
    model = MaskedPrediction(SMALL_JEPA)
    rng = np.random.default_rng(0)
    ramp = rng.integers(0, 200, (8, 1, 3, 1, 1)) + 3 * np.arange(16)  # a picture's left side tells its right one
    batch = {"images": torch.from_numpy(np.broadcast_to(ramp, (8, 1, 3, 16, 16)).astype(np.uint8).copy())}
    optimizer = torch.optim.Adam(model.student.parameters(), 3e-3)
    losses = []
    for step in range(60):
        found = model.loss(batch, torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        found["loss"].backward()
        optimizer.step()
        losses.append(float(found["loss"].detach()))
    assert np.mean(losses[-10:]) < 0.7 * np.mean(losses[:5])
    assert found["spread"] > 0.1


def test_masked_prediction_refuses_what_leaves_nothing_to_see() -> None:
    with pytest.raises(ValueError, match="take a smaller patch"):
        MaskedPredictionConfig(image_size=16, patch=16)
    with pytest.raises(ValueError, match="least_hidden <= most_hidden"):
        MaskedPredictionConfig(least_hidden=0.9, most_hidden=0.5)


def test_a_run_keeps_its_settings(store: EpisodeStore, tmp_path: Path) -> None:
    train_encoder(store.path, tmp_path / "run", "dinov2", replace(TINY, steps=1))
    with pytest.raises(ValueError, match="was begun with"):
        train_encoder(store.path, tmp_path / "run", "siglip", TINY)
    with pytest.raises(ValueError, match="expected one of"):
        train_encoder(store.path, tmp_path / "other", "pixels", TINY)
    with pytest.raises(ValueError, match="holds no progress"):
        save_encoder(tmp_path / "other", tmp_path / "encoder")


def test_a_whole_crop_without_change_of_brightness_is_the_image() -> None:
    image = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    same = crops(image, 16, (1.0, 1.0), torch.Generator().manual_seed(1), brightness=0.0)
    assert torch.allclose(same, image, atol=1e-5)


def test_a_first_call_that_fails_pins_nothing(store: EpisodeStore, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="lr"):
        train_encoder(store.path, tmp_path / "run", "dinov2", replace(TINY, width=24, lr=-1.0))
    train_encoder(store.path, tmp_path / "run", "dinov2", replace(TINY, steps=1))


def test_a_folder_of_something_else_is_not_overwritten(store: EpisodeStore, tmp_path: Path) -> None:
    train_encoder(store.path, tmp_path / "run", "dinov2", replace(TINY, steps=1))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("mine")
    with pytest.raises(ValueError, match="exists and is no encoder's folder"):
        save_encoder(tmp_path / "run", tmp_path / "mine")
    for _ in range(2):  # an older encoder is replaced
        assert (save_encoder(tmp_path / "run", tmp_path / "made") / "config.json").is_file()
    assert not list(tmp_path.glob(".tmp-*"))
