"""Compare dreamgym's CALVIN with the original calvin_env: physics, task oracle, frames and speed, side by side.

Needs the original beside dreamgym, which this file holds no part of:

    git clone https://github.com/mees/calvin_env && pip install gym==0.26.2 hydra-core==1.3.2 numpy-quaternion gitpython
    python benchmarks/calvin_parity.py --reference calvin_env --assets calvin_env/data

Writes ``benchmarks/results/calvin_parity.json``. Two solver orders are compared. "sorted" is what dreamgym ships:
bullet solves contacts in the order of the bodies, so that snapshots replay bitwise. "reference" switches that off and
shows that nothing else differs; calvin_env asks for sorted contacts too, but resets the world, and so the wish,
afterwards. A block that is pushed takes another way under another order of contacts, so its difference says little in
the first case.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import time
import types
from pathlib import Path

import numpy as np

from dreamgym.provenance import provenance
from dreamgym.sims.calvin import BLOCKS, SCENES, CalvinEnv
from dreamgym.sims.calvin.cameras import CAMERAS, DEPTHS
from dreamgym.sims.calvin.panda import MAX_RELATIVE_POSITION

logger = logging.getLogger("calvin_parity")
RESULTS = Path(__file__).parent / "results" / "calvin_parity.json"
START = np.array(
    [0, 0, 0, 0, 0, 0, 0.02, -0.09, 0.46, 0, 0, 0, 0.24, -0.1, 0.46, 0, 0, 1, -0.25, 0.09, 0.46, 0, 0, 2.0]
)
# Target position, gripper, and how many steps to spend: button, push the red block, open and close the drawer, slider.
WAYPOINTS = (
    ((-0.12, -0.12, 0.56), 1, 14), ((-0.12, -0.12, 0.46), -1, 12), ((-0.12, -0.12, 0.56), -1, 8),
    ((-0.06, -0.09, 0.56), -1, 8), ((-0.06, -0.09, 0.465), -1, 10), ((0.14, -0.09, 0.465), -1, 26),
    ((0.14, -0.09, 0.56), -1, 8), ((0.18, -0.24, 0.5), -1, 14), ((0.18, -0.215, 0.355), -1, 18),
    ((0.18, -0.4, 0.355), -1, 28), ((0.18, -0.45, 0.355), -1, 8), ((0.18, -0.2, 0.36), -1, 40),
    ((0.18, -0.35, 0.5), -1, 16), ((0.1, -0.05, 0.6), -1, 20), ((0.12, 0.0, 0.57), -1, 12),
    ((-0.2, 0.0, 0.57), -1, 38), ((-0.1, -0.15, 0.6), 1, 20),
)  # fmt: skip


def load_reference(folder: Path, assets: Path, scene: str, cameras: str):
    """Return the original environment and its task oracle."""
    sys.modules.setdefault("cv2", types.ModuleType("cv2"))  # only its window needs it
    sys.path.insert(0, str(folder))
    import hydra
    from calvin_env.envs import play_table_env
    from calvin_env.envs.tasks import Tasks

    play_table_env.get_git_commit_hash = lambda *_: "unknown"
    with hydra.initialize_config_dir(str((folder / "conf").resolve()), version_base=None):
        overrides = [f"cameras={cameras}", f"scene=calvin_scene_{scene}", f"data_path={assets.resolve()}"]
        config = hydra.compose("config_data_collection", overrides=overrides)
    for camera in config.cameras.values():
        camera.width = camera.height = 64
    options = {"show_gui": False, "use_vr": False, "use_scene_info": True, "use_egl": False}
    return hydra.utils.instantiate(config.env, **options), Tasks(config.tasks.tasks)


def scripted_actions(start: np.ndarray) -> np.ndarray:
    """Return 300 actions (300, 7) that lead the target position from ``start`` (3,) through the waypoints."""
    target, actions = start.copy(), []
    for position, gripper, steps in WAYPOINTS:
        for _ in range(steps):
            move = np.clip((np.array(position) - target) / MAX_RELATIVE_POSITION, -0.7, 0.7)
            target += move * MAX_RELATIVE_POSITION
            actions.append([*move, 0.0, 0.0, 0.0, gripper])
    return np.array(actions)


def block_order(scene: str) -> np.ndarray:
    """Return where calvin_env's scene_obs, which lists blocks in loading order, keeps each of our 24 numbers."""
    places = list(SCENES[scene].blocks)
    return np.array([*range(6), *(6 + 6 * places.index(block) + k for block in BLOCKS for k in range(6))])


