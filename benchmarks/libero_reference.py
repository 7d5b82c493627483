"""Replays actions in the original LIBERO: the other half of libero_parity.py, run by the reference's own Python.

It needs the package hf-libero in an environment of its own and nothing of dreamgym. A request is an npz with ``bddl``
(the task file), ``state`` (time, qpos, qvel), ``actions`` [T, 7], ``fixtures`` and ``poses`` [F, 7] (where they stand),
``objects`` (names), ``size`` (pixels of two cameras; 0: none) and ``timed`` (how many actions are timed); its answer
gets the same name in the folder of answers: ``hand`` [T + 1, 3], ``things`` [T + 1, N, 3], ``success`` [T + 1],
``frames`` [2, H, W, 3] and ``rate`` (control steps a second).
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np


def main() -> None:
    """Answer every request of a folder."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=Path, required=True)
    parser.add_argument("--answers", type=Path, required=True)
    parser.add_argument("--assets", type=Path, required=True)
    options = parser.parse_args()
    config = options.answers / "config"
    config.mkdir(parents=True, exist_ok=True)
    names = ("assets", "bddl_files", "benchmark_root", "datasets", "init_states")
    folders = {name: str(options.assets.parent / name) for name in names}
    (config / "config.yaml").write_text("".join(f"{name}: {folder}\n" for name, folder in folders.items()))
    os.environ["LIBERO_CONFIG_PATH"] = str(config)
    os.environ.setdefault("MUJOCO_GL", "egl")
    import libero.libero

    libero.libero._assets_path_cache = str(options.assets)
    for path in sorted(options.requests.glob("*.npz")):
        with np.load(path) as request:
            answer = replay({name: request[name] for name in request.files})
        np.savez(options.answers / path.name, **answer)
        print(path.name, f"{answer['rate']:.1f} steps/s", flush=True)


def make(bddl: str, size: int):
    """The original environment, with or without two cameras, whose arm begins at its exact first posture."""
    from libero.libero.envs.env_wrapper import ControlEnv, OffScreenRenderEnv

    cameras = {"camera_names": ["agentview", "robot0_eye_in_hand"], "camera_heights": size, "camera_widths": size}
    if size:
        return OffScreenRenderEnv(bddl_file_name=bddl, initialization_noise=None, **cameras)
    return ControlEnv(
        bddl_file_name=bddl,
        has_renderer=False,
        has_offscreen_renderer=False,
        use_camera_obs=False,
        initialization_noise=None,
    )


def replay(request: dict) -> dict:
    """The answer to one request."""
    size = int(request["size"])
    env = make(str(request["bddl"]), size)
    env.seed(0)
    env.reset()
    sim, inner = env.sim, env.env
    for name, pose in zip(request["fixtures"], request["poses"], strict=True):
        body = inner.obj_body_id[str(name)]
        sim.model.body_pos[body], sim.model.body_quat[body] = pose[:3], pose[3:]
    obs = env.set_init_state(request["state"])
    # The original's first goal is relative to where the arm stood at the reset, not to the state that was just set.
    controller = inner.robots[0].controller
    controller.update(force=True)
    controller.reset_goal()
    site = sim.model.site_name2id("gripper0_grip_site")
    bodies = [inner.obj_body_id[str(name)] for name in request["objects"]]
    hand, things, success = [], [], []

    def record() -> None:
        hand.append(np.array(sim.data.site_xpos[site]))
        things.append(np.array(sim.data.body_xpos[bodies]))
        success.append(bool(env.check_success()))

    frames = [obs[f"{name}_image"][::-1] for name in ("agentview", "robot0_eye_in_hand")] if size else []
    record()
    seconds = []
    for action in request["actions"]:
        begun = time.process_time()
        env.step(action)
        seconds.append(time.process_time() - begun)
        # A step leaves poses one substep behind the joints: bring them up, as ours are.
        sim.forward()
        record()
    env.close()
    timed = seconds[-int(request["timed"]) :]
    return {
        "hand": np.array(hand),
        "things": np.array(things),
        "success": np.array(success),
        "frames": np.array(frames),
        "rate": len(timed) / sum(timed),
    }


if __name__ == "__main__":
    main()
