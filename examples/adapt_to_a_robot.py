"""A dream that several robots share learns another robot from a small store, and plans for it.

Run it: ``python examples/adapt_to_a_robot.py DREAM``. DREAM is a run or a checkpoint of the family `latent_action`,
trained on robots of the suite `robosuite_arms` (docs/lac_wm.md). It collects 24 episodes of a robot that DREAM does not
know (two minutes on a quiet core), adapts (three minutes) and then, from frames of held-out episodes, asks which of 64
action sequences leads to where that episode was six frames later. The chosen one is carried out in the simulator.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from dreamgym.data import EpisodeStore, EpisodeView
from dreamgym.envs.simulators import make_simulator
from dreamgym.suites import suite
from dreamgym.suites.collection import collect_suite
from dreamgym.training.adapt import adapt
from dreamgym.training.train import load_run
from dreamgym.world_models.base import WorldModel

ROBOT = "xarm7_three_finger"
CAMERA = "rgb_static"


def collect(store: Path, episodes: int = 24) -> EpisodeStore:
    """Episodes of the new robot; successes, near misses and random motion in turn."""
    how = {"robot": ROBOT, "operators": ("okay", "clumsy", "random"), "max_steps": 200}
    tasks = ("move_cube", "move_can")
    return collect_suite(suite("robosuite_arms"), store, num_episodes=episodes, tasks=tasks, **how).store


def learn(dream: str | Path, store: Path, run: Path, steps: int = 600) -> WorldModel:
    """The dream's model with the new robot, adapted in three stages."""
    adapt(dream, store, run, steps=steps, batch_size=12, eval_every=0)
    return load_run(run)


def proposals(episodes: EpisodeView, number: int, length: int, seed: int = 0) -> torch.Tensor:
    """Action sequences [N, length, A] from anywhere in the episodes: what the robot is known to do."""
    rng, found = np.random.default_rng(seed), []
    long = [i for i, n in enumerate(episodes.lengths) if n >= length]
    for i in rng.choice(long, number):
        start = int(rng.integers(int(episodes.lengths[i]) - length + 1))
        found.append(episodes.episode(int(i), ["action"], start, start + length)["action"])
    return torch.from_numpy(np.stack(found))


@torch.no_grad()
def features(model: WorldModel, image: np.ndarray) -> torch.Tensor:
    """[Z] of an image (H, W, 3)."""
    return model.features(seen(model, image))[0]


def seen(model: WorldModel, image: np.ndarray) -> dict[str, torch.Tensor]:
    """The state in which an image (H, W, 3) is the first frame."""
    return model.start({CAMERA: torch.from_numpy(np.array(image)).movedim(-1, 0)[None, None]})


@torch.no_grad()
def plan(model: WorldModel, image: np.ndarray, goal: np.ndarray, plans: torch.Tensor, keep: int = 3) -> torch.Tensor:
    """The mean of the ``keep`` sequences whose imagined last frames come nearest to the goal's; [length, A]."""
    state = {key: value.repeat_interleave(len(plans), 0) for key, value in seen(model, image).items()}
    *_, last = model.unroll(state, plans)
    values = -(model.features(last) - features(model, goal)).norm(dim=1)
    return plans[values.topk(keep).indices].mean(0)


def main(dream: str, frames: int = 6) -> None:
    """All of it, in a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory() as scratch:
        store = collect(Path(scratch) / "store")
        model = learn(dream, store.path, Path(scratch) / "run")
        length = frames * model.spec.actions_per_frame
        train, held_out = (store.select(split=split) for split in ("train", "val"))
        plans = proposals(train, 64, length)
        env = make_simulator({"id": "robosuite_arms", "kwargs": {"robot": ROBOT}})
        for i in range(len(held_out)):
            rows = held_out.episode(i, [CAMERA, "snapshot"])
            start, goal = rows[CAMERA][20], rows[CAMERA][20 + length]
            obs, _ = env.reset(options={"snapshot": rows["snapshot"][20]})
            for action in plan(model, start, goal, plans).numpy():
                obs, *_ = env.step(action)
            wanted = features(model, goal)
            before, after = ((features(model, image) - wanted).norm().item() for image in (start, obs[CAMERA]))
            print(f"episode {i}: distance to the goal {before:.2f} before, {after:.2f} after the chosen sequence")
        env.close()


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(*sys.argv[1:2])
