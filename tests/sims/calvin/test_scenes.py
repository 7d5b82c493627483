"""Scenes as data, and CALVIN's own scenes where their assets are there."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("pybullet")

from dreamgym.sims.calvin import BLOCKS, SCENES, CalvinEnv, Surface

needs_assets = pytest.mark.skipif("DREAMGYM_CALVIN_ASSETS" not in os.environ, reason="needs CALVIN's assets")


@needs_assets
@pytest.mark.parametrize("scene", ["A", "B", "C", "D"])
def test_calvins_scenes_load_and_step(scene):
    env = CalvinEnv(scene, image_size=16)
    obs, _ = env.reset(seed=0)
    assert env.observation_space.contains(obs)
    assert env.observation_space.contains(env.step(env.action_space.sample())[0])
    assert all(env.task_state().touched(block) == {"table"} for block in BLOCKS)
    env.close()


@needs_assets
def test_the_play_table_has_scene_ds_joint_ranges():
    ranges = []
    for scene in ("playtable", "D"):
        env = CalvinEnv(scene, cameras=())
        ranges.append(env.simulation.table.upper)
        env.close()
    np.testing.assert_allclose(*ranges, atol=1e-6)


@needs_assets
def test_snapshots_of_the_play_table_do_not_fit_scene_d():
    table, calvin = CalvinEnv(cameras=()), CalvinEnv("D", cameras=())
    table.reset(seed=0)
    with pytest.raises(ValueError, match="scene 'D'"):
        calvin.restore(table.snapshot())
    table.close()
    calvin.close()


def test_a_scene_of_ones_own_is_taken_as_it_is():
    corner = Surface((0.1, -0.14, 0.46), (0.3, -0.04, 0.46))
    scene = replace(SCENES["playtable"], name="corner", surfaces={"table": corner})
    env = CalvinEnv(scene, cameras=())
    for seed in range(3):
        blocks = env.reset(seed=seed)[0]["scene_obs"][6:].reshape(3, 6)
        assert (blocks[:, 0] > 0.09).all()
    env.close()


def test_surfaces_without_room_are_reported():
    spot = Surface((0.1, -0.1, 0.46), (0.1, -0.1, 0.46))
    env = CalvinEnv(replace(SCENES["playtable"], surfaces={"table": spot}), cameras=())
    with pytest.raises(RuntimeError, match="enlarge the surfaces"):
        env.reset(seed=0)
    env.close()


def test_a_scene_needs_its_three_blocks():
    with pytest.raises(ValueError, match="blocks"):
        replace(SCENES["playtable"], blocks={"red": (0.04, 0.04, 0.04)})


def test_a_scene_needs_surfaces():
    with pytest.raises(ValueError, match="surface"):
        replace(SCENES["playtable"], surfaces={})


def test_a_scene_needs_seven_home_joints():
    with pytest.raises(ValueError, match="7 angles"):
        replace(SCENES["playtable"], home_joints=(0.0,) * 6)


def test_every_scene_has_its_own_snapshot_code():
    assert len({scene.code for scene in SCENES.values()}) == len(SCENES)
