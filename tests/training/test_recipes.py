import json
from pathlib import Path

import numpy as np
import pytest
import torch

from dreamgym.data import EpisodeStore
from dreamgym.training import checkpoint, recipes
from dreamgym.training.openloop import open_loop_eval
from dreamgym.world_models.families.rssm import RSSM, RSSMConfig

KEYS = {
    "action": ((7,), "float32"),
    "robot_obs": ((15,), "float32"),
    "scene_obs": ((24,), "float32"),
    "rgb_static": ((16, 16, 3), "uint8"),
    "rgb_gripper": ((16, 16, 3), "uint8"),
}
SMALL = {
    "deter": 16, "stoch": 4, "classes": 4, "units": 16, "embed": 16, "vector_units": 16, "ensemble_units": 4,
    "encoder_depth": 2, "decoder_depth": 2,
}  # fmt: skip


def episode(seed: int, rows: int = 60) -> tuple[dict[str, np.ndarray], dict[str, object]]:
    rng = np.random.default_rng(seed)
    out = {k: rng.random((rows, *shape)).astype(dtype) for k, (shape, dtype) in KEYS.items()}
    return out, {"split": "val" if seed % 3 == 2 else "train"}


@pytest.fixture
def store(tmp_path: Path) -> EpisodeStore:
    made = EpisodeStore.create(tmp_path / "store", KEYS)
    made.append([episode(i) for i in range(6)])
    return made


def train(store: EpisodeStore, run: Path, steps: int, variant: str = "state", **changes: object) -> recipes.FitResult:
    options: dict[str, object] = {"batch_size": 2, "length": 5, "log_every": 1, "precision": "fp32"}
    return recipes.train_rssm(store.path, run, variant, steps=steps, model_changes=SMALL, **{**options, **changes})


def losses(run: Path) -> list[float]:
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


def test_store_that_grew_does_not_bend_the_curve(store: EpisodeStore, tmp_path: Path) -> None:
    train(store, tmp_path / "whole", 6)
    train(store, tmp_path / "grown", 3)
    store.append([episode(i) for i in range(10, 14)])
    train(store, tmp_path / "grown", 6)
    assert losses(tmp_path / "grown") == losses(tmp_path / "whole")


def test_refreshing_takes_the_new_episodes_in(store: EpisodeStore, tmp_path: Path) -> None:
    train(store, tmp_path / "run", 2)
    store.append([episode(i) for i in (10, 12, 13)])
    train(store, tmp_path / "run", 4, refresh_data=True)
    assert json.loads((tmp_path / "run" / "run.json").read_text())["episodes"] == 4 + 3


def test_validation_episodes_are_not_trained_on(store: EpisodeStore) -> None:
    assert {m["split"] for m in recipes.training_episodes(store).metas} == {"train"}


def test_other_model_in_the_run_is_refused(store: EpisodeStore, tmp_path: Path) -> None:
    train(store, tmp_path / "run", 1)
    with pytest.raises(ValueError, match=r"variant.*new run directory"):
        train(store, tmp_path / "run", 2, variant="hybrid")


def test_lost_episodes_are_noticed(store: EpisodeStore) -> None:
    with pytest.raises(ValueError, match="restore the store"):
        recipes.first_episodes(store, 7)


def test_images_take_their_size_from_the_store(store: EpisodeStore, tmp_path: Path) -> None:
    train(store, tmp_path / "run", 1, variant="hybrid")
    model = recipes.load_run(tmp_path / "run")
    assert model.spec.observations["rgb_static"].shape == (3, 16, 16)


def test_run_evaluates_on_held_out_episodes(store: EpisodeStore, tmp_path: Path) -> None:
    result = train(store, tmp_path / "run", 1, variant="vision")
    assert {"psnr/rgb_static/50", "psnr_repeat/rgb_gripper/1"} <= set(result.metrics)


def test_statistics_come_from_the_training_episodes(store: EpisodeStore, tmp_path: Path) -> None:
    train(store, tmp_path / "run", 1)
    model = recipes.load_run(tmp_path / "run")
    rows = recipes.gather(recipes.training_episodes(store), ["scene_obs"])["scene_obs"]
    assert isinstance(model, RSSM)
    assert torch.allclose(model.codec("scene_obs").mean[:4], rows[:, :4].mean(0), atol=1e-6)


def test_exported_run_is_a_checkpoint(store: EpisodeStore, tmp_path: Path) -> None:
    train(store, tmp_path / "run", 2)
    recipes.main(["export", "--run", str(tmp_path / "run"), "--out", str(tmp_path / "dream")])
    exported, run = checkpoint.load(tmp_path / "dream").model, recipes.load_run(tmp_path / "run")
    assert all(torch.equal(v, run.state_dict()[k]) for k, v in exported.state_dict().items())


