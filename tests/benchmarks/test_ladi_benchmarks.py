"""The experiments of LaDi-WM end to end on the point: what chooses, what is reported, what the controls show."""

import importlib
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from dreamgym_agents.refinement import refine

from dreamgym.data import EpisodeStore
from dreamgym.envs import make
from dreamgym.suites.facts import store_facts
from dreamgym.testing.joint_point import joint_point_checkpoint
from dreamgym.testing.points import SIZE
from dreamgym.training import checkpoint
from dreamgym.training.checkpoint import load
from dreamgym.types import SPLITS
from dreamgym.world_models import registry

ROOM = Path(__file__).parents[2] / "benchmarks" / "ladi"
MODULES = (
    "experiment",
    "imaginations",
    "refinement",
    "ablations",
    "fidelity",
    "agents",
    "chunk_latency",
    "tables",
)
SMALL = [
    "--tasks=reach_right", "--num-demonstrations=2", "--seeds", "0", "--steps", "2", "4", "--batch-size=8",
    "--tokens=1",
    "--simulators=2", "--episodes=3", "--val-episodes=2", "--horizon=12",
]  # fmt: skip


@pytest.fixture(scope="module")
def ladi():
    """Imports a module of benchmarks/ladi/."""
    with pytest.MonkeyPatch.context() as patch:
        for room in (ROOM.parent, ROOM):
            patch.syspath_prepend(room)
        yield importlib.import_module
    for name in MODULES:
        sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    """World and demonstrations: the point goes right."""
    folder = tmp_path_factory.mktemp("ladi")
    keys = {
        "action": ((3,), "float32"), "robot_obs": ((3,), "float32"), "rgb_static": ((SIZE, SIZE, 3), "uint8"),
    }  # fmt: skip
    store = EpisodeStore.create(folder / "store", keys, {"suite": "joint_point"})
    rng = np.random.default_rng(0)
    for i in range(4):
        action = np.concatenate([np.ones((12, 1)), rng.uniform(-0.2, 0.2, (12, 1)), -np.ones((12, 1))], 1)
        place = np.concatenate([np.zeros((1, 2)), 0.1 * action[:-1, :2].cumsum(0)])
        episode = {
            "action": action.astype(np.float32),
            "robot_obs": np.pad(place, ((0, 0), (0, 1))).astype(np.float32),
            "rgb_static": np.zeros((12, SIZE, SIZE, 3), np.uint8),
        }
        store.append([(episode, {"split": "train", "task": "reach_right", "episode_index": i, "success": True})])
    return ["--store", str(store.path), "--world", str(joint_point_checkpoint(folder / "world")), *SMALL]


@pytest.fixture(scope="module")
def done(ladi, words, tmp_path_factory):
    """A work folder with some cells, its call, and the result's rows."""
    work = tmp_path_factory.mktemp("work")
    call = ["--work", str(work), "--out", str(work / "out.json"), *words, "--kinds", "own", "future"]
    call += ["--refinements", "0", "1", "--repeats", "2"]
    assert ladi("refinement").main(call) == 0
    return work, call, json.loads((work / "out.json").read_text())["rows"]


def test_the_rows_of_every_part_are_there(done) -> None:
    _, _, rows = done
    keys = {"refinements", "demonstrations", "control", "task", "seed", "success", "episodes", "commit", "hashes"}
    assert all(keys <= set(row) for row in rows)
    found = {(row["control"], row["imagined"], row["refinements"], row["repeat"]) for row in rows}
    kinds = {(None, kind, n, 0) for kind in ("own", "future") for n in (0, 1, 2)}
    controls = {("copy", "own", 1, 0), ("own_action", "own", 1, 0), ("true_future", "future", 1, 0)}
    assert kinds | controls <= found and {row["repeat"] for row in rows} == {0, 1}
    assert any(row["control"] == "mean" for row in rows) and len(rows) == len(found)


def test_test_starts_are_reported_and_val_starts_choose(done, words) -> None:
    work, _, rows = done
    split = load(words[3]).starts["split"]
    assert {int(split[i]) for row in rows for i in row["starts"]} == {SPLITS.index("test")}
    assert len({tuple(row["starts"]) for row in rows}) == 1  # in pairs, repeats too
    for row in rows:
        assert row["success"] == np.mean([int(x) for x in row["outcomes"]])
        best = max(row["val"].values())
        assert row["updates"] == min(int(n) for n, rate in row["val"].items() if rate == best)
    assert set(json.loads((work / "val" / "kinds.json").read_text())) == {"own", "future"}


