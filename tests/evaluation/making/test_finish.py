import json
import logging
import re
import shutil
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
import torch
from disc import SMALL, make_store
from fakes import KEYS, FakeModel, episode

from dreamgym.data import EpisodeStore
from dreamgym.envs.make import make_core
from dreamgym.evaluation.making.finish import finish_model, finish_run
from dreamgym.evaluation.making.kept_parts import Parts
from dreamgym.evaluation.making.settings import FinishConfig
from dreamgym.sims.calvin import scene_obs_success
from dreamgym.testing import check_vector_env
from dreamgym.training.checkpoint import load
from dreamgym.training.train import train
from dreamgym.world_models import registry

KEYS_ALL = KEYS | {"snapshot": ((3,), "float64"), "success": ((), "bool")}
QUICK = FinishConfig(
    probe_steps=10,
    rewards={"epochs": 3, "batch_size": 16, "learning_rate": 3e-3, "play_windows": 8, "play_steps": 20},
    bank={"num_train": 4, "num_val": 2, "context": 4},
    fidelity={"windows": 8},
    twin_per_task=0,
)


def record(rng, length, action):
    made = episode(rng, length, action=action)
    # A snapshot that tells its row: where slider and drawer stand, and how late it is.
    snapshot = np.concatenate([made["scene_obs"][:, :2], np.arange(length)[:, None]], 1).astype(np.float64)
    success = scene_obs_success("open_drawer", made["scene_obs"][:1], made["scene_obs"])
    return made | {"snapshot": snapshot, "success": success}


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    registry.register_family("fake", FakeModel)
    rng, path = np.random.default_rng(0), tmp_path_factory.mktemp("stores")
    play, demos = (EpisodeStore.create(path / name, KEYS_ALL) for name in ("play", "demos"))
    for i in range(6):
        action = rng.uniform(-1, 1, (80, 7)).astype(np.float32)
        action[10:20, 1] = 1
        meta = {"kind": "play", "split": "val" if i > 3 else "train", "skills": [["open_drawer", 10, 20, True]]}
        play.append([(record(rng, 80, action), meta)])
    for i in range(16):
        action = np.zeros((24, 7), np.float32)
        action[4:, 1] = 0.9 if i % 2 else 0.2
        meta = {"split": "val" if i > 9 else "train", "task": "open_drawer", "success": bool(i % 2)}
        demos.append([(record(rng, 24, action), meta | {"kind": "demonstration"})])
    return play, demos


@pytest.fixture(scope="module")
def folder(stores, tmp_path_factory):
    return finish_model(
        FakeModel(slip=0.1), stores, tmp_path_factory.mktemp("out") / "done", QUICK, parts=Parts(progress=False)
    )


def test_a_finished_checkpoint_has_every_part(folder):
    loaded = load(folder)
    assert set(loaded.rewards) == {"success", "decoded"}
    assert loaded.rewards["success"].tasks == ("open_drawer",)
    assert loaded.probe is None  # the model decodes all that a probe could read
    starts = loaded.starts
    assert loaded.starts_meta["counts"]["open_drawer"] == {"train": 4, "val": 2, "test": 0}
    assert starts["split"].tolist() == [0] * 4 + [1] * 2
    assert torch.allclose(starts["snapshot"][:, :2], starts["state/scene"][:, :2].double(), atol=1e-3)
    assert set(starts["snapshot"][:, 2].tolist()) <= {0, 4, 8, 10, 14, 18}  # rows into a skill or a demonstration
    assert loaded.spec.uncertainty_limit == pytest.approx(loaded.metrics["fidelity"]["uncertainty"]["p99"], rel=1e-4)
    assert loaded.metrics["rewards"]["tasks"]["open_drawer"]["threshold"] == pytest.approx(
        float(loaded.rewards["success"].thresholds[0])
    )


