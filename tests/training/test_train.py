import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from disc import SMALL as DISC
from disc import make_store

from dreamgym.data import EpisodeStore
from dreamgym.testing import PointMassConfig, PointMassModel
from dreamgym.testing.points import PointRecipe
from dreamgym.training import checkpoint
from dreamgym.training.fit import FitConfig, FitResult
from dreamgym.training.progress import latest
from dreamgym.training.runs import held
from dreamgym.training.train import load_run, train, training_episodes
from dreamgym.world_models.families.rssm import RSSM, RSSMConfig
from dreamgym.world_models.families.rssm.recipe import gather
from dreamgym.world_models.recipe import Stage
from dreamgym.world_models.registry import recipe, register_family

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


def begin(store: EpisodeStore, run: Path, steps: int, variant: str = "state", **changes: Any) -> FitResult:
    options: dict[str, Any] = {"batch_size": 2, "length": 5, "log_every": 1, "precision": "fp32"}
    return train(store.path, run, "rssm", steps=steps, changes={**SMALL, "variant": variant}, **{**options, **changes})


def lines(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def losses(run: Path) -> list[float]:
    return [line["loss"] for line in lines(run) if "loss" in line]


# Losses of the first five updates on the commit before recipes existed (4de59ca), on one thread.
CURVES = {
    "state": [1476.3767, 1481.6333, 1396.5657, 1542.6885, 1519.2109],
    "hybrid": [2406.2751, 2194.5332, 2247.9863, 2301.9263, 2271.7012],
}


@pytest.mark.parametrize("variant", CURVES)
def test_an_rssm_trains_as_it_always_did(store: EpisodeStore, tmp_path: Path, variant: str) -> None:
    begin(store, tmp_path / "run", 5, variant)
    assert losses(tmp_path / "run") == pytest.approx(CURVES[variant], rel=1e-5)


def test_an_mlp_trains_as_it_always_did(tmp_path: Path) -> None:
    path = make_store(tmp_path / "store")
    train(path, tmp_path / "run", steps=5, changes=DISC, batch_size=16, length=10, warmup=5, ema=0.9, log_every=1)
    assert losses(tmp_path / "run") == pytest.approx([2.97849, 3.17948, 3.21053, 3.23814, 2.42733], rel=1e-5)


# -- data --


def test_a_store_that_grew_does_not_bend_the_curve(store: EpisodeStore, tmp_path: Path) -> None:
    begin(store, tmp_path / "whole", 6)
    begin(store, tmp_path / "grown", 3)
    store.append([episode(i) for i in range(10, 14)])
    begin(store, tmp_path / "grown", 6)
    assert losses(tmp_path / "grown") == losses(tmp_path / "whole")


def test_refreshing_takes_the_new_episodes_in(store: EpisodeStore, tmp_path: Path) -> None:
    begin(store, tmp_path / "run", 2)
    store.append([episode(i) for i in (10, 12, 13)])
    begin(store, tmp_path / "run", 4, refresh_data=True)
    assert json.loads((tmp_path / "run" / "run.json").read_text())["episodes"] == 4 + 3


def test_only_training_episodes_are_trained_on(store: EpisodeStore) -> None:
    store.append([(episode(0)[0], {"split": "test"}), (episode(1)[0], {})])
    assert [m.get("split") for m in training_episodes(store).metas] == ["train"] * 4 + [None]


def test_lost_episodes_are_noticed(store: EpisodeStore) -> None:
    with pytest.raises(ValueError, match="restore the store"):
        store.first(7)


def test_sensors_take_their_size_from_the_store(store: EpisodeStore, tmp_path: Path) -> None:
    begin(store, tmp_path / "run", 1, variant="hybrid")
    model = load_run(tmp_path / "run")
    assert model.spec.observations["rgb_static"].shape == (3, 16, 16)
    assert set(model.spec.observations) == {"rgb_static", "rgb_gripper", "robot_obs"}
    assert model.spec.action.binary == (6,)


def test_run_evaluates_on_held_out_episodes(store: EpisodeStore, tmp_path: Path) -> None:
    result = begin(store, tmp_path / "run", 1, variant="hybrid")
    assert {"psnr/rgb_static/50", "psnr_repeat/rgb_gripper/1", "drawer/20", "drawer_repeat/20"} <= set(result.metrics)
    assert lines(tmp_path / "run")[-1]["eval"] == result.metrics


def test_statistics_come_from_the_training_episodes(store: EpisodeStore, tmp_path: Path) -> None:
    begin(store, tmp_path / "run", 1)
    model = load_run(tmp_path / "run")
    rows = gather(training_episodes(store), ["scene_obs"])["scene_obs"]
    assert isinstance(model, RSSM)
    assert torch.allclose(model.codec("scene_obs").mean[:4], rows[:, :4].mean(0), atol=1e-6)


def test_tasks_choose_the_episodes(tmp_path: Path) -> None:
    path = make_store(tmp_path / "store")
    with pytest.raises(ValueError, match=r"no training episode of \['fly'\]"):
        train(path, tmp_path / "run", tasks=("fly",))
    train(path, tmp_path / "run", steps=1, changes=DISC, tasks=("push_t",), batch_size=2, length=8)
    assert json.loads((tmp_path / "run" / "run.json").read_text())["tasks"] == ["push_t"]
    assert train(path, tmp_path / "run", steps=2).step == 2


@pytest.mark.parametrize(("images", "expected"), [(True, "rssm"), (False, "mlp")])
def test_the_sensors_suggest_the_family(tmp_path: Path, images: bool, expected: str) -> None:
    keys = {"state": ((3,), "float32"), "action": ((2,), "float32")}
    keys |= {"rgb": ((16, 16, 3), "uint8")} if images else {}
    made = EpisodeStore.create(tmp_path / "store", keys)
    made.append([({k: np.random.default_rng(0).random((9, *s)).astype(d) for k, (s, d) in keys.items()}, {})])
    changes = {k: SMALL[k] for k in ("deter", "units")} if images else DISC
    train(made.path, tmp_path / "run", steps=1, changes=changes, batch_size=2, length=5, precision="fp32")
    assert load_run(tmp_path / "run").spec.family == expected


# -- what a run was begun with --


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"batch_size": 3}, "batch_size=2, not 3"),
        ({"length": 6}, "length=5, not 6"),
        ({"seed": 1}, "seed=0, not 1"),
        ({"lr": 1e-5}, "lr=0.0008, not 1e-05"),
        ({"variant": "hybrid"}, "model.variant='state', not 'hybrid'"),
        ({"tasks": ("open_drawer",)}, r"tasks=\[\], not \['open_drawer'\]"),
    ],
)
def test_another_setting_is_refused_by_name(
    store: EpisodeStore, tmp_path: Path, settings: dict[str, Any], told: str
) -> None:
    begin(store, tmp_path / "run", 1)
    with pytest.raises(ValueError, match=rf"begun with {told}: leave that away to go on, or use a new run directory"):
        begin(store, tmp_path / "run", 2, **settings)


