"""Frozen encoders of frames."""

import pytest
import torch

from dreamgym.nn.frame_encoder import FrameEncoder, FrameEncoderConfig

SMALL = {
    "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "patch_size": 8, "crop_size": 32,
    "frames_per_clip": 2, "tubelet_size": 2, "pred_hidden_size": 16, "pred_num_hidden_layers": 1,
    "pred_num_attention_heads": 2,
}  # fmt: skip


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("vjepa2")
    torch.manual_seed(1)
    transformers.VJEPA2Model(transformers.VJEPA2Config(**SMALL)).save_pretrained(folder)
    return str(folder)


def frames(size=32):
    shape = (3, 3, size, size)
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def test_pixels_are_patches_row_by_row():
    encoder = FrameEncoder(FrameEncoderConfig(image_size=32, grid=4))
    tokens = encoder(frames())
    assert tokens.shape == (3, 16, 192)
    torch.testing.assert_close(tokens[:, 1].view(3, 3, 8, 8), frames()[:, :, :8, 8:16].float() / 127.5 - 1)
    assert encoder(frames(64)).shape == tokens.shape  # resized


def test_pretrained_weights_are_read_when_they_are_needed(weights):
    config = FrameEncoderConfig("vjepa2", weights, SMALL, image_size=32, grid=4, kept=False)
    encoder = FrameEncoder(config)
    tokens = encoder(frames())
    assert tokens.shape == (3, 16, 16) and tokens.dtype == torch.float32
    torch.testing.assert_close(FrameEncoder(config)(frames()), tokens)
    assert not any(p.requires_grad for p in encoder.parameters())
    assert not encoder.train().network.training


def test_kept_weights_travel_with_the_model(weights):
    config = FrameEncoderConfig("vjepa2", weights, SMALL, image_size=32, grid=4)
    trained, fresh = FrameEncoder(config), FrameEncoder(config)
    trained.load()
    assert not torch.allclose(fresh(frames()), trained(frames()))
    fresh.load_state_dict(trained.state_dict())
    torch.testing.assert_close(fresh(frames()), trained(frames()))


def test_what_does_not_fit_is_named(tmp_path, weights):
    with pytest.raises(ValueError, match="multiple of grid"):
        FrameEncoderConfig(image_size=30, grid=4)
    with pytest.raises(ValueError, match="another grid than 8 x 8"):
        FrameEncoderConfig("vjepa2", weights, SMALL, image_size=32, grid=8)
    with pytest.raises(ValueError, match="expected 'pixels' or 'vjepa2'"):
        FrameEncoderConfig("clip")
    lacking = FrameEncoderConfig("vjepa2", str(tmp_path / "none"), SMALL, image_size=32, grid=4, kept=False)
    with pytest.raises(ValueError, match="no V-JEPA 2 weights"):
        FrameEncoder(lacking)(frames())
    wide = FrameEncoderConfig("vjepa2", weights, {**SMALL, "hidden_size": 32}, image_size=32, grid=4, kept=False)
    with pytest.raises(ValueError, match="have width 16, expected 32"):
        FrameEncoder(wide)(frames())