def test_a_model_that_does_not_decode_the_state_gets_a_probe(stores, tmp_path):
    loaded = load(finish_model(FakeModel(scene=False), stores, tmp_path / "blind", QUICK, parts=Parts(progress=False)))
    assert loaded.probe is not None
    assert set(loaded.probe.keys) == {"robot_obs", "scene_obs"}
    assert loaded.metrics["fidelity"]["state_source"] == "probe"
    assert loaded.rewards["decoded"].probe is not None


def test_it_opens_as_a_dream(folder):
    core = make_core(str(folder), task="open_drawer", num_envs=3, split="val")
    _, told = core.reset(seed=0)
    bank = load(folder).starts
    assert set(bank["split"][told["start"]].tolist()) == {1}
    assert torch.equal(core.state["scene"], bank["state/scene"][told["start"]].float())
    action, before = torch.zeros(3, 7), core.state["scene"][:, 1].clone()
    action[:, 1] = 1
    said = [core.step(action).info["success_probability"] for _ in range(4)]
    assert torch.allclose(core.state["scene"][:, 1] - before, torch.tensor(4 * 0.022))  # a tenth too fast
    assert bool((said[-1] > said[0]).all())  # an opening drawer looks more and more like an open one


def test_the_card_states_the_measured_figures(folder):
    card, metrics = (folder / "README.md").read_text(), load(folder).metrics
    assert f"| `open_drawer` | {metrics['rewards']['tasks']['open_drawer']['threshold']:.2f} |" in card
    drawer = metrics["fidelity"]["curves"]["drawer"]["model"][49]
    assert f"{100 * drawer:.2f} cm" in card
    assert "| play data | 6 episodes, 480 steps (2 held out) |" in card
    assert "## Limits" in card


def test_what_can_be_refused_is_refused_before_any_work(stores, tmp_path, monkeypatch):
    play, demos = stores

    def finish(*given, model=None, out="out", **kwargs):
        model = FakeModel() if model is None else model
        return finish_model(model, given, tmp_path / out, QUICK, parts=Parts(progress=False), **kwargs)

    monkeypatch.setattr("dreamgym.evaluation.making.finish.fit_success", None)  # nothing gets that far
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("")
    with pytest.raises(ValueError, match="mine exists and is no checkpoint folder"):
        finish(play, demos, out="mine")
    with pytest.raises(ValueError, match="two stores of the role 'play'.*dreamgym join"):
        finish(play, play, demos)
    with pytest.raises(ValueError, match=r"no episode is of \['fly'\]; the stores have \['open_drawer'\]"):
        finish(play, demos, tasks=("fly",))
    with pytest.raises(ValueError, match="no success of 'open_drawer' in the episodes of the split 'val'"):
        finish(play, demos.select(lambda meta: meta["split"] == "train"))
    with pytest.raises(ValueError, match="no episode of the split 'val': collect or import more.*--val-share"):
        finish(play.select(split="train"), demos)
    with pytest.raises(ValueError, match="needs a store of play or of demonstrations"):
        finish()
    other = EpisodeStore.create(tmp_path / "other", KEYS | {"rgb_static": ((4, 4, 3), "uint8")})
    with pytest.raises(ValueError, match=r"reads \{'rgb_static': \(3, 8, 8\)\}.*has \{'rgb_static': \(3, 4, 4\)\}"):
        finish(play, demos, other)
    assert not (tmp_path / "out").exists()


# An MLP on a state suite, through a run.


@pytest.fixture(scope="module")
def disc(tmp_path_factory):
    """A store and a run."""
    path = tmp_path_factory.mktemp("disc")
    make_store(path / "store")
    train(path / "store", path / "run", steps=60, changes=SMALL, batch_size=16, length=10, warmup=5, ema=0.9)
    return path


STATES = FinishConfig(rewards={"epochs": 3, "batch_size": 32}, fidelity={"windows": 16}, twin_per_task=0)


