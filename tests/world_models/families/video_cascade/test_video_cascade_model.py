import pytest
import torch
from small_video import small_cascade
from torch import Tensor

from dreamgym.testing import check_world_model
from dreamgym.world_models.families.video_cascade import VideoCascade


def image(seed: int = 0, batch: int = 2) -> Tensor:
    return torch.rand((batch, 3, 16, 16), generator=torch.Generator().manual_seed(seed))


def made(model: VideoCascade, sentence: tuple[int, ...] = (0, 0)) -> Tensor:
    with torch.no_grad():
        return model.clip(image(), torch.tensor(sentence), torch.Generator().manual_seed(3)).frames


@pytest.mark.parametrize("fidelity", ["preview", "refined", "monolithic"])
@pytest.mark.parametrize("changes", [{}, {"residual": False, "guidance": 3.0}])
def test_every_fidelity_keeps_the_contract(fidelity: str, changes: dict[str, object]) -> None:
    view = small_cascade(**changes).at_fidelity(fidelity)
    with torch.no_grad():
        check_world_model(view)
    frames = made(view)
    assert frames.shape == (2, 4, 3, 16, 16)
    assert frames.min() >= 0 and frames.max() <= 1


def test_fidelities_share_weights_and_leave_the_model_as_it_was() -> None:
    model = small_cascade()
    view = model.at_fidelity("preview")
    assert (model.fidelity, view.fidelity) == ("refined", "preview")
    assert next(view.parameters()) is next(model.parameters())
    with pytest.raises(ValueError, match=r"knows no fidelity 'sketch'.*preview.*refined"):
        model.at_fidelity("sketch")


def test_adapters_change_the_preview_and_not_the_monolithic_baseline() -> None:
    model = small_cascade()
    before = {f: made(model.at_fidelity(f)) for f in ("preview", "monolithic")}
    with torch.no_grad():
        for name, parameter in model.backbone.named_parameters():
            if ".lora_B." in name:
                parameter.fill_(0.3)
    assert torch.equal(made(model.at_fidelity("monolithic")), before["monolithic"])
    assert not torch.equal(made(model.at_fidelity("preview")), before["preview"])


def test_the_instruction_decides_the_clip() -> None:
    model = small_cascade()
    one, other = made(model, (0, 0)), made(model, (0, 2))
    torch.testing.assert_close(one[0], other[0])
    assert not torch.allclose(one[1], other[1])


def test_refined_clips_begin_from_previews() -> None:
    """With a refiner that predicts no velocity, the refined clip is the upsampled preview."""
    model = small_cascade(inference_degradation=0.0)
    with torch.no_grad():
        for part in (model.refiner.transformer.proj_out.weight, model.refiner.transformer.proj_out.bias):
            part.zero_()
        text, empty = model.embeddings(torch.tensor([0, 0]))
        low = model.denoise(model.first_latent("low", image()), text, empty, torch.Generator().manual_seed(3))
        grown = torch.nn.functional.interpolate(low.latents.flatten(0, 1), (4, 4), mode="bilinear")
        first = model.first_latent("high", image())
        wanted = model.autoencoder.decode(model.from_model(grown.unflatten(0, (2, 3)), first))
    torch.testing.assert_close(made(model), wanted[:, 1:])


def test_naive_cascading_begins_from_noise_and_sees_the_preview_beside_it() -> None:
    """The paper's ablation (figure 3 a): with a refiner that predicts no velocity, the preview decides nothing."""
    model = small_cascade(source="noise")
    one, other = torch.randn((2, 1, 3, 4, 2, 2), generator=torch.Generator().manual_seed(0))

    def refined(low: Tensor) -> Tensor:
        with torch.no_grad():
            text, first = model.embeddings(torch.tensor([0]))[0], model.first_latent("high", image(batch=1))
            return model.refine(low, first, text, torch.Generator().manual_seed(1))

    assert not torch.allclose(refined(one), refined(other))
    with torch.no_grad():
        for part in (model.refiner.transformer.proj_out.weight, model.refiner.transformer.proj_out.bias):
            part.zero_()
    assert torch.equal(refined(one), refined(other))
    torch.testing.assert_close(refined(one), torch.randn((1, 3, 4, 4, 4), generator=torch.Generator().manual_seed(1)))


def test_latents_go_to_the_transformers_and_back() -> None:
    model = small_cascade()
    model.autoencoder.change_std.copy_(torch.tensor([0.5, 1.0, 2.0, 3.0]))
    latents = torch.randn((2, 3, 4, 4, 4), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(model.from_model(model.to_model(latents, latents[:, :1]), latents[:, :1]), latents)


def test_frames_of_another_size_are_told() -> None:
    with pytest.raises(ValueError, match=r"'rgb' has shape \(1, 3, 32, 32\), expected"):
        small_cascade().start({"rgb": torch.zeros((1, 1, 3, 32, 32), dtype=torch.uint8)})
    with pytest.raises(ValueError, match="'rgb' is missing"):
        small_cascade().start({"other": torch.zeros(1)})


def test_gradients_reach_the_refiner_through_the_clip() -> None:
    model = small_cascade()
    frames = model.clip(image(), torch.tensor([0, 1]), torch.Generator().manual_seed(0)).frames
    frames.square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in [model.refiner.transformer.proj_out.weight])