def test_directory_without_a_run_cannot_be_exported(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no training progress"):
        recipes.load_run(tmp_path)


def test_unknown_preset_names_the_known(store: EpisodeStore, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"huge.*paper.*tiny"):
        recipes.train_rssm(store.path, tmp_path / "run", preset="huge")


def test_paper_preset_is_table_s2() -> None:
    _, changes, windows = recipes.PRESETS["paper"]
    config = recipes.FitConfig(**changes)
    assert windows == {"batch_size": 50, "length": 50}
    assert (config.lr, config.grad_clip, config.eps, config.weight_decay) == (3e-4, 100, 1e-5, 5e-2)
    model = RSSMConfig.paper()
    assert (model.deter, model.stoch, model.classes, model.latent_dim) == (1024, 32, 32, 2048)
    assert (model.kl_scale, model.kl_balance, model.reset_prob) == (0.3, 0.8, 0.01)


def test_open_loop_errors_are_against_the_frame_they_predict() -> None:
    """A model that decodes its last action: the error at h is that of action h - 1 against frame h."""
    model = RSSM(RSSMConfig.tiny(variant="state", **SMALL))
    steps = 8

    def imagine(state: dict[str, torch.Tensor], action: torch.Tensor, generator: object) -> dict[str, torch.Tensor]:
        return {"latent": action}

    def decode(state: dict[str, torch.Tensor], keys: list[str]) -> dict[str, torch.Tensor]:
        return {k: state["latent"][:, :1].expand(-1, d) for k, d in (("robot_obs", 15), ("scene_obs", 24))}

    model.imagine, model.decode = imagine, decode  # type: ignore[method-assign, assignment]
    action = torch.linspace(-0.9, 0.9, steps).view(1, steps, 1).expand(2, -1, 7)
    shifted = torch.cat([action[:, :1], action[:, :-1]], dim=1)[..., :1]
    batch = {"action": action, "robot_obs": shifted.expand(-1, -1, 15), "scene_obs": shifted.expand(-1, -1, 24)}
    errors = open_loop_eval(model, batch, horizons=(1, 5))
    assert errors["mae/robot_obs/1"] == pytest.approx(0, abs=1e-6)
    assert errors["drawer/5"] == pytest.approx(0, abs=1e-6)
    assert errors["drawer_repeat/5"] == pytest.approx(5 * 1.8 / 7, abs=1e-5)


def test_run_begins_with_another_runs_weights(store: EpisodeStore, tmp_path: Path) -> None:
    train(store, tmp_path / "first", 3)
    train(store, tmp_path / "second", 1, init=tmp_path / "first", lr=1e-12, warmup=0, weight_decay=0.0)
    first, second = recipes.load_run(tmp_path / "first"), recipes.load_run(tmp_path / "second")
    assert all(torch.allclose(v, second.state_dict()[k], atol=1e-6) for k, v in first.state_dict().items())


def test_weights_of_another_shape_stay_fresh(store: EpisodeStore, tmp_path: Path) -> None:
    train(store, tmp_path / "first", 1, "vision")
    changes = {**SMALL, "decoder_depth": 3}
    recipes.train_rssm(
        store.path, tmp_path / "second", "vision", steps=1, batch_size=2, length=5, precision="fp32", log_every=1,
        init=tmp_path / "first", model_changes=changes,
    )  # fmt: skip
    assert recipes.load_run(tmp_path / "second").config.decoder_depth == 3


def test_run_that_has_progress_is_not_begun_anew(store: EpisodeStore, tmp_path: Path) -> None:
    train(store, tmp_path / "first", 1)
    train(store, tmp_path / "whole", 4)
    train(store, tmp_path / "resumed", 2)
    train(store, tmp_path / "resumed", 4, init=tmp_path / "first")
    assert losses(tmp_path / "resumed") == losses(tmp_path / "whole")


def test_model_fields_come_from_the_command_line(store: EpisodeStore, tmp_path: Path) -> None:
    fields = [f"{k}={v}" for k, v in SMALL.items()]
    recipes.main(
        ["train", "--store", str(store.path), "--run", str(tmp_path / "run"), "--steps", "1", "--batch-size", "2",
         "--length", "5", "--precision", "fp32", "--model", *fields, 'image_weights={"rgb_static": 4}']
    )  # fmt: skip
    assert recipes.load_run(tmp_path / "run").config.image_weights == {"rgb_static": 4}


@pytest.mark.parametrize(("word", "told"), [("units", "FIELD=JSON"), ("width=3", "no field 'width'")])
def test_wrong_model_field_is_named(store: EpisodeStore, tmp_path: Path, word: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        recipes.main(["train", "--store", str(store.path), "--run", str(tmp_path / "run"), "--model", word])
