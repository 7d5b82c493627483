import os
import shutil
import subprocess
import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

pytest.importorskip("robosuite")

from dreamgym.envs.registration import REALS
from dreamgym.sims.libero.assets import initial_states
from dreamgym.sims.libero.env import LiberoEnv
from dreamgym.suites import suite

VARIABLE = "DREAMGYM_LIBERO_ASSETS"
needs_assets = pytest.mark.skipif(VARIABLE not in os.environ, reason="needs LIBERO's assets")
BOWL = "libero_goal/put_the_bowl_on_the_plate"
STILL = np.array([0, 0, 0, 0, 0, 0, -1.0])


@pytest.fixture(scope="module")
def env():
    made = LiberoEnv(BOWL)
    yield made
    made.close()


def put(env, name, position, quaternion=(1.0, 0.0, 0.0, 0.0)):
    """Puts an object somewhere, at rest."""
    simulation = env.simulation
    at = simulation.scene.free[name]
    simulation.data.qpos[at : at + 7] = [*position, *quaternion]
    simulation.data.qvel[:] = 0


def test_no_assets_is_one_line_that_names_the_variable(monkeypatch, tmp_path):
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(FileNotFoundError, match=rf"{VARIABLE}.*Lifelong-Robot-Learning/LIBERO") as caught:
        LiberoEnv(BOWL)
    assert "\n" not in str(caught.value)
    with pytest.raises(FileNotFoundError, match="no scenes, textures"):
        LiberoEnv(BOWL, assets=tmp_path)


def test_robosuite_says_nothing_at_import():
    told = subprocess.run(
        [sys.executable, "-c", "import dreamgym.sims.libero.env"], capture_output=True, text=True, check=True
    )
    assert "robosuite" not in told.stdout + told.stderr


def test_arguments_out_of_range_are_named(monkeypatch):
    with pytest.raises(ValueError, match="put_the_bowl_on_the_plate"):
        LiberoEnv("libero_goal/put_the_bowl_on_a_plate")
    with pytest.raises(ValueError, match="cameras"):
        LiberoEnv(BOWL, cameras=("front",))
    with pytest.raises(ValueError, match="visuals"):
        LiberoEnv(BOWL, visuals="fast")
    with pytest.raises(ValueError, match="robot"):
        LiberoEnv(BOWL, robot="Baxter")
    with pytest.raises(ValueError, match="task: expected a name SUITE/TASK, got 7"):
        LiberoEnv(7)
    for size in (0, -1, 10000, "64", 64.5, True, None):
        with pytest.raises(ValueError, match="image_size: expected 1 to 4096 pixels, got"):
            LiberoEnv(BOWL, image_size=size)


@needs_assets
def test_an_initial_state_is_the_benchmarks(env):
    obs, info = env.reset(options={"init_state": 3})
    state = initial_states(env.assets, BOWL)[3]
    assert info == {"is_success": False, "task": BOWL}
    assert np.allclose(obs["robot_obs"][11:18], state[1:8], atol=1e-6)
    assert np.allclose(obs["scene_obs"][:3], state[10:13], atol=1e-6)
    assert env.object_names == ("akita_black_bowl_1", "cream_cheese_1", "wine_bottle_1", "plate_1")
    assert env.joint_names[-1] == "flat_stove_1_button"
    again = env.reset(seed=9, options={"init_state": 3})[0]
    assert all(np.array_equal(obs[key], again[key]) for key in obs)


@needs_assets
def test_wrong_initial_states_are_named(env):
    with pytest.raises(ValueError, match="0 to 49, got 50"):
        env.reset(options={"init_state": 50})
    with pytest.raises(ValueError, match="0 to 49"):
        env.reset(options={"init_state": "first"})
    with pytest.raises(ValueError, match="0 to 49, got True"):
        env.reset(options={"init_state": True})
    env.reset(seed=0)
    with pytest.raises(ValueError, match="init_state or snapshot"):
        env.reset(options={"init_state": 0, "snapshot": env.snapshot()})
    other = initial_states(env.assets, "libero_object/pick_up_the_milk_and_place_it_in_the_basket")[0]
    with pytest.raises(ValueError, match=r"expected \(79,\)"):
        env.set_init_state(other)


