"""Every command that writes, with little to do, and what it reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from disc import make_store, make_world
from point_policies import make_policy, write_store

from dreamgym.data import EpisodeStore, cut_clips, join
from dreamgym.testing import point_mass_checkpoint
from dreamgym.training import checkpoint
from dreamgym.training.train import load_run, train
from dreamgym.world_models.registry import recipe

POINT = "--checkpoint {given}/point"
FEW = "--tasks reach_right --episodes 4 --horizon 4"

WORDS = {
    "collect": "collect --store {out} --suite pusht --operators random --max-steps 40 --episodes 2",
    "join": "join --stores {given}/store {given}/store --out {out}",
    "clips": "clips --store {given}/dots --out {out} --rows 9",
    "import": "import lerobot:{given}/lerobot --store {out}",
    "export": "export {given}/dots --out {out}",
    "export --pictures png": "export {given}/dots --out {out} --pictures png",
    "fit": "fit --store {given}/store --run {out} --steps 5 --batch-size 8 --length 8 --set hidden=[64,64]",
    "fit --out": "fit --store {given}/store --run {out}.run --out {out} --steps 5 --batch-size 8 --length 8",
    "adapt": "adapt --checkpoint {given}/robots --store {given}/kinova3_position --run {out} --steps 3 --batch-size 4 "
    "--length 6",
    "encoder": "encoder --store {given}/dots --run {out} --kind dinov2 --steps 2 --batch-size 4 --patch 8 --width 32 "
    "--layers 1",
    "rewards": "rewards --checkpoint {given}/disc --stores {given}/store --epochs 1 --out {out}",
    "starts": "starts --checkpoint {given}/disc --stores {given}/store --num-train 3 --num-val 1 --out {out}",
    "finish": "finish --run {given}/run --stores {given}/store --out {out} --quick --set rewards.epochs=1 "
    "fidelity.windows=4 twin_per_task=0 probe_steps=5",
    "fidelity --json": "fidelity --checkpoint {given}/disc --store {given}/store --windows 4 --steps 5 --json {out}",
    "compare --json": "compare {given}/disc {given}/disc --store {given}/store --windows 4 --steps 5 --json {out}",
    "evaluate": f"evaluate hold random {POINT} {FEW} --out {{out}}",
    "evaluate --json": f"evaluate hold random {POINT} {FEW} --json {{out}}",
    "evaluate --record": f"evaluate hold {POINT} {FEW} --record {{out}}",
    "report": "report {given}/experiment --out {out}",
    "demo": "demo --out {out} --no-tune",
    "clone": f"diffusion-ppo clone --store {{given}}/demos --task reach_right {POINT} --out {{out}} --epochs 1",
    "tune": f"diffusion-ppo tune --policy {{given}}/policy --run {{out}} --env Dream-v0 {POINT} --num-envs 4 "
    "--horizon 8 --total-steps 64 --eval-every 1 --set eval_episodes=4",
    "diffusion-ppo demo": "diffusion-ppo demo --policy {given}/policy --out {out} --total-steps 64 --num-envs 4 "
    "--horizon 8 --episodes 4 --num-workers 0",
    "ship": "diffusion-ppo ship --policy {given}/policy --store {given}/demos --out {out} --episodes 4",
    "refinement": f"refinement train --store {{given}}/demos {POINT} --out {{out}} --steps 2 --batch-size 4 --chunk 2",
    "action-expert": "action-expert train --store {given}/clips --out {out} --steps 2 --batch-size 4",
    "warpd": "warpd train --store {given}/store --out {out} --vae-epochs 1 --diffusion-epochs 1 --width 8",
    "pull": "pull hf://nobody/nothing --out {out}",
    "play": f"play Dream-v0 {POINT} --record {{out}}",
}
"""Words of each, with the folder of what is given and the place of what is written."""

TASKS = ("go_right", "go_down")


def give(folder: Path) -> None:
    """Writes what takes no training."""
    from dreamgym_agents.diffusion_ppo import save_policy

    from dreamgym.evaluation.policies.batch import evaluate_all
    from dreamgym.evaluation.policies.config import EvaluationConfig

    make_store(folder / "store")
    write_store(folder / "demos")
    world = point_mass_checkpoint(folder / "point")
    save_policy(folder / "policy", make_policy("gaussian"), task="reach_right", world_model=str(world))
    cut_clips(_dots(folder / "dots"), folder / "clips", 9, progress=False)
    config = EvaluationConfig(episodes=4, horizon=4, split="val")
    list(evaluate_all(["hold"], str(world), "reach_right", config, out=folder / "experiment" / "evaluations"))


def give_trained(folder: Path) -> None:
    """Writes what `give` leaves out: trained models, a foreign data set, and a world model of several robots."""
    from dreamgym import cli

    make_world(folder / "store", folder)
    cli.main(["export", str(folder / "dots"), "--out", str(folder / "lerobot")])
    example = recipe("latent_action").example()
    for name, dim in (("panda_joints", 8), ("ur5e_pose", 7), ("kinova3_position", 4)):
        info = {**example.info, "robot": name, "action": {"low": [-1.0] * dim, "high": [1.0] * dim}}
        store = EpisodeStore.create(folder / name, {**example.keys, "action": ((dim,), "float32")}, info)
        store.append([({**rows, "action": rows["action"][:, :dim]}, dict(meta)) for rows, meta in example.episodes])
    join([folder / "panda_joints", folder / "ur5e_pose"], folder / "both")
    settings = {**example.settings, "steps": 2}
    train(folder / "both", folder / "robots.run", "latent_action", changes=example.changes, **settings)
    checkpoint.save(folder / "robots", load_run(folder / "robots.run"))


def _dots(path: Path) -> EpisodeStore:
    """Demonstrations, nine rows each, of a bright square that goes right or down."""
    info = {"action": {"low": [-1.0, -1.0], "high": [1.0, 1.0]}, "tasks": list(TASKS), "frame_rate": 10.0}
    store = EpisodeStore.create(path, {"rgb": ((16, 16, 3), "uint8"), "action": ((2,), "float32")}, info)
    for number in range(16):
        way, images = number % 2, np.zeros((9, 16, 16, 3), np.uint8)
        for t in range(9):
            y, x = (2 + number % 5, 2 + t) if way == 0 else (2 + t, 2 + number % 5)
            images[t, y : y + 2, x : x + 2] = 255
        rows = {"rgb": images, "action": np.tile(np.eye(2, dtype=np.float32)[way], (9, 1))}
        store.append([(rows, {"task": TASKS[way], "split": "val" if number % 4 == 3 else "train"})])
    return store