def compare_physics(reference, oracle, env: CalvinEnv, scene: str) -> dict:
    """Run the same actions in both and return the largest differences and the oracles' verdicts."""
    order = block_order(scene)
    theirs_start = np.empty(24)
    theirs_start[order] = START
    reference.reset(scene_obs=theirs_start)
    env.reset(options={"scene_obs": START})
    start, first = reference.get_info(), env.task_state()
    actions = scripted_actions(env.simulation.robot.target[:3])
    gaps, disagreements = [], 0
    firsts: tuple[dict, dict] = ({}, {})
    for count, action in enumerate(actions, start=1):
        theirs, _, _, info = reference.step(action.copy())
        env.step(action)
        robot, scene_obs = env.simulation.robot_obs(), env.simulation.scene_obs()
        robot_gap = np.abs(theirs["robot_obs"] - robot)
        scene_gap = np.abs(theirs["scene_obs"][order] - scene_obs)
        tcp = np.linalg.norm(theirs["robot_obs"][:3] - robot[:3])
        gaps.append([tcp, robot_gap[7:14].max(), scene_gap[:4].max(), scene_gap[6:].reshape(3, 6)[:, :3].max()])
        expected, found = oracle.get_task_info(start, info), env.achieved(first)
        disagreements += expected != found
        for seen, tasks in zip(firsts, (expected, found), strict=True):
            seen |= {task: count for task in tasks if task not in seen}
    names = ("tcp_m", "arm_joints_rad", "furniture_joints_m", "blocks_m")
    return {
        "steps": len(actions),
        "largest_difference": dict(zip(names, np.max(gaps, axis=0).tolist(), strict=True)),
        "steps_where_oracles_disagree": disagreements,
        "first_step_of_each_task": {"calvin_env": firsts[0], "dreamgym": firsts[1]},
    }


