import json
import shutil

import calvin_rssm
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

pytest.importorskip("pybullet")
pytest.importorskip("matplotlib")
pytest.importorskip("PIL")

from dreamgym.envs.core.starts import StartBank
from dreamgym.evaluation.pages.demo import demo_rows, run_demo, twin_of
from dreamgym.evaluation.pages.sequences import load_sequences
from dreamgym.evaluation.statistics.comparison import Sequences
from dreamgym.rewards import DecodedStateReward
from dreamgym.sims.calvin import CalvinEnv
from dreamgym.training import checkpoint
from dreamgym.world_models.families.rssm import RSSM

TASKS = ("open_drawer", "close_drawer")
STEPS = 7


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(0)
    images = {"rgb_static": (3, 16, 16), "rgb_gripper": (3, 16, 16)}
    sizes = {"deter": 16, "stoch": 4, "classes": 4, "units": 16, "embed": 16, "encoder_depth": 4, "decoder_depth": 4}
    model = RSSM(calvin_rssm.tiny(variant="hybrid", images=images, vector_units=16, **sizes)).eval()
    env = CalvinEnv(scene="playtable", cameras=())
    snapshots = []
    for task in TASKS:
        env.reset(seed=0, options={"task": task})
        snapshots.append(torch.from_numpy(env.snapshot()))
    env.close()
    bank = StartBank({"latent": torch.zeros(2, 32)}, TASKS, torch.arange(2), torch.ones(2), torch.stack(snapshots))
    path = checkpoint.save(
        tmp_path_factory.mktemp("demo") / "mini",
        model,
        rewards={"success": DecodedStateReward("calvin", TASKS)},
        starts=bank.to_tensors(),
        starts_meta={"tasks": list(TASKS)},
        simulator={"id": "calvin", "kwargs": {"scene": "playtable", "image_size": 16}},
    )
    action = np.random.default_rng(0).uniform(-1, 1, (2, STEPS, 7)).astype(np.float32)
    save_file(
        Sequences(TASKS, np.arange(2), np.arange(2), np.array([STEPS, 4]), action).to_tensors(),
        path / "demo.safetensors",
    )
    return path


@pytest.fixture(scope="module")
def demo(folder, tmp_path_factory):
    return run_demo(tmp_path_factory.mktemp("out"), "Dream-v0", checkpoint=str(folder))


def test_the_demo_writes_a_clip_a_plot_a_page_and_the_figures(demo):
    from PIL import Image

    assert {f.name for f in demo.folder.iterdir()} == {"clip.gif", "drift.png", "index.html", "demo.json"}
    with Image.open(demo.folder / "clip.gif") as clip:
        assert clip.n_frames == STEPS + 1
    told = json.loads((demo.folder / "demo.json").read_text())
    assert set(told["horizons"]) == {"1", "5", str(STEPS)}
    assert [e["length"] for e in told["episodes"]] == [STEPS, 4]


def test_an_untrained_dream_is_told_apart_from_its_twin(demo):
    assert demo.agreement.curves["rgb_static"].model[0] < 30
    assert set(demo.speed) == {"dream_1", "dream_many", "real"}
    assert min(demo.speed.values()) > 0


def test_the_table_has_a_row_for_each_horizon(demo):
    heads, rows = demo_rows(demo)
    assert [row[0] for row in rows] == ["1", "5", str(STEPS)]
    assert all(len(row) == len(heads) for row in rows)


def test_a_checkpoint_without_snapshots_is_refused(tmp_path):
    path = checkpoint.save(tmp_path / "bare", RSSM(calvin_rssm.tiny(variant="vision", deter=8, units=8, embed=8)))
    with pytest.raises(ValueError, match="snapshots"):
        run_demo(tmp_path / "out", "Dream-v0", checkpoint=str(path))


def test_a_dream_that_shows_nothing_is_refused_at_once(tmp_path):
    path = checkpoint.save(tmp_path / "blind", RSSM(calvin_rssm.tiny(variant="state", deter=8, units=8, embed=8)))
    with pytest.raises(ValueError, match="blind decodes none"):
        run_demo(tmp_path / "out", "Dream-v0", checkpoint=str(path))
    assert not (tmp_path / "out").exists()


def test_the_twin_is_the_simulator_that_the_checkpoint_was_learned_from(folder):
    opened = checkpoint.load(folder)
    assert twin_of(opened) == "Real-PlayTable-v0"
    opened.simulator = {"id": "calvin", "kwargs": {"scene": "D", "image_size": 64}}
    assert twin_of(opened) == "Real-CALVIN-v0"
    opened.simulator = {"id": "calvin", "kwargs": {"scene": "B"}}
    with pytest.raises(ValueError, match="'scene': 'B'.*name its twin"):
        twin_of(opened)


def test_sequences_travel_beside_the_checkpoint_and_damaged_ones_are_named(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "mini")
    found = load_sequences(checkpoint.load(copy), 1)
    assert found.names == ["open_drawer"]
    assert found.action.shape == (1, STEPS, 7)
    (copy / "demo.safetensors").write_bytes(b"torn")
    with pytest.raises(ValueError, match=r"demo\.safetensors is damaged"):
        load_sequences(checkpoint.load(copy), 2)


def test_a_checkpoint_without_sequences_gets_fresh_ones_by_its_suites_operators(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "mini")
    (copy / "demo.safetensors").unlink()
    opened = checkpoint.load(copy)
    found = load_sequences(opened, 2)
    assert found.names == list(TASKS)
    assert found.action.shape == (2, 50, 7)
    opened.simulator = {"id": "my_module:Env", "kwargs": {}}
    with pytest.raises(ValueError, match="nobody acts by a script in its simulator 'my_module:Env'"):
        load_sequences(opened, 2)