def test_what_is_done_is_not_done_again(done, ladi) -> None:
    work, call, rows = done
    stamps = {f: f.stat().st_mtime_ns for f in work.rglob("*") if f.suffix in (".json", ".safetensors")}
    assert ladi("refinement").main(call) == 0
    now = {f: f.stat().st_mtime_ns for f in stamps if f != work / "out.json"}
    assert now == {f: stamps[f] for f in now}
    assert json.loads((work / "out.json").read_text())["rows"] == rows


def test_a_lost_cell_is_measured_alike(done, ladi) -> None:
    work, call, rows = done
    next((work / "cells").glob("world_model.own*.1.1.json")).unlink()
    assert ladi("refinement").main(call) == 0
    assert json.loads((work / "out.json").read_text())["rows"] == rows


def test_policies_of_another_world_model_are_not_taken(done, ladi) -> None:
    work, call, _ = done
    file = work / "world_model.sha256"
    held = file.read_text()
    try:
        file.write_text("another")
        with pytest.raises(ValueError, match="give another --work"):
            ladi("refinement").main(call)
    finally:
        file.write_text(held)


def test_seeds_take_other_demonstrations_and_too_few_are_told(done, ladi) -> None:
    work, call, _ = done
    options = ladi("refinement").parse(call)
    bench = ladi("experiment").Bench.open(options, options.world, work)
    taken = [[m["episode_index"] for m in bench.view(2, seed).metas] for seed in (0, 1)]
    assert taken == [[0, 1], [2, 3]]
    with pytest.raises(ValueError, match="seed 2 needs 4 to 5: collect more"):
        bench.view(2, 2)


def test_the_controls_show_what_they_say(words, ladi) -> None:
    made, model = ladi("imaginations"), load(words[3]).model
    core = make.make_core(words[3], num_envs=2, autoreset_mode="disabled", task="reach_right")
    core.reset(seed=0)
    plan = core.spec.prepare(torch.rand(2, 4, 3, generator=torch.Generator().manual_seed(0)))
    present = model.features(core.state)
    copied = made.copy_model(model)
    assert all(torch.equal(copied.features(s), present) for s in copied.unroll(core.state, plan))
    echoed = made.own_action(model)
    assert torch.equal(echoed.features(core.state), present)
    for i, state in enumerate(echoed.unroll(core.state, plan)):
        assert torch.allclose(echoed.features(state), plan[:, i], atol=1e-6)  # bounds are -1 and 1
    usual = [model.features(s) for s in model.unroll(core.state, plan)]
    assert not torch.equal(usual[0], present)  # the model itself is as it was


def test_the_true_future_is_the_simulators_and_moves_nothing(done, ladi) -> None:
    work, call, _ = done
    options = ladi("refinement").parse(call)
    bench = ladi("experiment").Bench.open(options, options.world, work)
    core = bench.twin_core(2)
    core.reset(seed=0, options={"task": "reach_right"})
    plan = core.spec.prepare(torch.rand(2, 3, 3, generator=torch.Generator().manual_seed(1)))
    before = [s.copy() for s in core.world.sims.snapshot()]
    view = ladi("imaginations").TrueFuture(bench.world.model, core).view
    ahead = [view.features(s) for s in view.unroll(core.state, plan)]
    assert all(np.array_equal(a, b) for a, b in zip(before, core.world.sims.snapshot(), strict=True))
    for i, seen in enumerate(ahead):
        core.step(plan[:, i])
        assert torch.allclose(core.model.features(core.state), seen, atol=1e-5)
    bench.close()


def test_a_mean_of_samples_spreads_less(words, ladi, done) -> None:
    work, call, _ = done
    options, experiment = ladi("refinement").parse(call), ladi("experiment")
    bench = experiment.Bench.open(options, options.world, work)
    policy = bench.trained(experiment.Training(2, 0), 2)
    history, task = torch.zeros(200, 4, 3), torch.zeros(200, dtype=torch.long)
    one, many = (
        experiment.averaged(policy, n).decide(history, task, None, torch.Generator().manual_seed(0)) for n in (1, 4)
    )
    assert many[..., :2].std(0).mean() < 0.8 * one[..., :2].std(0).mean()
    assert refine(policy, times=0).policy is policy


