"""A dream learns a robot and finds, among action sequences, the one that leads to a goal."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

from dreamgym.data import EpisodeStore
from dreamgym.training.train import train
from dreamgym.world_models.registry import recipe

pytest.importorskip("peft")
EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "adapt_to_a_robot.py"


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("adapt_to_a_robot", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def store_of(folder, robot, dim):
    given = recipe("latent_action").example()
    info = {**given.info, "robot": robot, "action": {"low": [-1.0] * dim, "high": [1.0] * dim}}
    store = EpisodeStore.create(folder / robot, {**given.keys, "action": ((dim,), "float32")}, info)
    store.append([({**rows, "action": rows["action"][:, :dim]}, dict(meta)) for rows, meta in given.episodes])
    return store


def test_a_robot_is_learned_and_the_sequence_that_leads_to_a_goal_found(example, tmp_path):
    given = recipe("latent_action").example()
    old, new = store_of(tmp_path, "panda_joints", 8), store_of(tmp_path, "kinova3_position", 4)
    train(old.path, tmp_path / "run", "latent_action", changes=given.changes, steps=2, **given.settings)
    model = example.learn(tmp_path / "run", new.path, tmp_path / "adapted", steps=4)
    assert model.spec.action.dim == 4
    torch.nn.init.normal_(model.fdm.out.weight)
    model.requires_grad_(False)
    plans = example.proposals(new, 6, 10)
    assert plans.shape == (6, 10, 4)
    image = new.episode(0)["rgb_static"][0]
    for one in plans:
        *_, last = model.unroll(example.seen(model, image), one[None])
        goal = model.decode(last, ["rgb_static"])["rgb_static"][0]
        picture = (goal * 255).round().to(torch.uint8).movedim(0, -1).numpy()
        found = example.plan(model, image, picture, plans, keep=1)
        ends = [list(model.unroll(example.seen(model, image), p[None]))[-1] for p in (found, one)]
        gaps = [float((model.features(e)[0] - example.features(model, picture)).norm()) for e in ends]
        assert gaps[0] <= gaps[1] + 1e-4
    assert np.isfinite(gaps).all()
