"""CalvinEnv on the built-in play table: Gymnasium's contract, seeds, lights, errors."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

pytest.importorskip("pybullet")

from dreamgym.sims.calvin import ROBOT_LABELS, SCENE_LABELS, CalvinEnv
from dreamgym.sims.calvin.cameras import CAMERAS, DEPTHS, Cameras

STILL = np.array([0, 0, 0, 0, 0, 0, 1], dtype=np.float32)


@pytest.fixture(scope="module")
def env():
    """One state-only environment for all tests that reset it first."""
    made = CalvinEnv(cameras=())
    yield made
    made.close()


def scene_obs_with(env: CalvinEnv, **values: float) -> np.ndarray:
    env.reset(seed=0)
    scene_obs = env.simulation.scene_obs()
    for label, value in values.items():
        scene_obs[SCENE_LABELS.index(label)] = value
    return scene_obs


def move_to(env: CalvinEnv, goal, gripper: float = -1.0, steps: int = 20) -> set[str]:
    """Lead the target position to ``goal`` and return what was achieved on the way."""
    found: set[str] = set()
    for _ in range(steps):
        move = np.clip((np.array(goal) - env.simulation.robot.target[:3]) / 0.02, -0.7, 0.7)
        found |= set(env.step(np.array([*move, 0, 0, 0, gripper]))[4]["tasks"])
    return found


def test_gymnasium_accepts_it():
    env = CalvinEnv(cameras=CAMERAS + DEPTHS, image_size=16, render_mode="rgb_array")
    check_env(env, skip_render_check=True)
    env.close()


def test_observation_shapes_follow_the_arguments():
    env = CalvinEnv(cameras=("gripper", "depth_gripper"), image_size=(12, 20))
    obs, _ = env.reset(seed=0)
    assert {name: value.shape for name, value in obs.items()} == {
        "robot_obs": (15,),
        "scene_obs": (24,),
        "rgb_gripper": (12, 20, 3),
        "depth_gripper": (12, 20),
    }
    env.close()


def test_labels_name_every_entry(env):
    obs, _ = env.reset(seed=0)
    assert len(ROBOT_LABELS) == obs["robot_obs"].size
    assert len(SCENE_LABELS) == obs["scene_obs"].size


def test_depth_is_the_distance_to_what_the_static_camera_sees():
    env = CalvinEnv(cameras=("depth_static",), image_size=32)
    depth = env.reset(seed=0)[0]["depth_static"]
    assert 3.0 < np.median(depth) < 5.0
    env.close()


def test_frames_show_the_lights(env):
    seeing = CalvinEnv(cameras=("static",))
    frames = [
        seeing.reset(options={"scene_obs": scene_obs_with(seeing, led=led)})[0]["rgb_static"].astype(int)
        for led in (0.0, 1.0)
    ]
    greener = (frames[1][..., 1] - frames[1][..., 0]) - (frames[0][..., 1] - frames[0][..., 0]) > 100
    assert greener.sum() >= 10
    seeing.close()


def test_render_needs_its_mode(env):
    env.reset(seed=0)
    assert env.render() is None


def test_render_returns_the_static_camera():
    env = CalvinEnv(cameras=("static",), image_size=16, render_mode="rgb_array")
    obs, _ = env.reset(seed=0)
    np.testing.assert_array_equal(env.render(), obs["rgb_static"])
    env.close()


def test_observe_without_cameras_leaves_images_out():
    env = CalvinEnv(cameras=("static",), image_size=16)
    env.reset(seed=0)
    assert set(env.observe(cameras=False)) == {"robot_obs", "scene_obs"}
    assert set(env.observe()) == {"robot_obs", "scene_obs", "rgb_static"}
    env.close()


def test_a_seed_fixes_the_episode_whatever_came_before(env):
    rng = np.random.default_rng(0)
    actions = rng.uniform(-1, 1, (15, 7))
    episodes = []
    for _ in range(2):
        states = [env.reset(seed=5)[0]["scene_obs"]]
        states += [np.concatenate([*env.step(action)[0].values()]) for action in actions]
        episodes.append(np.concatenate(states))
        move_to(env, rng.uniform([-0.1, -0.2, 0.46], [0.3, 0.0, 0.5]), steps=25)
    np.testing.assert_array_equal(episodes[0], episodes[1])


def test_another_seed_places_blocks_elsewhere(env):
    first, second = (env.reset(seed=seed)[0]["scene_obs"][6:] for seed in (1, 2))
    assert np.abs(first - second).max() > 0.02


def test_blocks_rest_apart_on_the_furniture(env):
    for seed in range(5):
        env.reset(seed=seed)
        state = env.task_state()
        assert not env.simulation.blocks_touch()
        assert all(state.touched(block) == {"table"} for block in ("red", "blue", "pink"))


def test_reset_sets_the_given_observations(env):
    env.reset(seed=0)
    move_to(env, (0.1, -0.1, 0.6), gripper=-1.0)
    robot_obs, scene_obs = env.simulation.robot_obs(), env.simulation.scene_obs()
    env.reset(seed=1)
    obs, _ = env.reset(options={"robot_obs": robot_obs, "scene_obs": scene_obs})
    np.testing.assert_allclose(obs["robot_obs"][7:14], robot_obs[7:14], atol=1e-3)
    assert obs["robot_obs"][14] == robot_obs[14] == -1
    np.testing.assert_allclose(obs["scene_obs"][:6], scene_obs[:6], atol=1e-6)
    np.testing.assert_allclose(obs["scene_obs"].reshape(4, 6)[1:, :3], scene_obs.reshape(4, 6)[1:, :3], atol=1e-3)


def test_the_arm_follows_relative_actions(env):
    env.reset(seed=0)
    before = env.simulation.robot_obs()[:3]
    for _ in range(10):
        env.step(np.array([0.5, 0, 0.5, 0, 0, 0, 1]))
    for _ in range(10):
        env.step(STILL)
    np.testing.assert_allclose(env.simulation.robot_obs()[:3] - before, [0.1, 0.0, 0.1], atol=0.01)


def test_actions_beyond_the_box_are_clipped(env):
    ends = []
    for scale in (1.0, 5.0):
        env.reset(seed=0)
        ends.append(env.step(scale * np.array([1, 0, 1, 0, 0, 0, 1.0]))[0]["robot_obs"])
    np.testing.assert_array_equal(*ends)


@pytest.mark.parametrize(("command", "closed"), [(0.0, False), (0.3, False), (-0.01, True), (-1.0, True)])
def test_the_gripper_opens_from_zero_up_and_closes_below(env, command, closed):
    env.reset(seed=0)
    for _ in range(10):
        obs = env.step(np.array([0, 0, 0, 0, 0, 0, command]))[0]
    assert (obs["robot_obs"][6] < 0.04) == closed
    assert obs["robot_obs"][14] == (-1 if closed else 1)


def test_the_button_toggles_the_led(env):
    scene_obs = scene_obs_with(env)
    scene_obs[6:] = [0.2, -0.1, 0.46, 0, 0, 0, -0.25, 0.09, 0.46, 0, 0, 0, 0.1, 0.09, 0.46, 0, 0, 0]
    env.reset(options={"scene_obs": scene_obs})
    lit = []
    for _ in range(2):
        move_to(env, (-0.12, -0.12, 0.54))
        move_to(env, (-0.12, -0.12, 0.46))
        lit.append(env.observe()["scene_obs"][5])
    assert lit == [1.0, 0.0]


def test_the_switch_holds_the_bulb(env):
    obs = env.reset(options={"scene_obs": scene_obs_with(env, switch=0.08)})[0]
    assert obs["scene_obs"][4] == 0.0
    assert env.step(STILL)[0]["scene_obs"][4] == 1.0
    assert env.step(STILL)[0]["scene_obs"][4] == 1.0


def test_the_hand_opens_the_drawer_and_the_episode_ends_with_it():
    env = CalvinEnv(cameras=(), task="open_drawer")
    env.reset(seed=0)
    for goal in ((0.18, -0.24, 0.5), (0.18, -0.215, 0.355)):
        move_to(env, goal, steps=25)
    rewards, ended = [], []
    for _ in range(30):
        _, reward, terminated, _, info = env.step(np.array([0, -0.5, 0, 0, 0, 0, -1]))
        rewards.append(reward)
        ended.append(terminated)
        if terminated:
            break
    assert ended[-1]
    assert info["is_success"]
    assert "open_drawer" in info["tasks"]
    assert env.achieved() == set(info["tasks"])
    assert sum(rewards) == 1.0
    env.close()


@pytest.mark.parametrize(
    ("task", "place", "value"),
    [("close_drawer", 1, 0.2), ("move_slider_right", 0, 0.25), ("turn_off_lightbulb", 4, 1), ("turn_off_led", 5, 1)],
)
def test_a_task_starts_where_it_can_be_done(env, task, place, value):
    obs, info = env.reset(seed=0, options={"task": task})
    assert obs["scene_obs"][place] >= value
    assert not info["is_success"]
    assert not env.step(STILL)[4]["is_success"]


@pytest.mark.parametrize(
    ("place", "link"), [("table", "base_link"), ("slider", "plank_link"), ("drawer", "drawer_link")]
)
def test_a_lift_task_starts_with_its_block_in_place(env, place, link):
    for seed in range(3):
        env.reset(seed=seed, options={"task": f"lift_pink_block_{place}"})
        assert ("table", link) in env.task_state().contacts["pink"]


def test_unstacking_starts_with_a_stack(env):
    env.reset(seed=0, options={"task": "unstack_block"})
    assert env.task_state().touched("blue") == {"pink"}


def test_an_episode_task_does_not_outlive_its_episode(env):
    env.reset(seed=0, options={"task": "turn_off_led"})
    assert env.reset(seed=0)[0]["scene_obs"][5] == 0


def test_the_horizon_truncates():
    env = CalvinEnv(cameras=(), horizon=3)
    for _ in range(2):
        env.reset(seed=0)
        ends = [env.step(STILL)[2:4] for _ in range(3)]
        assert ends == [(False, False), (False, False), (False, True)]
    env.close()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scene": "E"}, "scene: expected one of"),
        ({"task": "fly"}, "task: expected one of"),
        ({"cameras": "static"}, "expected a tuple"),
        ({"cameras": ("static", "static")}, "each once"),
        ({"cameras": ("top",)}, "cameras: expected some of"),
        ({"image_size": 0}, "image_size"),
        ({"image_size": (64,)}, "image_size"),
        ({"image_size": 64.0}, "image_size"),
        ({"horizon": 0}, "horizon"),
        ({"render_mode": "human"}, "render_mode"),
        ({"visuals": "thick"}, "visuals"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        CalvinEnv(**arguments)


@pytest.mark.parametrize(
    ("action", "message"),
    [(np.full(7, np.nan), "finite"), (np.zeros(6), r"expected shape \(7,\)"), (np.zeros((1, 7)), "expected shape")],
)
def test_wrong_actions_are_refused(env, action, message):
    env.reset(seed=0)
    with pytest.raises(ValueError, match=message):
        env.step(action)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scene": np.zeros(24)}, "reset options"),
        ({"scene_obs": np.zeros(23)}, "scene_obs"),
        ({"robot_obs": np.full(15, np.inf)}, "robot_obs"),
        ({"snapshot": np.zeros(5)}, "snapshot"),
        ({"snapshot": np.zeros(78), "scene_obs": np.zeros(24)}, "without"),
        ({"task": "fly"}, "task"),
    ],
)
def test_wrong_reset_options_are_refused(env, options, message):
    with pytest.raises(ValueError, match=message):
        env.reset(options=options)


def test_step_and_achieved_need_a_reset():
    env = CalvinEnv(cameras=())
    with pytest.raises(ValueError, match="reset"):
        env.step(STILL)
    with pytest.raises(ValueError, match="reset"):
        env.achieved()
    env.close()


def test_a_closed_environment_says_so():
    env = CalvinEnv(cameras=(), render_mode="rgb_array")
    env.reset(seed=0)
    env.close()
    env.close()
    for use in (env.reset, env.observe, env.snapshot, env.render, lambda: env.step(STILL)):
        with pytest.raises(ValueError, match="closed"):
            use()


def test_two_environments_do_not_disturb_each_other(env):
    other = CalvinEnv(cameras=())
    env.reset(seed=0)
    before = env.simulation.scene_obs()
    other.reset(seed=1)
    for _ in range(5):
        other.step(np.array([0, 0, -1, 0, 0, 0, -1]))
    np.testing.assert_array_equal(env.simulation.scene_obs(), before)
    other.close()


def test_missing_assets_are_explained(monkeypatch, tmp_path):
    monkeypatch.delenv("DREAMGYM_CALVIN_ASSETS", raising=False)
    with pytest.raises(FileNotFoundError, match="DREAMGYM_CALVIN_ASSETS"):
        CalvinEnv("D")
    with pytest.raises(FileNotFoundError, match="playtable"):
        CalvinEnv("D", assets=tmp_path)


def test_hiding_links_out_of_view_leaves_frames_as_they_are():
    env = CalvinEnv(cameras=())
    hiding, showing = (Cameras(env.simulation, env.scene.camera, 32, 32, hide=hide) for hide in (True, False))
    env.reset(seed=0)
    rng = np.random.default_rng(0)
    for _ in range(6):
        action = rng.uniform(-1, 1, 7)
        for _ in range(8):
            env.simulation.step(action)
        hidden = hiding.render("gripper")[0]
        assert hiding.num_hidden
        static = hiding.render("static")[0]  # which shows every link again
        np.testing.assert_array_equal(hidden, showing.render("gripper")[0])
        np.testing.assert_array_equal(static, showing.render("static")[0])
        assert not showing.num_hidden
    env.close()


def test_to_advance_is_to_step_without_looking(env):
    env.reset(seed=3)
    before, action = env.snapshot(), np.array([0.5, -0.2, 0.1, 0, 0, 0.3, -1], np.float32)
    info = env.step(action)[4]
    stepped = env.snapshot()
    env.restore(before)
    assert env.advance(action) == info
    assert np.array_equal(env.snapshot(), stepped)