def sample_states(count: int, scene: str, assets: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return (robot_obs, scene_obs) pairs with the arm over the table and furniture and lights anywhere."""
    rng = np.random.default_rng(0)
    env = CalvinEnv(scene, cameras=(), assets=assets)
    states = []
    while len(states) < count:
        if len(states) % 20 == 0:
            env.reset(seed=len(states))
            scene_obs = env.simulation.scene_obs()
            scene_obs[:4] = rng.uniform(0, 1, 4) * env.simulation.table.upper * [1, 1, 0, 1]
            scene_obs[4:6] = rng.integers(0, 2, 2)
            env.reset(options={"scene_obs": scene_obs})
        goal, yaw = rng.uniform([-0.2, -0.25, 0.52], [0.35, 0.0, 0.66]), rng.uniform(-0.4, 0.4)
        for _ in range(20):
            move = np.clip((goal - env.simulation.robot.target[:3]) / MAX_RELATIVE_POSITION, -1, 1)
            env.step(np.array([*move, 0, 0, yaw, rng.choice([-1, 1])]))
        states.append((env.simulation.robot_obs(), env.simulation.scene_obs()))
    env.close()
    return states


def compare_frames(reference, env: CalvinEnv, scene: str, states) -> dict:
    """Return the peak signal to noise ratio of our frames against the original's, per camera, decibels."""
    order, ratios = block_order(scene), {"static": [], "gripper": []}
    for robot_obs, scene_obs in states:
        theirs_scene = np.empty(24)
        theirs_scene[order] = scene_obs
        theirs = reference.reset(robot_obs=robot_obs, scene_obs=theirs_scene)["rgb_obs"]
        ours, _ = env.reset(options={"robot_obs": robot_obs, "scene_obs": scene_obs})
        for camera, found in ratios.items():
            gap = np.asarray(theirs[f"rgb_{camera}"], np.float64) - ours[f"rgb_{camera}"]
            # Equal frames have no finite ratio: they count as if one value of one pixel were off by one.
            found.append(10 * np.log10(255**2 / max((gap**2).mean(), 1 / gap.size)))
    return {
        camera: {
            "mean_psnr_db": float(np.mean(found)),
            "median_psnr_db": float(np.median(found)),
            "smallest_psnr_db": float(np.min(found)),
            "frames": len(found),
        }
        for camera, found in ratios.items()
    }


def compare_speed(reference, environments: dict[str, CalvinEnv], blocks: int, steps: int) -> dict:
    """Return control steps a second, taking turns so that a busy machine treats all alike."""
    action = np.array([0.1, 0.1, 0.0, 0.0, 0.0, 0.1, 1.0])
    steppers = {"calvin_env": lambda: reference.step(action.copy())}
    steppers |= {name: (lambda env=env: env.step(action)) for name, env in environments.items()}
    wall, cpu = {name: [] for name in steppers}, {name: [] for name in steppers}
    for _ in range(blocks):
        reference.reset(scene_obs=START)
        for env in environments.values():
            env.reset(options={"scene_obs": START})
        for name, step in steppers.items():
            for _ in range(steps):
                begun, begun_cpu = time.perf_counter(), time.process_time()
                step()
                wall[name].append(time.perf_counter() - begun)
                cpu[name].append(time.process_time() - begun_cpu)
    found = {
        name: {
            "steps_per_second": float(1 / np.mean(wall[name])),
            "cpu_steps_per_second": float(1 / np.mean(cpu[name])),
        }
        for name in steppers
    }
    for name in environments:
        found[name]["speed_up"] = found[name]["steps_per_second"] / found["calvin_env"]["steps_per_second"]
        found[name]["cpu_speed_up"] = found[name]["cpu_steps_per_second"] / found["calvin_env"]["cpu_steps_per_second"]
    return found


def with_reference_solver_order(env: CalvinEnv) -> CalvinEnv:
    """Let bullet solve contacts in the order of their meeting and keep its caches at reset, as calvin_env does."""
    simulation = env.simulation
    simulation.bullet.setPhysicsEngineParameter(deterministicOverlappingPairs=0, physicsClientId=simulation.client)
    simulation.settle = lambda: None
    return env


def main() -> None:
    """Run all comparisons and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", type=Path, default=os.environ.get("DREAMGYM_CALVIN_REFERENCE"))
    parser.add_argument("--assets", type=Path, default=os.environ.get("DREAMGYM_CALVIN_ASSETS"))
    parser.add_argument("--scene", default="D", choices=[name for name in SCENES if name != "playtable"])
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--blocks", type=int, default=5, help="turns of the speed comparison")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    if options.reference is None or options.assets is None:
        parser.error("give --reference and --assets, or set DREAMGYM_CALVIN_REFERENCE and DREAMGYM_CALVIN_ASSETS")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("calvin_env").setLevel(logging.WARNING)
    scene, assets = options.scene, Path(options.assets)

    def make(**changes) -> CalvinEnv:
        return CalvinEnv(scene, assets=assets, **changes)

    results = {"scene": scene, **provenance()}
    orders = {"solver_order_sorted": make, "solver_order_reference": lambda **k: with_reference_solver_order(make(**k))}
    results["physics"] = {}
    for name, make_env in orders.items():
        # A new reference each time: what it did before shows in what it does next.
        reference, oracle = load_reference(Path(options.reference), assets, scene, "no_cameras")
        results["physics"][name] = compare_physics(reference, oracle, make_env(cameras=()), scene)
    logger.info("%s", json.dumps(results["physics"], indent=1))
    reference, _ = load_reference(Path(options.reference), assets, scene, "static_and_gripper")
    thin, stock = (make(cameras=CAMERAS + DEPTHS, visuals=visuals) for visuals in ("thin", "stock"))
    states = sample_states(options.frames, scene, assets)
    results["frames_64x64"] = {
        "thin": compare_frames(reference, thin, scene, states),
        "stock": compare_frames(reference, stock, scene, states[:20]),
    }
    logger.info("%s", json.dumps(results["frames_64x64"], indent=1))
    results["speed_two_64x64_cameras"] = compare_speed(reference, {"thin": thin, "stock": stock}, options.blocks, 20)
    logger.info("%s", json.dumps(results["speed_two_64x64_cameras"], indent=1))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