def test_a_run_on_a_state_suite_becomes_an_environment(disc, tmp_path):
    out = finish_run(disc / "run", [disc / "store"], tmp_path / "made", STATES, progress=False)
    opened = load(str(out))
    assert opened.simulator == {"id": "pusht", "kwargs": {}}
    assert opened.starts_meta["counts"]["push_t"] | {"test": 0} == {"train": 9, "val": 3, "test": 0}
    assert opened.dtype == torch.float16
    assert opened.rewards["success"].config.embedding == (128, 128)  # a small state's
    # Before the first frame of an episode the disc stood where it is seen there.
    frames, scaling = opened.starts["state/obs"].float(), opened.model.scaling
    stood = scaling.action(scaling.raw(frames[:, 0])[:, :2])
    assert torch.equal(frames[:, 0], frames[:, 1])
    assert torch.allclose(opened.starts["state/action"][:, 0].float(), stood, atol=5e-3)
    card = (out / "README.md").read_text()
    assert 'gym.make("Dream-v0", checkpoint="made", task="push_t")' in card
    assert f"| disc error | **dream** | {opened.metrics['fidelity']['curves']['disc']['model'][0]:.3g} px |" in card
    assert "| who acts | pusher 12 |" in card
    assert "| updates | 60 |" in card
    check_vector_env(
        lambda mode: gym.make_vec("Dream-v0", checkpoint=str(out), num_envs=2, autoreset_mode=mode, horizon=4),
        steps=6,
        horizon=4,
    )


def test_the_suites_operators_act_in_its_twin(disc, tmp_path):
    pytest.importorskip("gym_pusht")
    config = replace(STATES, twin_per_task=2, demo_sequences=1)
    opened = load(finish_run(disc / "run", [disc / "store"], tmp_path / "made", config, progress=False))
    figures = opened.metrics["twin"]["tasks"]["push_t"]
    assert figures["num_episodes"] == 2
    assert all(0 <= figures[k] <= 1 for k in ("f1_real", "f1_dream", "episode_f1_real", "episode_f1_dream"))
    demo = opened.attachments()["demo"]
    assert demo["action"].shape == (1, 50, 2)
    low, high = opened.spec.action.low, opened.spec.action.high
    assert all(low[i] <= demo["action"][..., i].min() < demo["action"][..., i].max() <= high[i] for i in range(2))
    assert opened.starts["split"][demo["row"]].tolist() == [1]  # it begins where nothing was trained
    assert "## Twin rollouts" in (tmp_path / "made" / "README.md").read_text()


def test_a_missing_simulator_is_told_before_any_work(disc, tmp_path, monkeypatch):
    monkeypatch.setattr("dreamgym.suites.base.find_spec", lambda name: None)
    monkeypatch.setattr("dreamgym.evaluation.making.finish.fit_success", None)  # nothing gets that far
    with pytest.raises(ImportError, match=r'gym_pusht.*pip install "dreamgym\[pusht\]"'):
        finish_run(disc / "run", [disc / "store"], tmp_path / "made", replace(STATES, twin_per_task=2), progress=False)
    assert not (tmp_path / "made").exists()


def test_a_second_store_gives_starts_alone(disc, tmp_path):
    more = make_store(tmp_path / "more")
    made = finish_run(
        disc / "run", [disc / "store"], tmp_path / "made", STATES, beginnings=[more], progress=False
    )  # fmt: skip
    metrics = load(made).metrics
    counts = metrics["starts"]["counts"]["push_t"]
    assert (counts["train"], counts["val"]) == (18, 6)
    assert metrics["data"]["demonstration"]["episodes"] == 12
    assert "| beginning data | 12 episodes |" in (made / "README.md").read_text()