def test_ablations_measure_frames_steps_and_other_world_models(words, ladi, tmp_path: Path) -> None:
    call = ["--work", str(tmp_path), "--out", str(tmp_path / "out.json"), *words, "--frames", "1", "3"]
    call += ["--states", "place=0,1", "--denoising", "1", "--worlds", f"other={words[3]}", "--scaled", f"10={words[3]}"]
    assert ladi("ablations").main(call) == 0
    rows = json.loads((tmp_path / "out.json").read_text())["rows"]
    found = {(row["ablation"], row["value"]) for row in rows}
    wanted = {
        ("frames", 1),
        ("frames", 3),
        ("denoising", 1),
        ("states", "place"),
        ("world_model", "whole"),
        ("world_model", "other"),
    }
    assert found == wanted | {("data", "10")} and {row["refinements"] for row in rows} == {1}
    with pytest.raises(SystemExit):
        ladi("ablations").parse([*call, "--worlds", "nothing"])


@pytest.fixture(scope="module")
def play(tmp_path_factory) -> EpisodeStore:
    """Play of PlayTable with pictures of noise, in which the drawer opens evenly."""
    folder, rng = tmp_path_factory.mktemp("play"), np.random.default_rng(0)
    keys = {
        "action": ((7,), "float32"), "robot_obs": ((15,), "float32"), "scene_obs": ((24,), "float32"),
        "rgb_static": ((16, 16, 3), "uint8"),
    }  # fmt: skip
    action = {"low": [-1.0] * 7, "high": [1.0] * 7, "binary": [6]}
    info = {"suite": "calvin", "scene": "playtable", "action": action, "frame_rate": 30.0}
    store = EpisodeStore.create(folder / "play", keys, info)
    for i in range(6):
        rows = {k: rng.uniform(-1, 1, (60, *shape)).astype(kind) for k, (shape, kind) in keys.items()}
        rows["rgb_static"] = rng.integers(0, 256, (60, 16, 16, 3), dtype=np.uint8)
        rows["scene_obs"][:, 1] = 0.001 * np.arange(60)
        store.append([(rows, {"split": "val" if i > 3 else "train"})])
    return store


def latent_dream(folder: Path, store: EpisodeStore, per_frame: int) -> str:
    """An untrained latent diffusion on pictures' own patches, of so many actions a frame."""
    recipe = registry.recipe("latent_diffusion")
    sizes = {
        "width": 8,
        "layers": 1,
        "heads": 2,
        "history": 2,
        "chunk": 2,
        "decoder_width": 8,
        "grid": 2,
        "channels": 4,
    }
    torch.manual_seed(0)
    changes = {**sizes, "actions_per_frame": per_frame}
    model = registry.build("latent_diffusion", recipe.config(store_facts(store), "tiny", changes).to_dict())
    return str(checkpoint.save(folder, model))


def test_fidelity_is_measured_on_the_same_windows(play, ladi, tmp_path: Path) -> None:
    models = [f"{n}={latent_dream(tmp_path / n, play, a)}" for n, a in (("slow", 3), ("quick", 1))]
    call = ["--store", str(play.path), "--horizons", "6", "12", "--windows=4", "--context=7", "--probe-batches=2"]
    call += ["--out", str(tmp_path / "out.json"), "--models", *models]
    for _ in range(2):  # rows are replaced
        ladi("fidelity").main(call)
        rows = json.loads((tmp_path / "out.json").read_text())["rows"]
        assert "NaN" not in (tmp_path / "out.json").read_text()
        assert [(r["model"], r["horizon"]) for r in rows if r["reader"] == "probe"] == [
            ("slow", 6), ("slow", 12), ("quick", 6), ("quick", 12)
        ]  # fmt: skip
        copied = [r for r in rows if r["model"] == "last frame"]
        assert [r["drawer_cm"] for r in copied] == pytest.approx([0.6, 1.2], abs=1e-3)
    names = {"drawer_cm", "slider_cm", "hand_cm", "bulb", "led", "seconds_per_step", "scene"}
    assert all(names <= set(row) for row in rows if row["reader"] == "probe")
    own = [row for row in rows if row["reader"] == "own"]  # what the models read off their own tokens: the robot
    assert len(own) == 4 and all("hand_cm" in row and "drawer_cm" not in row for row in own)
    with pytest.raises(ValueError, match="slow needs 4 rows or more, and 3 rows a frame"):
        ladi("fidelity").main([*call[:-3], "--context=8", "--models", models[0]])


