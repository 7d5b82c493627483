"""Loading CogVideoX by name or folder, tried on small models that are made and saved here."""

from pathlib import Path

import huggingface_hub.constants
import pytest
import torch
from small_video import pretrained_config, save_pretrained, small_config

from dreamgym.training import checkpoint
from dreamgym.training.checkpoint import CheckpointError
from dreamgym.world_models.families.video_cascade import BackboneSize, VideoCascade
from dreamgym.world_models.families.video_cascade.cost import num_parameters


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_pretrained(tmp_path_factory.mktemp("cogvideox") / "5b")


@pytest.fixture(scope="module")
def text_only(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_pretrained(tmp_path_factory.mktemp("cogvideox") / "2b", image=False)


def clip(model: VideoCascade, size: int = 16) -> torch.Tensor:
    frame = torch.rand((1, 3, size, size), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return model.clip(frame, torch.tensor([1]), torch.Generator().manual_seed(1)).frames


def test_a_pretrained_cogvideox_becomes_a_preview_by_adapters_alone(folder: Path) -> None:
    model = VideoCascade(pretrained_config(folder)).eval()
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert {name.partition(".")[0] for name in trained} == {"backbone", "refiner"}
    assert all(".lora_" in name for name in trained if name.startswith("backbone."))
    assert clip(model).shape == (1, 4, 3, 16, 16)


def test_positions_are_rotary_at_any_resolution(folder: Path) -> None:
    """The pretrained grid is 4 x 4 latents with learned positions, which refuse any other."""
    model = VideoCascade(pretrained_config(folder, image=(3, 32, 48), low=(16, 24))).eval()
    assert not any("pos_embedding" in name for name in model.backbone.state_dict())
    cos, sin = model.backbone.rotary(torch.zeros(1, 3, 4, 4, 6))
    assert cos.shape == sin.shape == (3 * 2 * 3, 16)
    frame = torch.rand((1, 3, 32, 48))
    with torch.no_grad():
        assert model.clip(frame, torch.tensor([0])).frames.shape == (1, 4, 3, 32, 48)


def test_a_refiner_of_text_alone_is_widened_and_begins_as_it_was(folder: Path, text_only: Path) -> None:
    size = BackboneSize(heads=1, head_dim=16, layers=1, time_dim=16, rotary=False, latent_scale=1.5)
    model = VideoCascade(pretrained_config(folder, refiner=size, refiner_weights=str(text_only))).eval()
    assert model.refiner.transformer.config.in_channels == 8
    latents, text = torch.randn(1, 3, 4, 4, 4), torch.randn(1, 4, 16)
    first, other = torch.randn(2, 1, 1, 4, 4, 4)
    with torch.no_grad():
        same = [model.refiner(latents, shown, text, torch.tensor([300.0])) for shown in (first, other)]
    torch.testing.assert_close(*same)
    assert all(p.requires_grad for p in model.refiner.parameters())


def test_sentences_are_embedded_once_and_the_text_encoder_let_go(folder: Path) -> None:
    model = VideoCascade(pretrained_config(folder))
    assert num_parameters(model.text) == 0
    assert model.text(torch.tensor([0, 3])).shape == (2, 4, 16)


def test_what_is_pretrained_stands_in_no_file_and_is_verified(folder: Path, tmp_path: Path) -> None:
    model = VideoCascade(pretrained_config(folder)).eval()
    saved = checkpoint.save(tmp_path / "dream", model)
    from safetensors import safe_open

    with safe_open(saved / "model.safetensors", "pt") as file:
        names = set(file.keys())
    assert not any(n.startswith(("autoencoder.network", "text.")) for n in names)
    assert all(".lora_" in n for n in names if n.startswith("backbone."))
    opened = checkpoint.load(saved).model
    assert isinstance(opened, VideoCascade)
    torch.testing.assert_close(clip(opened), clip(model))


def test_adapters_of_another_base_are_refused(tmp_path: Path) -> None:
    base = save_pretrained(tmp_path / "base")
    saved = checkpoint.save(tmp_path / "dream", VideoCascade(pretrained_config(base)).eval())
    save_pretrained(base, seed=1)  # other weights under the same name
    with pytest.raises(CheckpointError, match="frozen part.*fetch those pretrained weights"):
        checkpoint.load(saved)


def test_a_name_that_cannot_be_had_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    for name in ("no-such-organisation/CogVideoX", str(tmp_path / "nothing")):
        with pytest.raises(ValueError, match=f"the vae of '{name}' cannot be loaded.*give a folder"):
            VideoCascade(pretrained_config(Path(name)))


def test_weights_of_other_sizes_are_told(folder: Path) -> None:
    size = BackboneSize(heads=2, head_dim=16, layers=3, time_dim=16, latent_scale=1.0)
    with pytest.raises(ValueError, match=r"transformer of .* has num_layers=1, the cascade is configured for 3"):
        VideoCascade(pretrained_config(folder, backbone=size))


def test_nothing_is_loaded_on_the_meta_device() -> None:
    with torch.device("meta"):
        model = VideoCascade(pretrained_config(Path("no/such/folder")))
    assert {p.device.type for p in model.parameters()} == {"meta"}
    assert small_config().weights is None
