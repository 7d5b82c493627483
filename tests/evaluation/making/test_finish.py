import numpy as np
import pytest
import torch
from fakes import KEYS, FakeModel, episode
from safetensors.torch import save_file

from dreamgym.data import EpisodeStore
from dreamgym.envs.make import make_core
from dreamgym.evaluation.making.fidelity import FidelityConfig
from dreamgym.evaluation.making.finish import FinishConfig, finish_model
from dreamgym.evaluation.pages.demo import load_sequences, sequence_tensors
from dreamgym.evaluation.statistics.comparison import Sequences
from dreamgym.rewards.fit import SuccessFitConfig
from dreamgym.sims.calvin import scene_obs_success
from dreamgym.training.bank import BankConfig
from dreamgym.training.checkpoint import load
from dreamgym.world_models import registry

KEYS_ALL = KEYS | {"snapshot": ((3,), "float64"), "success": ((), "bool")}
QUICK = FinishConfig(
    probe_steps=10,
    rewards=SuccessFitConfig(epochs=3, batch_size=16, learning_rate=3e-3, play_windows=8, play_steps=20),
    bank=BankConfig(num_train=4, num_val=2),
    fidelity=FidelityConfig(windows=8, steps=50),
    twin_per_task=0,
)


def record(rng, length, action):
    made = episode(rng, length, action=action)
    snapshot = np.zeros((length, 3))
    success = scene_obs_success("open_drawer", made["scene_obs"][:1], made["scene_obs"])
    return made | {"snapshot": snapshot, "success": success}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    registry.register_family("fake", FakeModel)
    rng, path = np.random.default_rng(0), tmp_path_factory.mktemp("finish")
    play, demos = (EpisodeStore.create(path / name, KEYS_ALL) for name in ("play", "demos"))
    for i in range(6):
        action = rng.uniform(-1, 1, (80, 7)).astype(np.float32)
        action[10:20, 1] = 1
        meta = {"split": "val" if i > 3 else "train", "skills": [["open_drawer", 10, 20, True]]}
        play.append([(record(rng, 80, action), meta)])
    for i in range(16):
        action = np.zeros((24, 7), np.float32)
        action[4:, 1] = 0.9 if i % 2 else 0.2
        meta = {"split": "val" if i > 9 else "train", "task": "open_drawer", "success": bool(i % 2)}
        demos.append([(record(rng, 24, action), meta)])
    return finish_model(FakeModel(slip=0.1), play, demos, path / "done", QUICK, progress=False)


def test_a_finished_checkpoint_has_every_part(folder):
    loaded = load(folder)
    assert set(loaded.rewards) == {"success", "decoded"}
    assert loaded.rewards["success"].tasks == ("open_drawer",)
    assert loaded.probe is not None
    assert loaded.starts["snapshot"].shape == (6, 3)
    assert loaded.spec.uncertainty_limit == pytest.approx(loaded.metrics["fidelity"]["uncertainty"]["p99"], rel=1e-4)
    assert loaded.metrics["rewards"]["tasks"]["open_drawer"]["threshold"] == pytest.approx(
        float(loaded.rewards["success"].thresholds[0])
    )


def test_it_opens_as_a_dream(folder):
    core = make_core(str(folder), task="open_drawer", num_envs=3, split="val")
    core.reset(seed=0)
    action = torch.zeros(3, 7)
    action[:, 1] = 1
    assert core.step(action).info["success_probability"].shape == (3,)


def test_the_card_states_the_measured_figures(folder):
    card, metrics = (folder / "README.md").read_text(), load(folder).metrics
    assert f"| `open_drawer` | {metrics['rewards']['tasks']['open_drawer']['threshold']:.2f} |" in card
    drawer = metrics["fidelity"]["curves"]["drawer"]["model"][49]
    assert f"{100 * drawer:.2f} cm" in card
    assert "## Limits" in card


def test_sequences_travel_beside_the_checkpoint(folder):
    sequences = Sequences(
        ("open_drawer",), np.arange(3), np.zeros(3, int), np.full(3, 9), np.zeros((3, 9, 7), np.float32)
    )
    save_file(sequence_tensors(sequences), folder / "demo.safetensors")
    found = load_sequences(load(folder), 2)
    assert found.names == ["open_drawer"] * 2
    assert found.action.shape == (2, 9, 7)
    (folder / "demo.safetensors").write_bytes(b"torn")
    with pytest.raises(ValueError, match=r"demo\.safetensors is damaged"):
        load_sequences(load(folder), 2)
    (folder / "demo.safetensors").unlink()
