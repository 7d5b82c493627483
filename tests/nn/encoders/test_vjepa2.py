"""V-JEPA 2 as an encoder of single images."""

from pathlib import Path

import pytest
import torch
import transformers

from dreamgym.nn.encoders import EncoderConfig, VisionEncoder, encoder_config

SMALL = {
    "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "patch_size": 8, "crop_size": 32,
    "frames_per_clip": 2, "tubelet_size": 2, "pred_hidden_size": 16, "pred_num_hidden_layers": 1,
    "pred_num_attention_heads": 2,
}  # fmt: skip


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("vjepa2")
    torch.manual_seed(1)
    transformers.VJEPA2Model(transformers.VJEPA2Config(**SMALL)).save_pretrained(folder)
    return str(folder)


def images(size: int = 32) -> torch.Tensor:
    shape = (3, 3, size, size)
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def test_an_image_is_a_clip_that_stands_still(weights: str) -> None:
    encoder = VisionEncoder(encoder_config("vjepa2", weights))
    model = transformers.VJEPA2Model.from_pretrained(weights).eval()
    clip = encoder.preprocess(images()).unsqueeze(1).repeat(1, 2, 1, 1, 1)
    with torch.no_grad():
        expected = model(pixel_values_videos=clip, skip_predictor=True).last_hidden_state
    tokens = encoder(images())
    torch.testing.assert_close(tokens, expected)
    assert tokens.shape == (3, 16, 16) and encoder.config.token_dim == 16


def test_pretrained_weights_are_read_when_they_are_needed(weights: str) -> None:
    config = EncoderConfig("vjepa2", weights, SMALL, image_size=32, grid=4, kept=False)
    encoder = VisionEncoder(config, load=False)
    assert encoder.network is None
    torch.testing.assert_close(encoder(images()), VisionEncoder(config)(images()))
    assert not any(p.requires_grad for p in encoder.parameters())
    network = encoder.train().network
    assert network is not None and not network.training


def test_kept_weights_travel_with_the_model(weights: str) -> None:
    config = EncoderConfig("vjepa2", weights, SMALL, image_size=32, grid=4)
    trained, fresh = VisionEncoder(config), VisionEncoder(config, load=False)
    assert not torch.allclose(fresh(images()), trained(images()))
    fresh.load_state_dict(trained.state_dict())
    torch.testing.assert_close(fresh(images()), trained(images()))


def test_what_does_not_fit_is_named(tmp_path: Path, weights: str) -> None:
    with pytest.raises(ValueError, match="a multiple of the grid"):
        EncoderConfig("vjepa2", weights, SMALL, image_size=32, grid=8)
    lacking = EncoderConfig("vjepa2", str(tmp_path / "none"), SMALL, image_size=32, grid=4, kept=False)
    with pytest.raises(ValueError, match="no vjepa2 weights"):
        VisionEncoder(lacking, load=False)(images())
    wide = EncoderConfig("vjepa2", weights, {**SMALL, "hidden_size": 32}, image_size=32, grid=4, kept=False)
    with pytest.raises(ValueError, match="have width 16, this model was made for 32"):
        VisionEncoder(wide, load=False)(images())


def test_floats_are_prepared_as_the_bytes_they_stand_for(weights: str) -> None:
    encoder = VisionEncoder(encoder_config("vjepa2", weights))
    torch.testing.assert_close(encoder.preprocess(images().float() / 255), encoder.preprocess(images()))
