"""A store of another suite, whose sensors have the same names and sizes, is refused by whatever takes a checkpoint."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("accelerate")
pytest.importorskip("diffusers")

from dreamgym import cli
from dreamgym.data import EpisodeStore
from dreamgym.evaluation.making.finish import finish_model
from dreamgym.testing import PointMassModel, point_mass_checkpoint

KEYS = {
    "robot_obs": ((3,), "float32"), "rgb_static": ((16, 16, 3), "uint8"), "action": ((3,), "float32"),
    "success": ((), "bool"),
}  # fmt: skip


def write(path: Path, suite: str) -> Path:
    """Episodes that fit the point mass, said to be of ``suite``."""
    info = {"suite": suite, "action": {"low": [-1.0] * 3, "high": [1.0] * 3}, "tasks": ["reach_right"]}
    store, rng = EpisodeStore.create(path, KEYS, info), np.random.default_rng(0)
    for i in range(12):
        rows = {name: np.zeros((30, *shape), dtype) for name, (shape, dtype) in KEYS.items()}
        rows |= {"robot_obs": rng.normal(size=(30, 3)), "action": rng.uniform(-1, 1, (30, 3))}
        rows["success"][-1] = i % 3 > 0
        meta = {"task": "reach_right", "success": i % 3 > 0, "split": "val" if i > 7 else "train", "episode_index": i}
        store.append([(rows, meta)])
    return path


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    point_mass_checkpoint(folder / "point")
    write(folder / "other", "pusht")
    write(folder / "own", "point_mass")
    return folder


COMMANDS = {
    "compare": "compare {point} {point} --store {store} --windows 4 --steps 5",
    "fidelity": "fidelity --checkpoint {point} --store {store} --windows 4 --steps 5",
    "rewards": "rewards --checkpoint {point} --stores {store} --epochs 1 --out {out}",
    "starts": "starts --checkpoint {point} --stores {store} --num-train 2 --num-val 1 --out {out}",
    "starts --add": "starts --checkpoint {point} --stores {store} --add --out {out}",
    "clone": "diffusion-ppo clone --store {store} --task reach_right --checkpoint {point} --out {out} --epochs 1",
    "refinement": "refinement train --store {store} --checkpoint {point} --out {out} --steps 1 --chunk 2",
    "warpd": "warpd train --store {store} --checkpoint {point} --obs-key robot_obs --out {out} --vae-epochs 1 "
    "--diffusion-epochs 1 --width 8 --length 8",
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_store_of_another_suite_is_refused(name: str, world: Path, tmp_path: Path) -> None:
    places = {"point": world / "point", "out": tmp_path / "out"}
    told = "other was recorded in 'pusht', and the world model 'point' was learned from 'point_mass'"
    with pytest.raises(SystemExit, match=f"dreamgym: .*{told}"):
        cli.main(COMMANDS[name].format(store=world / "other", **places).split())
    assert not (tmp_path / "out").exists()


def test_the_suites_own_store_is_taken(world: Path) -> None:
    cli.main(COMMANDS["fidelity"].format(store=world / "own", point=world / "point").split())


def test_a_checkpoint_is_finished_with_stores_of_one_suite(world: Path, tmp_path: Path) -> None:
    stores = [EpisodeStore.open(world / name) for name in ("own", "other")]
    with pytest.raises(ValueError, match=r"the stores are of different suites, .*'point_mass'.*'pusht'"):
        finish_model(PointMassModel(), stores[:1], tmp_path / "out", beginnings=stores[1:])