def test_another_family_and_preset_are_refused(store: EpisodeStore, tmp_path: Path) -> None:
    begin(store, tmp_path / "run", 1)
    with pytest.raises(ValueError, match="family='rssm', not 'mlp'; preset='tiny', not 'paper'"):
        train(store.path, tmp_path / "run", "mlp", "paper", steps=2)


def test_another_store_is_refused_and_a_moved_one_is_not(store: EpisodeStore, tmp_path: Path) -> None:
    begin(store, tmp_path / "run", 1)
    other = EpisodeStore.create(tmp_path / "other", KEYS)
    other.append([(episode(i)[0], {"split": "train", "note": "another"}) for i in range(6)])
    with pytest.raises(ValueError, match=r"begun with store=.*/store', not .*/other', which has other episodes"):
        begin(other, tmp_path / "run", 2)
    moved = store.path.rename(tmp_path / "moved")
    assert begin(EpisodeStore.open(moved), tmp_path / "run", 2).step == 2


def test_what_is_left_away_is_the_runs_own(store: EpisodeStore, tmp_path: Path) -> None:
    begin(store, tmp_path / "whole", 4, seed=3)
    begin(store, tmp_path / "run", 2, seed=3)
    train(store.path, tmp_path / "run", steps=4, log_every=1)
    assert losses(tmp_path / "run") == losses(tmp_path / "whole")


