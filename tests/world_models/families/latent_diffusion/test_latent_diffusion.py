"""What this family does that others do not: the paper's sizes, joint chunks, encoders and their cache, its variants."""

from pathlib import Path
from typing import Any

import pytest
import torch

from dreamgym.data import EpisodeStore
from dreamgym.suites.facts import store_facts
from dreamgym.testing import check_world_model
from dreamgym.training.train import load_run, train
from dreamgym.types import ActionSpec
from dreamgym.world_models.families.latent_diffusion import LatentDiffusion, LatentDiffusionConfig
from dreamgym.world_models.registry import recipe

ACTION = ActionSpec((-1.0,) * 7, (1.0,) * 7, binary=(6,))
RECIPE = recipe("latent_diffusion")


def example_config(**changes: Any) -> LatentDiffusionConfig:
    given = {**RECIPE.example().changes, **changes}
    return LatentDiffusionConfig({"rgb": (3, 16, 16)}, ActionSpec((-1.0, -1.0), (1.0, 1.0)), **given)


def model(seed: int = 0, **changes: Any) -> LatentDiffusion:
    torch.manual_seed(seed)
    made = LatentDiffusion(example_config(**changes))
    with torch.no_grad():  # layers that begin at zero would hide what reaches them
        for parameter in made.denoiser.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    return made.eval()


def started(made: LatentDiffusion, batch: int = 3) -> dict[str, torch.Tensor]:
    draws = torch.Generator().manual_seed(1)
    frames = torch.randint(256, (batch, made.config.history, 3, 16, 16), generator=draws, dtype=torch.uint8)
    steps = (made.config.history - 1) * made.config.actions_per_frame
    action = torch.rand(batch, steps, 2, generator=draws) * 2 - 1
    return made.start({"rgb": frames, "action": action})


