"""Pretrained encoders of images: what they read, what they give, what they refuse."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import transformers

from dreamgym.nn.encoders import EncoderConfig, VisionEncoder, encoder_config


def images(count: int = 2, size: int = 16) -> torch.Tensor:
    return torch.randint(256, (count, 3, size, size), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def test_dinov2_gives_its_patch_tokens_without_the_class_token(dino_folder: Path) -> None:
    encoder = VisionEncoder(encoder_config("dinov2", str(dino_folder)))
    reference = transformers.Dinov2Model.from_pretrained(dino_folder).eval()
    with torch.no_grad():
        expected = reference(encoder.preprocess(images())).last_hidden_state[:, 1:]
    assert torch.equal(encoder(images()), expected)
    assert encoder.config.token_dim == 16 and encoder.config.tokens == 16


def test_siglip_is_read_out_of_a_whole_model_with_its_preprocessor(siglip_folder: Path) -> None:
    encoder = VisionEncoder(encoder_config("siglip", str(siglip_folder)))
    assert encoder.config.mean == (0.1, 0.2, 0.3) and encoder.config.std == (0.4, 0.5, 0.6)
    reference = transformers.SiglipModel.from_pretrained(siglip_folder).vision_model.eval()
    with torch.no_grad():
        expected = reference(encoder.preprocess(images())).last_hidden_state
    assert torch.equal(encoder(images()), expected)


def test_patches_are_averaged_onto_a_coarser_grid(dino_folder: Path) -> None:
    fine = VisionEncoder(encoder_config("dinov2", str(dino_folder)))(images())
    coarse = VisionEncoder(encoder_config("dinov2", str(dino_folder), grid=2))(images())
    assert torch.allclose(coarse[:, 0], fine[:, [0, 1, 4, 5]].mean(1), atol=1e-6)


@pytest.mark.parametrize("kind", ["dinov2", "siglip"])
def test_other_image_sizes_are_resized(kind: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue({"dinov2": "dino_folder", "siglip": "siglip_folder"}[kind])
    encoder = VisionEncoder(encoder_config(kind, str(folder), image_size=32, grid=4))
    assert encoder(images(size=20)).shape == (2, 16, 16)


def test_pixels_are_the_image_patch_by_patch() -> None:
    encoder = VisionEncoder(encoder_config("pixels", image_size=16, grid=4))
    tokens = encoder(images())
    assert tokens.shape == (2, 16, 48)
    first = encoder.preprocess(images())[0, :, 4:8, 8:12]  # row 1, column 2 of the grid
    assert torch.equal(tokens[0, 6], first.flatten())


def test_it_stays_frozen(dino_folder: Path) -> None:
    encoder = VisionEncoder(encoder_config("dinov2", str(dino_folder))).train()
    assert not encoder.training and not any(p.requires_grad for p in encoder.parameters())


def test_weights_are_known_by_name_and_sha256(dino_folder: Path, tmp_path: Path) -> None:
    config = encoder_config("dinov2", str(dino_folder))
    assert config.sha256 == VisionEncoder(config).sha256 == encoder_config("dinov2", str(dino_folder), grid=2).sha256
    other = transformers.Dinov2Model.from_pretrained(dino_folder)
    with torch.no_grad():
        next(other.parameters()).add_(1)
    other.save_pretrained(tmp_path)
    assert encoder_config("dinov2", str(tmp_path)).sha256 != config.sha256
    with pytest.raises(ValueError, match="the model was made with"):
        VisionEncoder(replace(config, source=str(tmp_path)))


def test_the_digest_tells_weights_and_preprocessing_apart(dino_folder: Path) -> None:
    config = encoder_config("dinov2", str(dino_folder))
    others = [replace(config, grid=2), replace(config, sha256="0"), replace(config, mean=(0.0, 0.0, 0.0))]
    assert len({c.digest for c in [config, *others]}) == 4 and replace(config).digest == config.digest


def test_weights_that_are_not_kept_are_fetched_when_needed(dino_folder: Path, tmp_path: Path) -> None:
    config = encoder_config("dinov2", str(dino_folder), kept=False)
    lazy = VisionEncoder(config, load=False)
    assert not lazy.state_dict()
    assert torch.equal(lazy(images()), VisionEncoder(config)(images()))
    with pytest.raises(ValueError, match="no dinov2 weights at"):
        VisionEncoder(replace(config, source=str(tmp_path / "absent")), load=False)(images())


@pytest.mark.parametrize(
    "bad",
    [torch.zeros(2, 3, 16, 16), torch.zeros(2, 1, 16, 16, dtype=torch.uint8), images()[0]],
    ids=["float", "grey", "one"],
)
def test_other_images_are_refused(dino_folder: Path, bad: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"uint8 images \[N, 3, H, W\]"):
        VisionEncoder(encoder_config("dinov2", str(dino_folder)))(bad)


def test_weights_of_another_kind_or_nowhere_are_refused(siglip_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="of type 'siglip', expected 'dinov2'"):
        encoder_config("dinov2", str(siglip_folder))
    with pytest.raises(ValueError, match="no dinov2 weights at"):
        encoder_config("dinov2", str(tmp_path / "absent"))


def test_weights_of_another_width_are_refused(dino_folder: Path) -> None:
    config = encoder_config("dinov2", str(dino_folder))
    other = EncoderConfig("dinov2", str(dino_folder), {**config.architecture, "hidden_size": 32}, 16, 4)
    with pytest.raises(ValueError, match="width 16, this model was made for 32"):
        VisionEncoder(other)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "vgg"}, "expected one of"),
        ({"architecture": {}}, "needs the architecture"),
        ({"image_size": 18}, "whole number of patches"),
        ({"grid": 3}, "multiple of the grid"),
        ({"mean": (0.5,)}, "three numbers"),
        ({"std": (0.0, 1.0, 1.0)}, "mean and std of an encoder"),
    ],
)
def test_a_config_that_cannot_be_is_refused(changes: dict, message: str) -> None:
    fields = {"kind": "dinov2", "architecture": {"hidden_size": 16, "patch_size": 4}, "image_size": 16, "grid": 4}
    with pytest.raises(ValueError, match=message):
        EncoderConfig(**{**fields, **changes})
