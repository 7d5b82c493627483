"""`dreamgym adapt`: a whole run, and what it refuses before it trains."""

from __future__ import annotations

from pathlib import Path

import pytest

from dreamgym import cli
from dreamgym.data import EpisodeStore, join
from dreamgym.training import checkpoint
from dreamgym.training.train import load_run, train
from dreamgym.world_models.registry import recipe

pytest.importorskip("peft")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two dreams of two robots, and a store of a third."""
    folder, example = tmp_path_factory.mktemp("world"), recipe("latent_action").example()
    for name, dim in (("panda_joints", 8), ("ur5e_pose", 7), ("kinova3_position", 4)):
        info = {**example.info, "robot": name, "action": {"low": [-1.0] * dim, "high": [1.0] * dim}}
        store = EpisodeStore.create(folder / name, {**example.keys, "action": ((dim,), "float32")}, info)
        store.append([({**rows, "action": rows["action"][:, :dim]}, dict(meta)) for rows, meta in example.episodes])
    join([folder / "panda_joints", folder / "ur5e_pose"], folder / "both")
    for seed in (0, 1):
        settings = {**example.settings, "steps": 2, "seed": seed}
        train(folder / "both", folder / f"run{seed}", "latent_action", changes=example.changes, **settings)
        checkpoint.save(folder / f"dream{seed}", load_run(folder / f"run{seed}"))
    return folder


def words(world: Path, run: Path, *more: str) -> list[str]:
    """``more`` comes last, and of an option that is there twice the last one counts."""
    places = ["--checkpoint", str(world / "dream0"), "--store", str(world / "kinova3_position"), "--run", str(run)]
    return ["adapt", *places, "--steps", "3", "--batch-size", "4", "--length", "6", *more]


def test_the_same_command_goes_on_and_another_one_is_refused(world: Path, tmp_path: Path) -> None:
    run, out = tmp_path / "run", tmp_path / "out"
    cli.main(words(world, run))
    cli.main(words(world, run, "--out", str(out)))
    assert list(checkpoint.load(out).model.config.robots) == ["panda_joints", "ur5e_pose", "kinova3_position"]
    for other, told in {
        ("--checkpoint", str(world / "dream1")): "was begun with init='weights",
        ("--checkpoint", str(world / "run0")): "was begun with init='weights",
        ("--embodiment", "arm"): "was begun with model.robots={panda_joints, ur5e_pose, kinova3_position}, not {",
        ("--order", "dft"): "was begun with model.adaptation='lac', not 'dft'",
        ("--seed", "7"): "was begun with seed=0, not 7",
    }.items():
        with pytest.raises(SystemExit, match=rf"dreamgym: .*{told}"):
            cli.main(words(world, run, *other))


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (("--embodiment", "a.b"), "a name has 1 to 100 characters and no '.'"),
        (("--embodiment", "x" * 101), "a name has 1 to 100 characters"),
        (("--length", "5"), "windows of 5 rows: this model needs at least 6"),
        (("--order", "23", "--steps", "16", "--length", "5"), "windows of 5 rows: this model needs at least 6"),
        (("--threads", "1000000000"), "threads must be at least 1 and at most"),
        (("--ema", "2"), "--ema must be at least 0 and at most 1, got 2.0"),
        (("--seed", str(10**30)), "--seed must be at least 0 and at most"),
        (("--checkpoint", "nowhere"), "no checkpoint 'nowhere'"),
        (("--checkpoint", "pusht"), "know one robot"),
    ],
)
def test_what_cannot_be_is_one_line(world: Path, tmp_path: Path, more: tuple[str, str], told: str) -> None:
    with pytest.raises(SystemExit, match=f"dreamgym: .*{told}"):
        cli.main(words(world, tmp_path / "run", *more))
    assert not list(tmp_path.glob("run/progress/*"))
