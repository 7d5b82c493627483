"""Stages of training, and the latents that they share."""

import json
from pathlib import Path

import pytest
import torch
from small_video import small_cascade

from dreamgym.training.train import load_run, train
from dreamgym.world_models.families.video_cascade.loss import LOSSES, encode, told
from dreamgym.world_models.families.video_cascade.recipe import RECIPE


def run(
    store: Path, path: Path, stages: list[str], steps: int, init: Path | None = None, precision: str = "fp32"
) -> None:
    example = RECIPE.example()
    changes = {**example.changes, "stages": stages}
    settings = {**example.settings, "log_every": 1, "steps": steps, "precision": precision}
    train(store, path, "video_cascade", changes=changes, init=init, **settings)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return RECIPE.example().write(tmp_path_factory.mktemp("clips") / "store").path


def test_each_stage_trains_its_own_part(store: Path, tmp_path: Path) -> None:
    run(store, tmp_path / "vae", ["autoencoder"], 2)
    run(store, tmp_path / "rest", ["monolithic", "preview", "refiner"], 5, init=tmp_path / "vae")
    lines = [json.loads(line) for line in (tmp_path / "rest" / "log.jsonl").read_text().splitlines()]
    assert list(dict.fromkeys(line["stage"] for line in lines)) == ["monolithic", "preview", "refiner"]
    first, last = (load_run(tmp_path / name).state_dict() for name in ("vae", "rest"))
    same = {name for name, value in first.items() if torch.equal(value, last[name])}
    assert {n for n in first if n.startswith("autoencoder.")} <= same
    assert not {n for n in first if n.startswith("refiner.transformer.transformer_blocks") and "norm" not in n} & same


def test_kept_latents_train_in_half_precision(store: Path, tmp_path: Path) -> None:
    run(store, tmp_path / "run", ["monolithic", "preview", "refiner"], 3, precision="bf16")
    assert (tmp_path / "run" / "log.jsonl").read_text().count('"loss"') == 3


def test_a_stage_resumes_along_its_curve(store: Path, tmp_path: Path) -> None:
    for path, reached in ((tmp_path / "whole", (4,)), (tmp_path / "parts", (2, 4))):
        for steps in reached:
            run(store, path, ["refiner"], steps)
    whole, parts = (load_run(tmp_path / name).state_dict() for name in ("whole", "parts"))
    assert all(torch.equal(value, parts[name]) for name, value in whole.items())


def batch() -> dict[str, torch.Tensor]:
    rows, _ = RECIPE.example().episodes[0]
    out = {k: torch.from_numpy(v).unsqueeze(0) for k, v in rows.items()}
    out["rgb"] = out["rgb"].movedim(-1, 2)
    out["is_first"] = torch.zeros(1, 9, dtype=torch.bool)
    out["is_first"][:, 0] = True
    return out


def test_latents_are_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model, calls = small_cascade(), []
    own = model.autoencoder.encode
    monkeypatch.setattr(model.autoencoder, "encode", lambda clip: calls.append(len(clip)) or own(clip))
    first = model.latents.latents(model, batch())
    asked = len(calls)
    again = model.latents.latents(model, batch())
    assert len(calls) == asked
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    model.latents.clear()
    model.latents.latents(model, batch())
    assert len(calls) == 2 * asked


def test_windows_that_begin_inside_a_clip_are_not_kept() -> None:
    model, inside = small_cascade(), batch()
    inside["is_first"][:] = False
    model.latents.latents(model, inside)
    shifted = {**inside, "rgb": inside["rgb"].flip(1)}
    assert not torch.equal(model.latents.latents(model, inside).high, model.latents.latents(model, shifted).high)


def test_a_pixel_source_is_the_clip_shrunk_and_enlarged() -> None:
    """A.1 and A.2."""
    model = small_cascade(source="pixel")
    frames = torch.rand(1, 5, 3, 16, 16)
    low = torch.nn.functional.avg_pool2d(frames.flatten(0, 1), 2)
    grown = torch.nn.functional.interpolate(low, (16, 16), mode="bilinear").unflatten(0, (1, 5))
    with torch.no_grad():
        torch.testing.assert_close(encode(model, frames).shrunk, model.autoencoder.encode(grown))
    assert encode(small_cascade(), frames).shrunk.numel() == 0


def test_a_refiner_of_noise_learns_from_what_it_is_shown() -> None:
    model = small_cascade(source="noise")
    LOSSES["refiner"](model, batch(), torch.Generator().manual_seed(0))["loss"].backward()
    gradient = model.refiner.transformer.patch_embed.proj.weight.grad
    assert gradient.shape[1] == 12 and gradient[:, 8:].abs().sum() > 0


def test_a_clip_is_told_any_sentence_of_its_task_or_none() -> None:
    model = small_cascade(drop_text=0.3)
    many = {"task": torch.zeros(300, 1, dtype=torch.int64)}
    with torch.no_grad():
        embedded = told(model, many, torch.Generator().manual_seed(0))
        known = model.text(torch.tensor([0, 1, 3]))
    which = (embedded[:, None] - known[None]).flatten(2).abs().sum(-1).argmin(1)
    assert which.bincount(minlength=3).tolist() == pytest.approx([105, 105, 90], abs=25)


def test_clips_of_another_size_are_refused() -> None:
    short = {**batch(), "rgb": torch.zeros(1, 7, 3, 16, 16, dtype=torch.uint8), "action": torch.zeros(1, 7, 2)}
    with pytest.raises(ValueError, match=r"clips of 4 k \+ 1 frames"):
        RECIPE.stages(small_cascade().config, None)[0].loss(small_cascade(), short, None)
