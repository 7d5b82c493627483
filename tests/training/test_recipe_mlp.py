import math

import gymnasium as gym
import pytest
import torch
from disc import SMALL, make_store

from dreamgym.data import EpisodeStore
from dreamgym.rewards.fit import SuccessFitConfig
from dreamgym.testing import check_vector_env
from dreamgym.training import fidelity_mlp
from dreamgym.training.checkpoint import load
from dreamgym.training.fidelity_mlp import PARTS, evaluate_parts
from dreamgym.training.recipe_mlp import evaluate, finish_mlp
from dreamgym.training.train import load_run, train


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("demos") / "store")


@pytest.fixture(scope="module")
def run(store, tmp_path_factory):
    path = tmp_path_factory.mktemp("run")
    train(store, path, steps=150, changes=SMALL, batch_size=16, length=10, warmup=5, ema=0.9, openings=0.1)
    return path


def test_a_short_training_beats_repeating_the_last_frame(store, run):
    errors = evaluate(load_run(run), EpisodeStore.open(store).select(split="val"))
    assert errors["skill/1"] > 0.5
    assert errors["skill/20"] > 0.5
    assert errors["uncertainty_p99"] > 0


def test_the_finished_checkpoint_is_an_environment(store, run, tmp_path):
    rewards = SuccessFitConfig(epochs=3, batch_size=32, learning_rate=1e-3)
    metrics = finish_mlp(run, store, tmp_path / "made", rewards=rewards, progress=False)
    opened = load(str(tmp_path / "made"))
    assert opened.simulator == {"id": "pusht", "kwargs": {}}
    assert opened.spec.uncertainty_limit == pytest.approx(metrics["open_loop"]["uncertainty_p99"])
    assert opened.starts_meta["counts"] == {"push_t": {"train": 9, "val": 3, "test": 0}}
    # Before the first frame of an episode the disc stood where it is seen there.
    frames, scaling = opened.starts["state/obs"].float(), opened.model.scaling
    stood = scaling.action(scaling.raw(frames[:, 0])[:, :2])
    assert torch.equal(frames[:, 0], frames[:, 1])
    assert torch.allclose(opened.starts["state/action"][:, 0].float(), stood, atol=5e-3)
    card = (tmp_path / "made" / "README.md").read_text()
    assert 'gym.make("Dream-v0", checkpoint="made", task="push_t")' in card
    assert f"| disc (px) | **dream** | {metrics['parts']['disc']['error/1']:.3g} |" in card
    assert "| who acts | pusher 12 |" in card
    folder = str(tmp_path / "made")
    check_vector_env(
        lambda mode: gym.make_vec("Dream-v0", checkpoint=folder, num_envs=2, autoreset_mode=mode, horizon=4),
        steps=6,
        horizon=4,
    )


def test_uncertainty_is_judged_by_the_worst_tenth_of_errors():
    generator = torch.Generator().manual_seed(0)
    wrong = [torch.rand(40, generator=generator) for _ in range(3)]
    assert fidelity_mlp._points_out(wrong, wrong) == 1
    assert fidelity_mlp._points_out([-e for e in wrong], wrong) == 0
    noise = [torch.rand(40, generator=generator) for _ in range(3)]
    assert 0.2 < fidelity_mlp._points_out(noise, wrong) < 0.8


def test_a_second_store_gives_starts_alone(store, run, tmp_path):
    rewards = SuccessFitConfig(epochs=1, batch_size=32, learning_rate=1e-3)
    more = make_store(tmp_path / "more")
    options = {"rewards": rewards, "more_starts": more, "notes": {"beginnings": 1200}, "progress": False}
    metrics = finish_mlp(run, store, tmp_path / "made", **options)
    assert metrics["starts"] == {"push_t": {"train": 18, "val": 6, "test": 0}}
    assert metrics["data"]["episodes"] == 12
    card = (tmp_path / "made" / "README.md").read_text()
    assert "snapshot; 1,200 further episodes were begun for them alone." in card


def test_parts_have_their_units():
    x = torch.tensor([[3.0, 4.0, 0.0, 0.0, math.cos(3.0), math.sin(3.0)]])
    truth = torch.tensor([[0.0, 0.0, 0.0, 0.0, math.cos(-3.0), math.sin(-3.0)]])
    parts = PARTS["pusht"]
    assert float(parts["disc"].error(x, truth)) == pytest.approx(5.0)
    assert float(parts["block's angle"].error(x, truth)) == pytest.approx(math.degrees(2 * math.pi - 6), rel=1e-4)


def test_errors_of_parts_are_beside_those_of_repeating(store, run):
    found = evaluate_parts(load_run(run), EpisodeStore.open(store).select(split="val"), "pusht")
    assert found["disc"]["error/5"] < 0.5 * found["disc"]["repeat/5"]
    assert found["block"]["repeat/20"] == 0
    assert found["disc"]["error/opening/5"] < found["disc"]["repeat/opening/5"] != found["disc"]["repeat/5"]
    assert "error/50" not in found["disc"]  # episodes of 30 steps
