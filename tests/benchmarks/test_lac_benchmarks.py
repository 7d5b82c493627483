"""The programs of LAC-WM's experiments: what they train, rows of the right names, figures that can tell."""

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from dreamgym.data import EpisodeStore
from dreamgym.evaluation.making.likeness import psnr
from dreamgym.testing.points import PointConfig
from dreamgym.testing.two_robots import TwoRobotsModel
from dreamgym.world_models.registry import recipe

pytest.importorskip("torchmetrics")
pytest.importorskip("sklearn")
pytest.importorskip("peft")
ROOM = Path(__file__).parents[2] / "benchmarks" / "lac"
DIMS = {"panda_joints": 8, "ur5e_pose": 7, "kinova3_position": 4, "xarm7_three_finger": 10}


@pytest.fixture(scope="module")
def lac():
    """Imports a module of benchmarks/lac/."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOM)
        yield importlib.import_module
    for name in ("likeness", "models", "probe", "results", "imagined_rollouts", "selection", "speed", "tables"):
        sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    """Stores of four robots, and the words that tell the programs of them and of tiny models."""
    data, example = tmp_path_factory.mktemp("data"), recipe("latent_action").example()
    for name in (*DIMS, "held_out_instances", "held_out_categories"):
        robot = name if name in DIMS else "xarm7_three_finger"
        info = {**example.info, "robot": robot, "action": {"low": [-1.0] * DIMS[robot], "high": [1.0] * DIMS[robot]}}
        keys = {**example.keys, "action": ((DIMS[robot],), "float32"), "snapshot": ((2,), "float64")}
        store = EpisodeStore.create(data / name, keys, info)
        for i in range(20):
            rows, _ = example.episodes[i % len(example.episodes)]
            action = np.resize(rows["action"], (24, DIMS[robot]))
            meta = {"task": "move", "success": True, "operator": "okay"}
            store.append([({**rows, "action": action, "snapshot": np.zeros((24, 2))}, meta)])
    changes = [f"{key}={json.dumps(value)}" for key, value in example.changes.items()]
    steps = ["--pretrain-steps", "5", "--adapt-steps", "4", "--batch-size", "4", "--seeds", "0"]
    return ["--work", str(data / "work"), "--stores", str(data), *steps, "--set", *changes]


def models_of(lac, words, *more):
    module = lac("models")
    parser = module.argparse.ArgumentParser()
    module.add_options(parser)
    return module.Models(parser.parse_args([*words, *more]))


@pytest.fixture(scope="module")
def trained(lac, words):
    assert lac("models").main([*words, "--models", "LAC", "EAC", "EAC-S", "LAC-MD"]) == 0
    return models_of(lac, words)


def test_models_are_pretrained_and_adapted_once(lac, words, trained):
    model = trained.opened("LAC", 0)
    assert list(model.config.robots) == list(DIMS)
    assert trained.opened("LAC-MD", 0, pretrained=True).motion is None
    scratch = trained.opened("EAC-S", 0)
    assert scratch.idm is None and list(scratch.config.robots) == ["xarm7_three_finger"]
    progress = sorted(trained.work.rglob("progress/*"))
    assert lac("models").main([*words, "--models", "LAC", "EAC-S"]) == 0
    assert sorted(trained.work.rglob("progress/*")) == progress
    with pytest.raises(ValueError, match=r"0 of 4 updates: run benchmarks/lac/models.py"):
        trained.opened("LAC-2", 0)
    half = EpisodeStore.open(trained.store("panda_joints", 0.5))
    assert (len(half), len(half.select(split="val"))) == (10, 1)


def test_variants_share_what_is_the_same(lac):
    variants = lac("models").VARIANTS
    assert len({variants[n].pretraining for n in ("LAC", "LAC-DFT", "LAC-(2,3)", "LAC-(1,2)")}) == 1
    apart = ["LAC", "EAC", "LAC-2", "LAC-1", "LAC-2-half", "LAC-MD", "LAC-MD-CA", "EAC-S"]
    assert len({variants[n].pretraining for n in apart}) == len(apart)


def test_rollouts_are_rows_and_are_not_measured_again(lac, words, trained, capsys):
    told = [*words, "--models", "LAC", "EAC-S", "--frames", "3", "--windows", "32"]
    lac("imagined_rollouts").main(told)
    rows = [json.loads(f.read_text()) for f in sorted((trained.work / "rows").glob("rollouts.*.json"))]
    assert len(rows) == 6
    assert {"model", "robots", "split", "seed", "psnr", "ssim", "frechet"} < rows[0].keys()
    assert {(r["model"], r["robots"]) for r in rows} == {("LAC", 3), ("EAC-S", 0)}
    assert all(len(r["psnr_by_frame"]) == 3 and r["windows"] == 32 for r in rows)
    capsys.readouterr()
    lac("imagined_rollouts").main(told)
    assert capsys.readouterr().out == ""
    with pytest.raises(ValueError, match="give other --rows"):
        lac("imagined_rollouts").main([*told, "--windows", "64"])


def test_an_exact_model_beats_the_copy(lac):
    model, rollouts = TwoRobotsModel(PointConfig(history=1)), lac("imagined_rollouts")
    actions = torch.zeros(2, 16, 3)
    actions[..., 0], actions[..., 2] = 1.0, -1.0
    place = torch.zeros(2, 16, 3)
    place[:, 1:, 0] = 0.02 * torch.arange(1, 16)
    drawn = model.decode(model.seen(place.flatten(0, 1)), ["rgb_static"])["rgb_static"].unflatten(0, (2, 16))
    batch = {"rgb_static": (drawn * 255).round().to(torch.uint8), "robot_obs": place, "action": actions}
    made, real = rollouts.imagined(model, batch, 3)
    assert made.shape == (2, 3, *real.shape[2:]) and real.shape[1] == 4
    own, copied = (psnr(x.flatten(0, 1), real[:, 1:].flatten(0, 1)) for x in (made, real[:, :1].expand_as(made)))
    assert (own > copied + 5).all()


def test_features_are_averaged_over_places(lac):
    tokens = torch.arange(16.0).view(1, 16, 1).expand(3, 16, 5)
    found = lac("likeness").features(tokens)
    assert found.shape == (3, 20) and found[0, :4].tolist() == [2.5, 4.5, 10.5, 12.5]


def test_networks_that_somebody_has_are_used(lac, tmp_path):
    class Mean(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.flatten(1)[:, :4]

    class Gap(torch.nn.Module):
        def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
            return (a - b).abs().flatten(1).mean(1)

    files = {"fid": tmp_path / "f.pt", "fvd": tmp_path / "v.pt", "lpips": tmp_path / "l.pt"}
    for name, file in files.items():
        torch.jit.script(Gap() if name == "lpips" else Mean()).save(str(file))
    clips = torch.rand(90, 3, 3, 4, 4)
    found = lac("likeness").by_networks((clips + 0.1).clamp(0, 1), clips, files)
    assert found.keys() == files.keys() and all(value > 0 for value in found.values())
    with pytest.raises(ValueError, match="networks: expected some of"):
        lac("likeness").by_networks(clips, clips, {"is": tmp_path / "f.pt"})


def test_the_probe_tells_separate_spaces_from_a_shared_one(lac, trained):
    probe = lac("probe")
    data = probe.clips(trained, 60, 2, 5)
    assert data.frames.shape == (180, 3, 3, 16, 16) and data.actions.shape == (180, 2, 5, 8)
    generator = torch.Generator().manual_seed(0)
    shared = torch.randn(180, 2, 8, generator=generator)
    assert probe.robot_accuracy(shared, data) < 0.6
    assert probe.robot_accuracy(shared + 8 * data.robot[:, None, None], data) == 1
    for name in ("LAC", "EAC"):
        latent = probe.embedded(trained.opened(name, 0, pretrained=True), data)
        assert latent.shape == (180, 2, 8) and torch.isfinite(latent).all()


def test_actions_are_played_on_another_robot(lac, words, trained, tmp_path):
    lac("probe").main([*words, "--windows", "20", "--frames", "2", "--picture", str(tmp_path / "lac.png")])
    rows = [json.loads(f.read_text()) for f in sorted((trained.work / "rows").glob("*r*.*.json"))]
    probed = [r for r in rows if "robot_accuracy" in r]
    played = [r for r in rows if "agreement" in r]
    assert len(probed) == len(played) == 3 and {"embedding", "seed"} < probed[0].keys()
    assert all(-1 <= r["agreement"] <= 1 and 0 <= r["still"] <= 1 for r in played)
    assert (tmp_path / "lac.png").stat().st_size > 1000


@torch.no_grad()
def test_the_proposal_that_ends_nearest_the_subgoal_is_chosen(lac, trained):
    selection, model = lac("selection"), trained.opened("LAC", 0)
    torch.nn.init.normal_(model.fdm.out.weight)
    plans = torch.rand(3, 10, 10, generator=torch.Generator().manual_seed(0)) * 2 - 1
    picture = np.zeros((16, 16, 3), np.uint8)
    chooser = selection.Chooser(model, selection.SelectionConfig("rank", 3, 2, 1))
    for plan in plans:
        *_, end = model.unroll(chooser.seen(picture), plan[None])
        assert torch.equal(chooser.choose(picture, plans, model.features(end)[0]), plan)
    mean = selection.Chooser(model, selection.SelectionConfig("mean", 3, 2, 1))
    torch.testing.assert_close(mean.choose(picture, plans, model.features(end)[0]), plans.mean(0))


def test_the_policy_is_cloned_once_and_proposes_within_bounds(lac, trained, monkeypatch):
    selection = lac("selection")
    own = selection.proposer(trained, 0, 10, 2)
    plans = own.propose(np.zeros(10, np.float32), 5, torch.Generator().manual_seed(0))
    assert plans.shape == (5, 10, 10) and plans.abs().max() <= 1 and not torch.equal(plans[0], plans[1])
    monkeypatch.setattr(selection, "clone", None)
    again = selection.proposer(trained, 0, 10, 2).propose(np.zeros(10, np.float32), 5, torch.Generator().manual_seed(0))
    assert torch.equal(again, plans)
    with pytest.raises(ValueError, match="20 successful episodes of the 30 wanted"):
        selection.demonstrations(selection.view_of(trained, "instances"), 30, 5)


def made_up(seed, method, split, digits):
    outcomes = {f"{name}_outcomes": digits for name in ("success", "lift", "contact")}
    row = {"method": method, "split": split, "seed": seed, "delta_f": 2.0 + seed, "delta_f_goal": 3.0, "episodes": 4}
    origin = {"settings": {"steps": 3}, "machine": "m", "library_version": "1"}
    return {**row, **outcomes, **origin}


def test_rows_of_one_setting_become_a_file_and_tables(lac, tmp_path):
    results, tables = lac("results"), lac("tables")
    assert results.gathered(tmp_path, "selection") is None
    rows = [made_up(s, m, p, "1101") for s in (0, 1) for m in ("LAC", "EAC", "LAC-1") for p in tables.SPLITS]
    for i, row in enumerate(rows):
        (tmp_path / f"selection.{i}.json").write_text(json.dumps(row))
    found = results.gathered(tmp_path, "selection")
    assert found["settings"] == {"steps": 3} and len(found["rows"]) == len(rows) and "settings" not in found["rows"][0]
    text = tables.selection(found["rows"])
    assert "LAC-WM" in text and "75 (" in text and "2.50 ± 0.71" in text and "2 x 4" in text
    assert "one robot" in tables.scaling(found["rows"]) and "three robots" in tables.scaling(found["rows"])
    probed = [{"embedding": "IDM", "seed": s, "robot_accuracy": 0.5} for s in (0, 1)]
    moved = [{"embedding": "IDM", "agreement": 0.4, "own": 0.6, "still": 0.1}]
    assert "IDM" in tables.probe(probed, moved) and "50 ± 0" in tables.probe(probed, moved)
    likeness = {"model": "LAC", "split": "instances", "psnr": 21.0, "ssim": 0.8, "frechet": 0.5, "copy_psnr": 20.0}
    assert "21.00" in tables.rollouts([likeness]) and "20.00" in tables.rollouts([likeness])
    (tmp_path / "selection.x.json").write_text(json.dumps({**rows[0], "settings": {"steps": 4}}))
    with pytest.raises(ValueError, match="make the rows of one anew"):
        results.gathered(tmp_path, "selection")


def test_a_decision_is_timed(lac, trained):
    row = lac("speed").measured(trained.opened("LAC", 0), 4, 2, 1, "fp32")
    assert row["seconds"] > 0 and row["flops"] > 0 and row["matmul_share"] > 0