def chunk(frames: int, batch: int = 3, seed: int = 2) -> torch.Tensor:
    return torch.rand(batch, 2 * frames, 2, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def unrolled(made: LatentDiffusion, actions: torch.Tensor, seed: int = 0) -> torch.Tensor:
    frames = made.unroll(started(made), actions, torch.Generator().manual_seed(seed))
    return torch.stack([made.features(state) for state in frames], 1).detach()


def test_paper_sizes() -> None:
    """Appendix A: 8 layers, hidden 384, patches of 14, history 4; six frames (Table 10)."""
    with torch.device("meta"):
        config = LatentDiffusionConfig.paper({"static": (3, 128, 128), "gripper": (3, 128, 128)}, ACTION)
        made = LatentDiffusion(config)
    assert (config.history, config.chunk, config.actions_per_frame) == (4, 6, 1)
    assert [e.kind for e in config.encoders] == ["dinov2", "siglip"]
    assert all(e.patch == 14 and e.image_size == 128 // 14 * 14 for e in config.encoders)
    assert config.streams == (384, 1152) and config.tokens == 2 * 9 * 9
    for stream in made.denoiser.streams:
        assert len(stream.layers) == 8 and stream.layers[0].out.weight.shape == (384, 384)
        assert len(stream.last) == 1 and stream.last[0].cross is not None
    blocks = sum(p.numel() for p in made.denoiser.streams[0].layers.parameters())
    assert blocks == 8 * (18 * 384**2 + 15 * 384)  # qkv 3, out 1, MLP 8, modulation 6 squares of the width, and biases


@pytest.mark.parametrize(
    "changes",
    [
        {"diffusion": False},
        {"interaction": False},
        {"encoders": RECIPE.example().changes["encoders"][:1]},
        {"target": "tokens", "causal": False, "channels": None},
        {"samples": 1, "decoder_width": 0},
        {"patch": 2},
    ],
    ids=["no diffusion", "no interaction", "one encoder", "tokens", "one sample", "patches of tokens"],
)
def test_variants_keep_the_contract_and_learn(changes: dict[str, Any]) -> None:
    made = model(**changes)
    check_world_model(made)
    rows = (made.config.history + made.config.chunk - 1) * 2 + 1
    batch = {
        "rgb": torch.randint(256, (2, rows, 3, 16, 16), dtype=torch.uint8),
        "action": torch.rand(2, rows, 2) * 2 - 1,
        "place": torch.rand(2, rows, 2) * 2 - 1,
    }
    losses = made.loss(batch, torch.Generator().manual_seed(0))
    losses["loss"].backward()
    idle = [n for n, p in made.named_parameters() if p.requires_grad and p.grad is None]
    assert not idle


def test_one_sampling_gives_a_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    made, calls = model(sampler_steps=3), []
    forward = made.denoiser.forward
    monkeypatch.setattr(made.denoiser, "forward", lambda *given: calls.append(1) or forward(*given))
    list(made.unroll(started(made), chunk(2), torch.Generator().manual_seed(0)))
    assert len(calls) == 3


def test_frames_do_not_depend_on_later_actions() -> None:
    made = model()
    actions = chunk(2)
    other = torch.cat([actions[:, :2], -actions[:, 2:]], 1)
    usual, changed = unrolled(made, actions), unrolled(made, other)
    assert torch.allclose(usual[:, 0], changed[:, 0], atol=1e-5)
    assert not torch.allclose(usual[:, 1], changed[:, 1], atol=1e-3)


def test_actions_and_both_streams_reach_every_frame() -> None:
    made = model()
    state = started(made)
    for entry in (0, -1):  # a channel of each stream
        other = {**state, "tokens": state["tokens"].clone()}
        other["tokens"][:, :-1, :, entry] += 1.0  # older frames: the newest would shift the prediction by itself
        a, b = (
            list(made.unroll(s, chunk(2), torch.Generator().manual_seed(0)))[-1]["tokens"][:, -1]
            for s in (state, other)
        )
        first, second = (a - b).abs().split(made.config.streams, -1)
        assert first.max() > 1e-4 and second.max() > 1e-4


def test_without_interaction_of_their_own_the_streams_are_one() -> None:
    assert model(interaction=False).config.streams == (8,)
    assert model().config.streams == (4, 4)


@pytest.mark.parametrize("interaction", [True, False])
def test_a_place_is_a_square_of_tokens_of_one_camera(interaction: bool) -> None:
    encoders = [{**e, "grid": 4, "image_size": 16} for e in RECIPE.example().changes["encoders"][1:]]
    config = LatentDiffusionConfig(
        {"left": (3, 16, 16), "right": (3, 16, 16)}, ActionSpec((-1.0,), (1.0,)),
        encoders=encoders, channels=2, patch=2, width=16, heads=2, layers=1, interaction=interaction,
    )  # fmt: skip
    made = LatentDiffusion(config)
    camera, row, column = torch.meshgrid(torch.arange(2.0), torch.arange(4.0), torch.arange(4.0), indexing="ij")
    square = 100 * camera + 10 * (row // 2) + column // 2  # a number for every square
    tokens = square.flatten().view(1, 1, 32, 1).repeat(3, 1, 1, 2) + torch.tensor([0.0, 0.5])
    (places,) = made.split(tokens)
    assert places.shape == (3, 1, config.places, *config.streams) == (3, 1, 8, 8)
    assert torch.equal(places, places[..., :2].repeat(1, 1, 1, 4))  # all four tokens of a place carry its number
    assert sorted(places[0, 0, :, 0].tolist()) == [0, 1, 10, 11, 100, 101, 110, 111]
    noise = torch.randn(3, 5, 32, 2)
    assert torch.equal(made.join(made.split(noise)), noise)


def test_spread_is_that_of_two_samples() -> None:
    made = model()
    spread = made.uncertainty(made.unroll(started(made), chunk(2), torch.Generator().manual_seed(0))[0])
    assert (spread > 0).all()
    alone = model(diffusion=False)
    last = alone.unroll(started(alone), chunk(1), torch.Generator().manual_seed(0))[0]
    assert (alone.uncertainty(last) == 0).all()


def test_the_target_is_undone() -> None:
    made = model()
    made.tokens.change.uniform_(0.5, 2.0)
    last, future = torch.randn(2, 4, 8), torch.randn(2, 2, 4, 8)
    assert torch.allclose(made.predicted(made.target(future, last), last), future, atol=1e-5)


@pytest.fixture
def dino_folder(tmp_path: Path) -> Path:
    import transformers

    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "patch_size": 4, "image_size": 16}
    torch.manual_seed(3)
    transformers.Dinov2Model(transformers.Dinov2Config(**sizes)).save_pretrained(tmp_path / "dino")
    return tmp_path / "dino"


def test_tokens_are_computed_once_and_trained_on(
    dino_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DREAMGYM_CACHE", str(tmp_path / "cache"))
    store = RECIPE.example().write(tmp_path / "store")
    changes = {k: v for k, v in RECIPE.example().changes.items() if k != "encoders"}
    changes |= {"sources": {"dinov2": str(dino_folder)}, "grid": 2}
    settings = {**RECIPE.example().settings, "log_every": 1}
    train(store.path, tmp_path / "run", "latent_diffusion", steps=2, changes=changes, **settings)
    files = sorted((tmp_path / "cache").rglob("*.npy"))
    assert len(files) == 3  # training episodes
    times = [file.stat().st_mtime_ns for file in files]
    train(store.path, tmp_path / "run", steps=3)
    assert [file.stat().st_mtime_ns for file in files] == times
    files[0].unlink()  # a cache that was cut short
    train(store.path, tmp_path / "run", steps=4)
    assert len(sorted((tmp_path / "cache").rglob("*.npy"))) == 3
    opened = load_run(tmp_path / "run")
    assert opened.config.encoders[0].sha256 == opened.tokens.encoders["dinov2"].sha256


def test_ready_tokens_are_those_of_the_images(
    dino_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DREAMGYM_CACHE", str(tmp_path / "cache"))
    store: EpisodeStore = RECIPE.example().write(tmp_path / "store")
    changes = {"sources": {"dinov2": str(dino_folder)}, "grid": 2, "channels": 4, "width": 16, "heads": 2}
    made = LatentDiffusion(RECIPE.config(store_facts(store), "tiny", changes))
    RECIPE.prepare(made, store)
    view, keys = RECIPE.source(made, store)
    rows = view.episode(0, [*keys, "action"], 0, 5)
    ready = {k: torch.from_numpy(v.copy()).unsqueeze(0) for k, v in rows.items() if k.startswith("features/")}
    images = {"rgb": torch.from_numpy(rows["rgb"].copy()).movedim(-1, 1).unsqueeze(0)}
    assert torch.allclose(made.tokens.of_batch(ready), made.tokens.of_batch(images), atol=0.05)
    tokens = made.tokens.of_batch(images)
    assert tokens.shape == (1, 5, 4, 4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"samples": 3}, "samples is 1 or 2"),
        ({"width": 15}, "width must be an even number"),
        ({"channels": 9}, "width of every encoder"),
        ({"encoders": []}, "one or more"),
        ({"chunk": 0}, "chunk must be at least 1"),
        ({"patch": 3}, "patch must divide the grid of 2 tokens"),
    ],
)
def test_a_config_that_cannot_be_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        example_config(**changes)


def test_a_sensor_is_read_off_the_tokens_and_nothing_of_it_reaches_them() -> None:
    made = model()
    read = made.decode(started(made), ["place", "rgb"])
    assert read["place"].shape == (3, 2) and read["rgb"].shape == (3, 3, 16, 16)
    batch = {
        "rgb": torch.randint(256, (2, 9, 3, 16, 16), dtype=torch.uint8),
        "action": torch.rand(2, 9, 2) * 2 - 1, "place": torch.rand(2, 9, 2),
    }  # fmt: skip

    def gradients(rows: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        made.zero_grad()
        made.loss(rows, torch.Generator().manual_seed(0))["loss"].backward()
        return {n: p.grad.clone() for n, p in made.named_parameters() if p.grad is not None}

    told, untold = gradients(batch), gradients({k: v for k, v in batch.items() if k != "place"})
    assert {n.split(".")[0] for n in told.keys() - untold.keys()} == {"reader"}
    assert all(torch.equal(told[n], g) for n, g in untold.items())


def test_bad_input_is_refused() -> None:
    made = model()
    state = started(made)
    with pytest.raises(ValueError, match=r"images of camera 'rgb' have shape \(3, 8, 8\)"):
        made.observe(state, chunk(1), {"rgb": torch.zeros(3, 3, 8, 8, dtype=torch.uint8)})
    with pytest.raises(ValueError, match="uint8 images"):
        made.observe(state, chunk(1), {"rgb": torch.zeros(3, 3, 16, 16)})
    with pytest.raises(ValueError, match="a frame spans 2 actions, got 3"):
        made.unroll(state, chunk(2)[:, :3])
    with pytest.raises(ValueError, match="needs at least 9"):
        made.loss({"rgb": torch.zeros(1, 8, 3, 16, 16, dtype=torch.uint8), "action": torch.zeros(1, 8, 2)})


def test_what_draws_and_what_reads_are_clipped_apart() -> None:
    # In one group the reader's large gradients leave the decoder none: imagined pictures stayed grey.
    made = recipe("latent_diffusion")
    example = made.example()
    changes = {"decoder_width": 4, "vectors": {"place": [["linear", 2]]}}
    config = LatentDiffusionConfig.tiny(
        {"rgb": (3, 16, 16)}, ActionSpec((-1.0,), (1.0,)), **{**example.changes, **changes}
    )
    (stage,) = made.stages(config, None)
    groups = [group.parameters for group in stage.groups]
    assert sorted(groups) == [("decoder.*",), ("reader.*",)]