@needs_assets
def test_seeds_draw_other_scenes_and_repeat(env):
    first, again, other = (env.reset(seed=seed)[0]["scene_obs"] for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.allclose(first, other, atol=1e-4)


@needs_assets
def test_a_snapshot_replays_exactly(env):
    env.reset(seed=3)
    rng = np.random.default_rng(0)
    for _ in range(10):
        env.step(rng.uniform(-1, 1, 7))
    taken, actions = env.snapshot(), rng.uniform(-1, 1, (10, 7))
    once = [env.step(a)[0] for a in actions]
    env.reset(seed=8)
    env.reset(options={"snapshot": taken})
    twice = [env.step(a)[0] for a in actions]
    assert all(np.array_equal(a[k], b[k]) for a, b in zip(once, twice, strict=True) for k in a)


@needs_assets
@pytest.mark.parametrize("at", [0, 40, 80, 160, 480])
def test_a_snapshot_with_nan_is_refused(env, at):
    env.reset(seed=3)
    damaged = env.snapshot()
    damaged[at] = np.nan
    with pytest.raises(ValueError, match="snapshot: expected"):
        env.reset(options={"snapshot": damaged})


@needs_assets
@pytest.mark.parametrize("robot", ["Sawyer", "UR5e"])
def test_the_benchmarks_initial_states_are_refused_to_other_arms(robot):
    env = LiberoEnv(BOWL, robot=robot)
    with pytest.raises(ValueError, match=rf"are the Panda's, and this simulator has a {robot}: make it with"):
        env.reset(options={"init_state": 3})
    env.reset(seed=0)
    env.close()


@needs_assets
def test_the_hand_goes_where_actions_say(env):
    env.reset(options={"init_state": 0})
    start = env.observe()["robot_obs"]
    for _ in range(6):
        obs = env.step(np.array([0, 0.5, 0.5, 0, 0, 0, 1.0]))[0]
    moved = obs["robot_obs"][:3] - start[:3]
    assert abs(moved[0]) < 0.02
    assert moved[1] > 0.02
    assert moved[2] > 0.02
    assert abs(obs["robot_obs"][9]) < 0.5 * abs(start[9])  # the fingers closed


@needs_assets
def test_the_oracle_sees_a_bowl_on_the_plate(env):
    env.reset(options={"init_state": 0})
    plate = env.simulation.scene_state()[0][3, :3]
    put(env, "akita_black_bowl_1", plate + [0.0, 0.0, 0.05], (0.7071068, 0.0, 0.0, 0.7071068))
    ended = [env.step(STILL)[2] for _ in range(20)]
    assert ended[-1]
    assert not ended[0]


@needs_assets
def test_drawers_and_knobs_are_judged():
    env = LiberoEnv("libero_goal/open_the_middle_drawer_of_the_cabinet")
    env.reset(options={"init_state": 0})
    data, model = env.simulation.data, env.simulation.scene.model
    data.qpos[model.joint("wooden_cabinet_1_middle_level").qposadr[0]] = -0.13
    assert not env.simulation.succeeded()
    data.qpos[model.joint("wooden_cabinet_1_middle_level").qposadr[0]] = -0.15
    assert env.simulation.succeeded()
    knob = model.joint("flat_stove_1_button").qposadr[0]
    assert env.simulation.oracle.holds(("turnoff", "flat_stove_1")) == (data.qpos[knob] < 0)
    data.qpos[knob] = 0.6
    assert env.simulation.oracle.holds(("turnon", "flat_stove_1"))
    with pytest.raises(ValueError, match="plate_1.*neither be opened"):
        env.simulation.oracle.holds(("open", "plate_1"))
    env.close()


@needs_assets
@pytest.mark.parametrize("visuals", ["thin", "stock"])
def test_two_cameras_of_any_size(visuals):
    env = LiberoEnv(BOWL, cameras=("static", "gripper"), image_size=48, visuals=visuals, render_mode="rgb_array")
    obs, _ = env.reset(options={"init_state": 0})
    assert obs in env.observation_space
    assert np.array_equal(env.render(), obs["rgb_static"])
    for camera in ("static", "gripper"):
        assert obs[f"rgb_{camera}"].std() > 20
    # Upright: the wall behind the robot is above and darker than the table.
    assert obs["rgb_static"][:8].mean() < obs["rgb_static"][-8:].mean()
    env.close()


@needs_assets
def test_other_arms_load_by_name():
    env = LiberoEnv(BOWL, robot="UR5e")
    obs, _ = env.reset(seed=0)
    assert obs in env.observation_space
    for _ in range(3):
        env.step(STILL)
    taken = env.snapshot()
    env.close()
    panda = LiberoEnv(BOWL)
    with pytest.raises(ValueError, match="a snapshot of a UR5e"):
        panda.reset(options={"snapshot": taken})
    panda.close()


@needs_assets
def test_a_missing_asset_is_named(tmp_path):
    real = Path(os.environ[VARIABLE])
    own = tmp_path / "assets"
    shutil.copytree(real, own, copy_function=os.symlink)
    (tmp_path / "bddl_files").symlink_to(real.parent / "bddl_files")
    (own / "stable_scanned_objects" / "plate" / "texture.png").unlink()
    env = LiberoEnv(BOWL, assets=own)
    with pytest.raises(FileNotFoundError, match=r"plate/texture\.png"):
        env.reset(seed=0)
    (own / "stable_scanned_objects" / "plate" / "plate.xml").unlink()
    (own / "stable_scanned_objects" / "plate" / "plate.xml").write_text("<mujoco><asset")
    with pytest.raises(ValueError, match=r"damaged LIBERO asset .*plate/plate\.xml"):
        LiberoEnv(BOWL, assets=own).reset(seed=0)
    with pytest.raises(FileNotFoundError, match="init_states"):
        initial_states(own, BOWL)
    (tmp_path / "init_states").mkdir()
    (tmp_path / "init_states" / "libero_goal.npz").write_bytes(b"PK damaged")
    with pytest.raises(ValueError, match=r"damaged file of initial states .*libero_goal\.npz"):
        initial_states(own, BOWL)


@needs_assets
def test_gym_make_gives_it_as_a_twin():
    env = gym.make("Real-LIBERO-v0", task=BOWL, horizon=4)
    obs, _ = env.reset(seed=0)
    assert env.observation_space.contains(obs)
    for _ in range(4):
        *_, ended, truncated, _ = env.step(env.action_space.sample())
    assert truncated
    assert not ended
    env.close()


def test_the_suite_makes_it(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(FileNotFoundError, match=VARIABLE):
        suite("libero").make(task=BOWL)
    assert REALS["Real-LIBERO-v0"]["simulator"]["id"] == suite("libero").name