def test_a_call_that_fails_before_its_first_update_pins_nothing(store: EpisodeStore, tmp_path: Path) -> None:
    for wrong in ({"length": 1000}, {"batch_size": 0}):
        with pytest.raises(ValueError, match=r"1000 rows|batch_size"):
            begin(store, tmp_path / "run", 2, **wrong)
    with pytest.raises((ValueError, RuntimeError)):
        train(store.path, tmp_path / "run", "rssm", steps=2, changes={**SMALL, "variant": "state", "deter": -4})
    assert begin(store, tmp_path / "run", 2).step == 2


def test_runs_of_before_go_on(store: EpisodeStore, tmp_path: Path) -> None:
    """Their run.json held family, model, episodes and windows alone, and fit.json the rest."""
    begin(store, tmp_path / "whole", 4)
    begin(store, tmp_path / "run", 2)
    file = tmp_path / "run" / "run.json"
    run = json.loads(file.read_text())
    old = {k: run[k] for k in ("family", "model", "episodes", "batch_size", "length", "precision")}
    file.write_text(json.dumps(old))
    assert load_run(tmp_path / "run").spec.family == "rssm"
    train(store.path, tmp_path / "run", steps=4, log_every=1)
    assert losses(tmp_path / "run") == losses(tmp_path / "whole")


def test_unknown_words_are_named(store: EpisodeStore, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"huge.*paper.*tiny"):
        train(store.path, tmp_path / "run", preset="huge")
    with pytest.raises(ValueError, match="no setting is called 'learning_rate'"):
        begin(store, tmp_path / "run", 1, learning_rate=1.0)
    with pytest.raises(ValueError, match="lr is float, got 'fast'"):
        begin(store, tmp_path / "run", 1, lr="fast")
    with pytest.raises(ValueError, match="no field 'width'"):
        train(store.path, tmp_path / "run", "rssm", changes={"width": 3})


def test_a_config_that_loses_a_field_on_its_way_to_disk_is_refused(store, tmp_path: Path, monkeypatch) -> None:
    whole = RSSMConfig.to_dict
    monkeypatch.setattr(RSSMConfig, "to_dict", lambda self: {k: v for k, v in whole(self).items() if k != "deter"})
    with pytest.raises(ValueError, match="to_dict must give every field"):
        begin(store, tmp_path / "run", 1)


