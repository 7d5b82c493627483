"""The cascade that actions drive, our extension of the paper's."""

from pathlib import Path

import pytest
import torch
from small_video import SIZES, pretrained_config, save_pretrained, small_cascade
from torch import Tensor

from dreamgym.testing import check_world_model
from dreamgym.training.train import load_run, train
from dreamgym.types import ActionSpec
from dreamgym.world_models.families.video_cascade import VideoCascade, VideoCascadeConfig
from dreamgym.world_models.families.video_cascade.cost import clip_cost, num_tokens
from dreamgym.world_models.families.video_cascade.recipe import RECIPE
from dreamgym.world_models.recipe import FitConfig

BY_ACTIONS = {"driven_by": "actions", "tasks": {}}


def cascade(seed: int = 0, **changes: object) -> VideoCascade:
    return small_cascade(seed, **{**BY_ACTIONS, **changes})


def image(batch: int = 2) -> Tensor:
    return torch.rand((batch, 3, 16, 16), generator=torch.Generator().manual_seed(0))


def followed(model: VideoCascade, actions: Tensor) -> Tensor:
    """Frames [B, F, ...] along actions [B, n, 2]."""
    state = {"image": image(len(actions)), "doubt": torch.zeros(len(actions))}
    with torch.no_grad():
        return torch.stack([s["image"] for s in model.unroll(state, actions, torch.Generator().manual_seed(3))], 1)


def plan(length: int, batch: int = 2) -> Tensor:
    return torch.rand((batch, length, 2), generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.mark.parametrize("fidelity", ["preview", "refined", "monolithic"])
@pytest.mark.parametrize("changes", [{}, {"residual": False, "guidance": 3.0}])
def test_every_fidelity_keeps_the_contract(fidelity: str, changes: dict[str, object]) -> None:
    view = cascade(**changes).at_fidelity(fidelity)
    assert isinstance(view.spec.action, ActionSpec)
    with torch.no_grad():
        check_world_model(view)


def test_each_envs_own_actions_decide_its_clip() -> None:
    model, one = cascade(), plan(8)
    other = one.clone()
    other[1] = -other[1]
    a, b = followed(model, one), followed(model, other)
    torch.testing.assert_close(a[0], b[0])
    assert not torch.allclose(a[1], b[1])


def test_a_chunk_beyond_a_clip_goes_on_from_its_last_frame() -> None:
    model, actions = cascade(), plan(12)
    frames = followed(model, actions)
    assert frames.shape[1] == 6
    torch.testing.assert_close(frames[:, :4], followed(model, actions[:, :8]))


def test_a_chunk_below_a_clip_is_made_up_by_its_last_actions() -> None:
    model, actions = cascade(), plan(4)
    made_up = torch.cat([actions, actions[:, 2:], actions[:, 2:]], 1)
    torch.testing.assert_close(followed(model, actions), followed(model, made_up)[:, :2])
    with pytest.raises(ValueError, match="a frame spans 2 actions, got 3"):
        followed(model, actions[:, :3])


def test_a_clip_without_its_actions_follows_none() -> None:
    encoder = cascade().text
    actions = plan(8).unflatten(1, (4, 2))
    told, empty = encoder.pair(actions)
    kept = encoder(actions, torch.tensor([True, False]))
    torch.testing.assert_close(kept[0], told[0])
    torch.testing.assert_close(kept[1], empty[1])
    torch.testing.assert_close(told[:, 0], empty[:, 0])  # no action led to the first frame


def test_it_trains_on_windows_of_any_store(tmp_path: Path) -> None:
    example = RECIPE.example()
    store = example.write(tmp_path / "store").path
    changes = {**example.changes, "driven_by": "actions", "stages": ["monolithic", "preview", "refiner"]}
    settings = {**example.settings, "log_every": 1, "steps": 5}
    train(store, tmp_path / "run", "video_cascade", changes=changes, **settings)
    made = load_run(tmp_path / "run")
    assert isinstance(made, VideoCascade) and not made.config.tasks
    assert (tmp_path / "run" / "log.jsonl").read_text().count('"loss"') == 5


def test_pretrained_weights_take_actions_on_channels_that_begin_at_zero(tmp_path: Path) -> None:
    folder = save_pretrained(tmp_path / "cogvideox")
    torch.manual_seed(0)
    model = VideoCascade(pretrained_config(folder, **BY_ACTIONS)).eval()
    weight = model.backbone.transformer.patch_embed.proj.weight
    assert weight.shape[1] == 12 and not weight[:, 8:].any()
    frozen = model.frozen_modules()
    assert "text" not in frozen and not any("moved" in name for name in frozen)
    (stage, _) = RECIPE.stages(model.config, FitConfig())
    assert {"text.*", "backbone.moved.*"} <= set(stage.trains)


def test_tokens_are_those_of_the_actions() -> None:
    config = cascade().config
    assert num_tokens(config, "low") == 3 * 1 * 1 + 3
    assert clip_cost(config, "refined").refining > 0


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"driven_by": "actions"}, "leave them out"),
        ({"tasks": {}}, "must have sentences"),
        ({"driven_by": "words"}, "driven_by must be one of"),
    ],
)
def test_what_drives_it_is_told_once(changes: dict[str, object], told: str) -> None:
    given = {"tasks": {"go": ("go",)}, "control": ActionSpec((-1.0, -1.0), (1.0, 1.0)), **SIZES, **changes}
    with pytest.raises(ValueError, match=told):
        VideoCascadeConfig.tiny(**given)
