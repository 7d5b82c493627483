"""Compare dreamgym's LIBERO with the original: hand, objects, goal verdicts, frames and speed, side by side.

    python benchmarks/libero_parity.py --reference-python refenv/bin/python --assets LIBERO/libero/libero/assets

``--reference-python`` is the Python of an environment with hf-libero (robosuite 1.4.0, mujoco 3.3.0), which runs
libero_reference.py. Both begin at the same initial state, fixtures included, and replay the same 200 actions: those of
a hand that reaches for the task's thing, grasps, lifts, carries it over its target and lets go, with noise. Speeds are
in processor time, all threads counted, so that a busy machine tells on neither. Writes
``benchmarks/results/libero_parity.json``; with ``--only`` one of its two parts, and the other stays as it was. Each
part has its commit and machine.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

import mujoco
import numpy as np

from dreamgym.provenance import provenance
from dreamgym.sims.libero import SUITES
from dreamgym.sims.libero.assets import find_assets, task_file
from dreamgym.sims.libero.env import LiberoEnv
from dreamgym.sims.libero.simulation import SUBSTEPS

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "libero_parity.json"
PARTS = ("physics", "pictures")
STEPS, SIZE = 200, 128
LIMIT = 0.005  # m
ABOUT = {
    "mujoco": mujoco.__version__, "reference": "hf-libero 0.1.4, robosuite 1.4.0, mujoco 3.3.0",
    "clock": "processor time",
}  # fmt: skip
PHASES = (35, 60, 72, 90, 135, 160)  # steps at which the scripted hand goes on


def chosen_tasks(count: int) -> list[str]:
    """Tasks of all suites by turns, spread over each."""
    picked: list[str] = []
    share = -(-count // len(SUITES))
    for suite, tasks in SUITES.items():
        picked += [f"{suite}/{tasks[int(i)]}" for i in np.linspace(0, len(tasks) - 1, share)]
    return picked[:count]


def reaching_action(env: LiberoEnv, step: int, rng: np.random.Generator) -> np.ndarray:
    """Over the first thing of interest, down, close, up, over the second, open; with noise."""
    simulation = env.simulation
    scene, data = simulation.scene, simulation.data
    names = [name for name in scene.problem.interest if name in scene.body] or list(scene.objects)
    thing, target = (data.xpos[scene.body[name]] for name in (names[0], names[-1]))
    phase = int(np.searchsorted(PHASES, step, side="right"))
    up = np.array([0.0, 0.0, 0.12])
    grasp = np.array([0.0, 0.045, 0.02]) if "bowl" in names[0] else np.zeros(3)  # at a bowl's rim
    over = target + grasp + 2 * up
    wanted = (thing + grasp + up, thing + grasp, thing + grasp, thing + grasp + 2 * up, over, over - 1.5 * up, over)
    action = np.zeros(7)
    action[:3] = 1.2 * (wanted[phase] - simulation.controller.position) / 0.05
    action[:6] += 0.05 * rng.standard_normal(6)
    action[6] = 1.0 if 2 <= phase <= 5 else -1.0
    return np.clip(action, -1.0, 1.0)


def with_reference_solver_calls(env: LiberoEnv) -> None:
    """Steps as the original does, which solves each instant three times: the solver's warm starts are then the same."""
    simulation = env.simulation
    model, data, controller = simulation.scene.model, simulation.data, simulation.controller

    def step(action: np.ndarray) -> None:
        for substep in range(SUBSTEPS):
            mujoco.mj_forward(model, data)
            if substep == 0:
                controller.set_goal(action)
            mujoco.mj_forward(model, data)
            controller.drive()
            mujoco.mj_step(model, data)
        mujoco.mj_forward(model, data)

    simulation.step = step


def roll(env: LiberoEnv, seed: int, steps: int) -> dict[str, np.ndarray]:
    """Initial state 0 and the scripted actions, in ours."""
    rng = np.random.default_rng(seed)
    env.reset(seed=seed, options={"init_state": 0})
    simulation = env.simulation
    scene, data = simulation.scene, simulation.data
    state = np.concatenate([[data.time], data.qpos, data.qvel])
    bodies = [scene.body[name] for name in scene.fixtures]
    poses = np.concatenate([scene.model.body_pos[bodies], scene.model.body_quat[bodies]], axis=1)
    actions, hand, things, success, seconds = [], [], [], [], []

    def record() -> None:
        hand.append(simulation.controller.position)
        things.append(data.xpos[[scene.body[name] for name in scene.objects]].copy())
        success.append(simulation.succeeded())

    record()
    for step in range(steps):
        action = reaching_action(env, step, rng)
        begun = time.process_time()
        env.step(action)
        seconds.append(time.process_time() - begun)
        actions.append(action)
        record()
    return {
        "state": state,
        "poses": poses,
        "actions": np.array(actions),
        "hand": np.array(hand),
        "things": np.array(things),
        "success": np.array(success),
        "seconds": np.array(seconds),
    }