def test_a_run_cannot_live_in_a_file(store: EpisodeStore, tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("mine")
    for place in (tmp_path / "notes", tmp_path / "notes" / "run"):
        with pytest.raises(ValueError, match="notes is a file, not a folder"):
            begin(store, place, 1)
    assert (tmp_path / "notes").read_text() == "mine"


def test_a_run_cannot_live_in_a_store_or_in_a_checkpoint(store: EpisodeStore, tmp_path: Path) -> None:
    begin(store, tmp_path / "run", 1)
    dream = checkpoint.save(tmp_path / "dream", load_run(tmp_path / "run"))
    for place in (dream, store.path):
        before = sorted(file.name for file in place.iterdir())
        with pytest.raises(ValueError, match="holds something else than a run"):
            begin(store, place, 1)
        assert sorted(file.name for file in place.iterdir()) == before


# -- what is damaged, and who else is there --


@pytest.mark.parametrize(
    ("name", "content"),
    [
        *((name, content) for name in ("run.json", "fit.json", "state.json") for content in ("", "[1]", "[" * 9999)),
        ("run.json", '{"family": 3}'),
        ("state.json", '{"format": 1, "step": "2", "extra": {}}'),
        ("state.json", '{"format": 1, "step": 7, "extra": {}}'),
        ("state.json", '{"format": 1}'),
        ("model.safetensors", "cut"),
        ("optimizer.safetensors", "cut"),
        ("optimizer.safetensors", None),
        ("rng.safetensors", ""),
    ],
)
def test_damage_of_a_run_is_told_with_its_file(
    store: EpisodeStore, tmp_path: Path, name: str, content: str | None
) -> None:
    begin(store, tmp_path / "run", 2)
    file = next((tmp_path / "run").rglob(name))
    file.unlink() if content is None else file.write_text(content)
    with pytest.raises(
        ValueError, match=f"{file.name if 'run' in name or 'fit' in name else file.parent}.*damaged|read"
    ):
        begin(store, tmp_path / "run", 3)


def test_a_run_goes_on_from_the_save_before_a_damaged_one(store: EpisodeStore, tmp_path: Path) -> None:
    begin(store, tmp_path / "run", 2)
    begin(store, tmp_path / "run", 3)
    newest = latest(tmp_path / "run")
    assert newest is not None
    (newest / "model.safetensors").write_text("cut")
    with pytest.raises(ValueError, match="delete that folder, and the run goes on"):
        load_run(tmp_path / "run")
    shutil.rmtree(newest)
    assert begin(store, tmp_path / "run", 3).step == 3


def test_one_process_at_a_time_trains_a_run(store: EpisodeStore, tmp_path: Path) -> None:
    begin(store, tmp_path / "run", 1)
    with held(tmp_path / "run"), pytest.raises(ValueError, match="another process is at work in .*run: wait"):
        begin(store, tmp_path / "run", 2)
    assert begin(store, tmp_path / "run", 2).step == 2


# -- a model and a store that do not belong together --


def vectors(path: Path, sensor: str, entries: int, actions: int) -> Path:
    made = EpisodeStore.create(path, {sensor: ((entries,), "float32"), "action": ((actions,), "float32")})
    made.append([({sensor: np.ones((9, entries), "f4"), "action": np.ones((9, actions), "f4")}, {})])
    return made.path


@pytest.mark.parametrize(
    ("store", "told"),
    [
        (("robot_obs", 5, 3), r"robot_obs \[3\] and actions of 3; .* has robot_obs \[5\] and actions of 3"),
        (("robot_obs", 3, 7), r"has robot_obs \[3\] and actions of 7"),
        (("state", 3, 3), r"has state \[3\] and actions of 3: change the config .* or name a family that suits it"),
    ],
)
def test_a_family_that_does_not_fit_the_store_is_told_with_both_shapes(
    tmp_path: Path, store: tuple[str, int, int], told: str
) -> None:
    register_family("vector_point", VectorPoint, VectorRecipe(3, "point_mass"))
    with pytest.raises(ValueError, match=rf"family 'vector_point' with this config reads .*{told}"):
        train(vectors(tmp_path / "store", *store), tmp_path / "run", "vector_point", steps=1, length=4)
    assert not (tmp_path / "run").exists()


class VectorPoint(PointMassModel):
    """A toy that sees its vector sensor alone, in three entries, whatever the store has."""

    def __init__(self, config: Any = None) -> None:
        super().__init__(config)
        observations = {"robot_obs": self.spec.observations["robot_obs"]}
        self.spec = dataclasses.replace(self.spec, family="vector_point", observations=observations)


class VectorRecipe(PointRecipe):
    config_class = PointMassConfig

    def keys(self, config: Any) -> tuple[str, ...]:
        return ("robot_obs",)


class MixesBatch(VectorPoint):
    def imagine(self, state: Any, action: Any, generator: Any = None) -> Any:
        state = super().imagine(state, action, generator)
        return {**state, "position": state["position"] - state["position"].mean(0)}


def test_a_family_of_ones_own_that_breaks_the_contract_is_refused_before_it_trains(tmp_path: Path) -> None:
    register_family("mixing_point", MixesBatch, VectorRecipe(3, "point_mass"))
    with pytest.raises(ValueError, match=r"\(MixesBatch\) does not keep the contract .* changing the action of env 0"):
        train(vectors(tmp_path / "store", "robot_obs", 3, 3), tmp_path / "run", "mixing_point", steps=1, length=4)
    assert not (tmp_path / "run").exists()


# -- other runs' weights --


def test_run_begins_with_another_runs_weights(store: EpisodeStore, tmp_path: Path) -> None:
    begin(store, tmp_path / "first", 3)
    begin(store, tmp_path / "second", 1, init=tmp_path / "first", lr=1e-12, warmup=0, weight_decay=0.0)
    first, second = load_run(tmp_path / "first"), load_run(tmp_path / "second")
    assert all(torch.allclose(v, second.state_dict()[k], atol=1e-6) for k, v in first.state_dict().items())


def test_weights_of_another_shape_stay_fresh(store: EpisodeStore, tmp_path: Path) -> None:
    begin(store, tmp_path / "first", 1, "vision")
    train(
        store.path, tmp_path / "second", "rssm", steps=1, batch_size=2, length=5, precision="fp32",
        init=tmp_path / "first", changes={**SMALL, "decoder_depth": 3},
    )  # fmt: skip
    assert load_run(tmp_path / "second").config.decoder_depth == 3


def test_run_that_has_progress_is_not_begun_anew(store: EpisodeStore, tmp_path: Path) -> None:
    begin(store, tmp_path / "first", 1)
    begin(store, tmp_path / "whole", 4, init=tmp_path / "first")
    begin(store, tmp_path / "resumed", 2, init=tmp_path / "first")
    begin(store, tmp_path / "resumed", 3, init=tmp_path / "first")
    begin(store, tmp_path / "resumed", 4)
    assert losses(tmp_path / "resumed") == losses(tmp_path / "whole")
    for other in (tmp_path / "whole", checkpoint.save(tmp_path / "dream", load_run(tmp_path / "first"))):
        with pytest.raises(ValueError, match="was begun with init='run .*first', not '(run .*whole|weights .*)'"):
            begin(store, tmp_path / "resumed", 5, init=other)


# -- what comes out --


def test_a_run_is_saved_as_a_checkpoint(store: EpisodeStore, tmp_path: Path) -> None:
    begin(store, tmp_path / "run", 2)
    run = load_run(tmp_path / "run")
    exported = checkpoint.load(checkpoint.save(tmp_path / "dream", run)).model
    assert all(torch.equal(v, run.state_dict()[k]) for k, v in exported.state_dict().items())


class StagedPoint(PointMassModel):
    """A toy with as many stages as its run's warmup says; the parameters of each have another name."""

    family = "staged_point"


class StagedRecipe(PointRecipe):
    def stages(self, config: Any, fit: FitConfig) -> tuple[Stage, ...]:
        def begin(model: Any) -> None:
            model.extra = torch.nn.Parameter(torch.zeros(fit.warmup))

        def end(model: Any) -> None:
            del model.extra

        return tuple(Stage(f"stage {i}", updates=1, begin=begin, end=end) for i in range(fit.warmup))


def test_a_run_is_opened_with_the_stages_of_its_own_settings(tmp_path: Path) -> None:
    register_family("staged_point", StagedPoint, StagedRecipe(3, "point_mass"))
    store = recipe("staged_point").example().write(tmp_path / "store")
    train(store.path, tmp_path / "run", "staged_point", steps=3, warmup=3, batch_size=2, length=4)
    assert load_run(tmp_path / "run").state_dict().keys() == StagedPoint().state_dict().keys()


def test_directory_without_a_run_cannot_be_loaded(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no training progress"):
        load_run(tmp_path)


def test_a_short_training_beats_repeating_the_last_frame(tmp_path: Path) -> None:
    path = make_store(tmp_path / "store")
    settings = {"batch_size": 16, "length": 10, "warmup": 5, "ema": 0.9, "openings": 0.1}
    metrics = train(path, tmp_path / "run", steps=150, changes=DISC, **settings).metrics
    assert metrics["disc/1"] < 0.5 * metrics["disc_repeat/1"]
    assert metrics["disc/20"] < 0.5 * metrics["disc_repeat/20"]
    assert "disc/50" not in metrics  # episodes of 30 steps


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_ends_the_command_with_its_code(tmp_path: Path, sent: signal.Signals, code: int) -> None:
    pytest.importorskip("tyro")
    path, run = make_store(tmp_path / "store"), tmp_path / "run"
    words = ["--store", str(path), "--run", str(run), "--steps", "100000", "--batch-size", "4", "--length", "8"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    command = [sys.executable, "-c", "from dreamgym.cli import main; main()", "fit", *words]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None and not (run / "log.jsonl").exists():
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(sent)
    _, told = process.communicate(timeout=60)
    assert process.returncode == code
    assert "updates, which are kept; the same command goes on" in told
    assert latest(run) is not None