def test_latency_is_measured_by_envs_steps_and_samples(play, ladi, tmp_path: Path) -> None:
    folder = latent_dream(tmp_path / "dream", play, 3)
    call = [
        "--models",
        f"dream={folder}",
        f"point={joint_point_checkpoint(tmp_path / 'point')}",
        "--num-envs",
        "1",
        "2",
    ]
    call += ["--sampler-steps", "1", "2", "--precisions", "fp32", "--out", str(tmp_path / "out.json")]
    ladi("chunk_latency").LEAST = 0.0
    ladi("chunk_latency").main(call)
    rows = json.loads((tmp_path / "out.json").read_text())["rows"]
    keys = {"model", "num_envs", "sampler_steps", "chunk", "latency_s", "steps_per_s", "matmul_share"}
    assert all(keys <= set(row) for row in rows)
    own = [row for row in rows if row["model"] == "dream"]
    assert {(r["num_envs"], r["sampler_steps"], r["samples"]) for r in own} == {
        (n, steps, samples) for n in (1, 2) for steps in (1, 2) for samples in (1, 2)
    }
    assert all(r["chunk"] == 18 and r["steps_per_s"] == pytest.approx(r["num_envs"] * 18 / r["latency_s"]) for r in own)
    assert [r["sampler_steps"] for r in rows if r["model"] == "point"] == [None, None]


def test_agents_are_compared_from_the_same_starts(words, done, ladi, tmp_path: Path) -> None:
    work, _, _ = done
    (policy,) = (work / "policies").glob("own_6_2_0/000002")
    call = ["--work", str(tmp_path), "--dreams", f"here={words[3]}", f"there={words[3]}", "--episodes=4", "--horizon=6"]
    call += ["--policies", f"refinement:here:0={policy}", f"refinement:there:1={policy}"]
    call += ["--tasks", "reach_right", "--out", str(tmp_path / "out.json")]
    ladi("agents").main(call)
    rows = json.loads((tmp_path / "out.json").read_text())["rows"]
    assert [(r["agent"], r["dream"], r["task"], r["seed"]) for r in rows] == [
        ("refinement", "here", "reach_right", 0), ("refinement", "there", "reach_right", 1)
    ]  # fmt: skip
    assert rows[0]["starts"] == rows[1]["starts"] and {"imagined", "real", "episodes"} <= set(rows[0])
    with pytest.raises(ValueError, match="no dream 'elsewhere'"):
        ladi("agents").main([*call, "--policies", f"refinement:elsewhere:0={policy}"])
    opened = load(words[3])
    moved = replace(opened, starts={**opened.starts, "snapshot": opened.starts["snapshot"] + 1})
    with pytest.raises(ValueError, match="begin elsewhere"):
        ladi("agents").check_starts({"here": opened, "moved": moved})


def test_cells_of_other_settings_are_not_gathered(ladi, tmp_path: Path) -> None:
    gather, write = ladi("experiment").gather, ladi("experiment").write
    for name, episodes in (("one", 3), ("two", 4)):
        write(tmp_path / "cells" / f"{name}.json", [{"settings": {"episodes": episodes}}])
    with pytest.raises(ValueError, match="were measured with .*4.* and with .*3.*: give another --work"):
        gather([tmp_path], tmp_path / "out.json")
    assert not (tmp_path / "out.json").exists()


def test_tables_are_made_of_the_rows(done, ladi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work, _, rows = done
    tables = ladi("tables")
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    assert {make() for make in tables.blocks().values()} == {tables.MISSING}
    (tmp_path / "ladi_refinement.json").write_text((work / "out.json").read_text())
    told = tables.refinement()
    for words in tables.CONTROLS.values():
        assert f"| {words} | 2 | 1 |" in told
    (row,) = (r for r in rows if r["control"] == "mean" and r["refinements"] == 1)
    assert f"{row['success']:.0%}" in next(line for line in told.splitlines() if "mean of as many" in line)
    assert "(2)" in tables.spread() and "own decision" in tables.kinds()