def test_the_same_command_goes_on_with_what_was_made(disc, tmp_path, monkeypatch, caplog):
    shutil.rmtree(disc / "run" / "finish", ignore_errors=True)
    whole = finish_run(disc / "run", [disc / "store"], tmp_path / "whole", STATES, progress=False)
    parts = {p.name for p in (disc / "run" / "finish").iterdir() if not p.name.startswith(".")}  # no lock file
    assert parts == {"rewards", "starts", "fidelity"}
    shutil.rmtree(disc / "run" / "finish" / "fidelity")
    monkeypatch.setattr("dreamgym.evaluation.making.finish.fit_success", None)  # would fail if it were called
    with caplog.at_level(logging.INFO):
        again = finish_run(disc / "run", [disc / "store"], tmp_path / "again", STATES, progress=False)
    assert "rewards: kept from before" in caplog.text
    for name in ("rewards.safetensors", "starts.safetensors", "model.safetensors"):
        assert (whole / name).read_bytes() == (again / name).read_bytes()
    assert load(again).metrics["fidelity"] == load(whole).metrics["fidelity"]
    changed = replace(STATES, rewards={"epochs": 2, "batch_size": 32})
    with pytest.raises(TypeError):  # other settings: made anew
        finish_run(disc / "run", [disc / "store"], tmp_path / "again", changed, progress=False)


def test_a_store_that_was_collected_anew_is_not_taken_for_the_old_one(disc, tmp_path, monkeypatch):
    finish_run(disc / "run", [disc / "store"], tmp_path / "made", STATES, progress=False)
    file = next((disc / "store" / "shards").glob("*/action.npy"))
    file.write_bytes(file.read_bytes())  # as many episodes and rows, and the same metas
    monkeypatch.setattr("dreamgym.evaluation.making.finish.fit_success", None)
    with pytest.raises(TypeError):
        finish_run(disc / "run", [disc / "store"], tmp_path / "made", STATES, progress=False)


def test_a_run_without_progress_is_refused(tmp_path, disc):
    with pytest.raises(ValueError, match="no training progress"):
        finish_run(tmp_path, [disc / "store"], tmp_path / "made")


def test_the_command_changes_settings_by_part(disc, tmp_path, capsys):
    pytest.importorskip("tyro")
    from dreamgym import cli

    words = ["finish", "--run", str(disc / "run"), "--stores", str(disc / "store"), "--out", str(tmp_path / "made")]
    words += ["--quick", "--set", "rewards.epochs=2", "fidelity.windows=4", "bank.num_train=3", "weights=float32"]
    words += ["twin_per_task=0"]
    cli.main(words)
    config = json.loads((tmp_path / "made" / "config.json").read_text())
    assert config["metrics"]["rewards"]["fit"]["epochs"] == 2
    assert config["metrics"]["fidelity"]["windows"] == 4
    assert config["starts"]["counts"]["push_t"]["train"] == 3
    assert config["dtype"] == "float32"
    with pytest.raises(SystemExit, match="the parts are"):
        cli.main([*words, "cards.colour=1"])
    with pytest.raises(SystemExit, match="has no field 'epoch'"):
        cli.main([*words, "rewards.epoch=1"])


def test_fidelity_measures_it_again_and_nothing_else_changes(disc, tmp_path, capsys):
    pytest.importorskip("tyro")
    pytest.importorskip("rich")
    from dreamgym import cli

    out, figures, store = tmp_path / "disc", tmp_path / "figures.json", str(disc / "store")
    finish_run(disc / "run", [store], out, STATES, progress=False)
    before = load(str(out))
    words = ["fidelity", "--checkpoint", str(out), "--store", store, "--windows", "12", "--steps", "5"]
    cli.main([*words, "--json", str(figures), "--write"])
    shown = capsys.readouterr().out
    assert all(part in shown for part in ("from a reset, 12 windows", "AUROC"))
    for name in ("disc", "block"):
        assert re.search(rf"│ {name} +│ +model │ +[\d.]+ px │", shown)
    assert "step 20" not in shown
    found, after = json.loads(figures.read_text()), load(str(out))
    assert found["windows"] == 12
    assert after.metrics["fidelity"] == found
    assert after.metrics["rewards"] == before.metrics["rewards"]
    assert after.spec.uncertainty_limit == pytest.approx(found["uncertainty"]["p99"], rel=1e-4)
    assert "World model of the family `mlp`" in (out / "README.md").read_text()
    assert all(torch.equal(v, before.model.state_dict()[k]) for k, v in after.model.state_dict().items())
