"""Success in the simulator of an action expert that follows clips, by who made the clips.

    dreamgym action-expert train --store CLIPS --out EXPERT
    dreamgym action-expert train --store CLIPS --out ALONE --told-task
    python benchmarks/dvg/expert.py --run RUN --expert EXPERT --alone ALONE --store TEST --train CLIPS --episodes 10

TEST is a clip store with snapshots (``dreamgym clips --keys rgb_static scene_obs snapshot``): the simulator is put
where its clips begin. Writes rows {method, task, seed, success, episodes, outcomes} into
benchmarks/results/dvg_expert.json; a row of the same method, task and seed is replaced. An episode is one clip, 64
control steps: told once, carried out once.

Methods: "true_future", the recorded clip, which bounds the rest; "cascade", refined; "preview"; "monolithic";
"diffusion_policy", no world model: an expert that is told the task and sees the present frame alone. Controls:
"nearest_clip", the training clip of the task whose first frame is most similar; "first_frame", a clip that stands
still, so that whatever succeeds there does so without a future.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from dreamgym_agents.action_expert import load
from dreamgym_agents.action_expert.policy import ClipExecutor
from dreamgym_agents.common.settings import weights_id
from metrics import BATCH, Clips
from quality import cascade, controls, monolithic, opened
from torch import Tensor

from dreamgym.data import EpisodeStore
from dreamgym.envs.simulators import make_simulator
from dreamgym.provenance import provenance
from dreamgym.suites.facts import store_facts
from dreamgym.world_models.families.video_cascade import VideoCascade

RESULTS = Path(__file__).parents[1] / "results" / "dvg_expert.json"
FRESH = torch.ones(1, dtype=torch.bool)
CONTROLS = {"true_future": "recorded", "nearest_clip": "nearest_clip", "first_frame": "first_frame"}
"""What `quality.controls` calls them."""
METHODS = (*CONTROLS, "diffusion_policy", "preview", "cascade", "monolithic")


def episode(
    env: gym.Env, executor: ClipExecutor, clip: Tensor, snapshot: np.ndarray, task: str, generator: torch.Generator
) -> bool:
    """Whether the expert does the task along a clip [F, C, H, W] in [0, 1]."""
    camera, pictures = executor.expert.config.camera, (clip * 255).round().to(torch.uint8).movedim(1, -1)
    obs, _ = env.reset(options={"snapshot": snapshot, "task": task})
    carry = executor.begin(executor.start(1), FRESH, [task])
    carry = executor.follow(carry, FRESH, [{camera: p[None]} for p in pictures])
    for _ in range(len(clip)):
        acts, carry = executor.act({camera: torch.from_numpy(obs[camera])[None]}, carry, FRESH, generator)
        for action in acts[0].numpy():
            obs, _, _, _, info = env.step(action)
            if info["is_success"]:
                return True
    return False


def snapshots(store: EpisodeStore, split: str, clips: Clips) -> list[np.ndarray]:
    """Where the clips begin: of each its first row's, found by its first state."""
    view = store.select(split=split)
    rows = [view.episode(i, ["scene_obs", "snapshot"]) for i in range(len(view))]
    firsts = {r["scene_obs"][0].tobytes() + m["task"].encode(): r for r, m in zip(rows, view.metas, strict=True)}
    keys = [s[0].numpy().tobytes() + t.encode() for s, t in zip(clips.scene, clips.tasks, strict=True)]
    return [firsts[key]["snapshot"][0] for key in keys]


def put(path: Path, row: dict[str, Any]) -> None:
    """Writes a row in the place of that of the same method, task and seed."""
    kept = json.loads(path.read_text())["rows"] if path.exists() else []
    kept = [r for r in kept if any(r[k] != row[k] for k in ("method", "task", "seed"))]
    path.write_text(json.dumps({"rows": [*kept, row]}, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="of the cascade")
    parser.add_argument("--expert", type=Path, required=True, help="folder of an expert that follows clips")
    parser.add_argument("--alone", type=Path, help="folder of one that is told its task")
    parser.add_argument("--store", type=Path, required=True, help="clip store with snapshots")
    parser.add_argument("--train", type=Path, required=True, help="clip store of the training clips")
    parser.add_argument("--split", default="test")
    parser.add_argument("--episodes", type=int, default=10, help="of each task")
    parser.add_argument("--seed", type=int, default=0, help="of clips and actions")
    parser.add_argument("--methods", nargs="+", default=METHODS, choices=METHODS)
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    (model, updates), store = opened(args.run), EpisodeStore.open(args.store)
    facts = store_facts(store)
    clips = Clips.read(store, model, args.split, args.episodes * len(facts.tasks))
    begun = snapshots(store, args.split, clips)
    executors = {"follows": load(args.expert), **({"alone": load(args.alone)} if args.alone else {})}
    settings = {"scene": store.info["scene"], "cameras": ("static",), "image_size": model.config.image[1:]}
    assert facts.suite is not None
    env = make_simulator({"id": facts.suite.name, "kwargs": settings})
    train = Clips.read(EpisodeStore.open(args.train), model, "train")
    methods = [m for m in args.methods if m != "diffusion_policy" or args.alone]
    for method, frames in imagined(model, clips, train, args.seed, methods):
        executor = executors["alone" if method == "diffusion_policy" else "follows"]
        done: dict[str, list[int]] = {}
        for i, task in enumerate(clips.tasks):
            noise = torch.Generator().manual_seed(1000 * args.seed + i)
            done.setdefault(task, []).append(int(episode(env, executor, frames[i], begun[i], task, noise)))
        used = provenance({"model": weights_id(model), "expert": weights_id(executor.expert)})
        for task, outcomes in done.items():
            row = {"method": method, "task": task, "seed": args.seed, "success": float(np.mean(outcomes))}
            put(args.out, row | {"episodes": len(outcomes), "outcomes": outcomes, "updates": updates, **used})
        print(method, {t: f"{sum(o)}/{len(o)}" for t, o in done.items()}, flush=True)
    env.close()


def imagined(
    model: VideoCascade, clips: Clips, train: Clips, seed: int, methods: Sequence[str]
) -> Iterator[tuple[str, Tensor]]:
    """Name and clips [N, F, C, H, W] of each method."""
    plain = {m.method: m.frames for m in controls(model, clips, train)}
    for method in methods:
        if method in CONTROLS:
            yield method, plain[CONTROLS[method]]
        elif method == "diffusion_policy":
            yield method, plain["first_frame"]  # never looked at
        elif method == "monolithic":
            yield method, monolithic(model, clips, seed, BATCH).frames
    if {"preview", "cascade"} & set(methods):
        for made in cascade(model, clips, seed, [model.config.refiner_steps], BATCH):
            name = {"refined": "cascade"}.get(made.method, made.method)
            if name in methods:
                yield name, made.frames


if __name__ == "__main__":
    main()