def compare(task: str, ours: dict, theirs: dict, objects: tuple[str, ...]) -> dict:
    """Greatest distances over the episode, and the first step at which they pass the limit."""
    hand = np.linalg.norm(ours["hand"] - theirs["hand"], axis=-1)
    things = np.linalg.norm(ours["things"] - theirs["things"], axis=-1)
    worst = things.max(1) if things.shape[1] else np.zeros(len(hand))
    over = np.flatnonzero((hand > LIMIT) | (worst > LIMIT))
    equal = ours["success"] == theirs["success"]
    return {
        "task": task,
        "hand_mm": round(1000 * float(hand.max()), 3),
        "objects_mm": round(1000 * float(worst.max()), 3),
        "worst_object": objects[int(things.max(0).argmax())],
        "first_step_over_5_mm": int(over[0]) if len(over) else None,
        "verdict_equal": bool(equal.all()),
        "verdicts_unequal": int((~equal).sum()),
        "succeeded": bool(ours["success"].any()),
        "succeeded_reference": bool(theirs["success"].any()),
    }


def ask(python: Path, assets: Path, requests: Path, answers: Path) -> None:
    """Runs the reference on every request."""
    command = [str(python), str(HERE / "libero_reference.py"), "--assets", str(assets)]
    env = {**os.environ, "PYTHONPATH": ""}
    subprocess.run([*command, "--requests", str(requests), "--answers", str(answers)], check=True, env=env)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """Peak signal to noise, dB."""
    error = float(np.mean((a.astype(float) - b.astype(float)) ** 2))
    return round(10 * np.log10(255**2 / error), 2) if error else 99.0


def compare_physics(task: str, seed: int, assets: Path, python: Path) -> dict:
    """Both without cameras, one after the other; the speeds are of the last 100 steps.

    Where they part by more than the limit, once more with the original's calls of the solver.
    """
    env = LiberoEnv(task=task, horizon=None, assets=assets)
    ours, theirs = side_by_side(env, task, seed, assets, python, 0, STEPS)
    row = {**compare(task, ours, theirs, env.object_names), **speeds(ours, theirs, STEPS - 100, STEPS)}
    if row["first_step_over_5_mm"] is not None:
        with_reference_solver_calls(env)
        again = compare(task, *side_by_side(env, task, seed, assets, python, 0, STEPS), env.object_names)
        row["reference_solver_calls"] = {k: v for k, v in again.items() if k.endswith("_mm") or k == "verdict_equal"}
    env.close()
    return row


def compare_pictures(task: str, assets: Path, python: Path, count: int = 60) -> dict:
    """Both with two cameras: frames of the initial state, ours stock and thin, and the speeds (ours thin)."""
    env = LiberoEnv(task=task, horizon=None, assets=assets, image_size=SIZE, cameras=("static", "gripper"))
    frames = {}
    for visuals in ("stock", "thin"):
        env.visuals = visuals
        obs, _ = env.reset(options={"init_state": 0})
        frames[visuals] = (obs["rgb_static"], obs["rgb_gripper"])
    ours, theirs = side_by_side(env, task, 0, assets, python, SIZE, count)
    env.close()
    row = {
        f"psnr_{visuals}": [psnr(a, b) for a, b in zip(pair, theirs["frames"], strict=True)]
        for visuals, pair in frames.items()
    }
    return {"task": task, **row, **speeds(ours, theirs, 0, count)}


def side_by_side(
    env: LiberoEnv, task: str, seed: int, assets: Path, python: Path, size: int, count: int
) -> tuple[dict, dict]:
    """Our episode and the reference's answer to it."""
    with tempfile.TemporaryDirectory() as name:
        requests, answers = Path(name) / "requests", Path(name) / "answers"
        requests.mkdir()
        ours = roll(env, seed, count)
        np.savez(
            requests / "one.npz",
            bddl=str(task_file(assets, task)),
            state=ours["state"],
            actions=ours["actions"],
            fixtures=np.array(env.simulation.scene.fixtures, dtype=str),
            poses=ours["poses"],
            objects=np.array(env.object_names, dtype=str),
            size=size,
            timed=min(count, 100),
        )
        ask(python, assets, requests, answers)
        with np.load(answers / "one.npz") as answer:
            return ours, {key: answer[key] for key in answer.files}


def speeds(ours: dict, theirs: dict, first: int, last: int) -> dict:
    """Control steps a second of both."""
    seconds = ours["seconds"][first:last]
    rate, reference = len(seconds) / float(seconds.sum()), float(theirs["rate"])
    return {
        "steps_per_s": round(rate, 1),
        "reference_steps_per_s": round(reference, 1),
        "speedup": round(rate / reference, 2),
    }


def main() -> None:
    """Run the comparisons and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference-python", type=Path, required=True)
    parser.add_argument("--assets", type=Path, default=None)
    parser.add_argument("--only", choices=PARTS, default=None)
    parser.add_argument("--tasks", type=int, default=20)
    parser.add_argument(
        "--pictures", type=int, default=5, help="tasks whose frames and speed with cameras are compared"
    )
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    assets, python = find_assets(options.assets), options.reference_python
    results = json.loads(options.out.read_text()) if options.out.exists() else {}
    for part in PARTS if options.only is None else (options.only,):
        rows = []
        for seed, task in enumerate(chosen_tasks(options.tasks if part == "physics" else options.pictures)):
            rows.append(
                compare_physics(task, seed, assets, python)
                if part == "physics" else compare_pictures(task, assets, python)
            )  # fmt: skip
            print(json.dumps(rows[-1]), flush=True)
        results[part] = {**provenance(), **ABOUT, "rows": rows}
    results |= {
        "reference": "hf-libero 0.1.4, robosuite 1.4.0, mujoco 3.3.0",
        "steps": STEPS,
        "clock": "processor time",
    }
    options.out.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
