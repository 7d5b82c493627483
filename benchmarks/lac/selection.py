"""LAC-WM, section 6.2: a policy's proposals ranked by a world model, in the simulator, with objects new to it.

    python benchmarks/lac/selection.py --work WORK --stores STORES       # with the models that `models.py` has trained

The policy is a diffusion policy of the held-out robot, cloned from its successful demonstrations and shown the
simulator's state: it stands where the paper has a VLA. An episode begins where a demonstration of STORES/held_out_* (or
a held-out one of the robot's own store, "val") began; that demonstration's frames, every ``--steps`` control steps, are
its subgoals. For each subgoal the policy proposes ``--candidates`` sequences, and the world model imagines all of them
from the frame that is seen; the ``--keep`` whose last frames come nearest to the subgoal are averaged and carried out.
"mean" averages all proposals, "random" takes any one; neither asks a world model.

A row, kept in WORK/rows: {method, robots, split, seed, success, lift, contact, delta_f, delta_f_goal, episodes} and
each episode's outcome. success (S.R.): put down elsewhere; lift (S.R.L) and contact (S.R.C): lifted, touched.
delta_f: distance between the features of a subgoal and of the frame that was reached, mean over subgoals; delta_f_goal:
of the last frame to the last subgoal. All models read one frozen encoder: these are distances in one space.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from dreamgym_agents.action_selection import SelectionConfig, chosen, subgoals
from dreamgym_agents.common.encoded import EncodedChunks
from dreamgym_agents.common.settings import weights_id
from dreamgym_agents.diffusion_ppo import CloneConfig, DiffusionConfig, DiffusionPolicy, clone, load_policy, save_policy
from imagined_rollouts import SPLITS, view_of
from models import VARIANTS, Models, add_options
from torch import Tensor

from dreamgym.data.store import EpisodeView
from dreamgym.provenance import provenance
from dreamgym.sims.robosuite_arms.embodiments import EMBODIMENTS, HELD_OUT
from dreamgym.sims.robosuite_arms.env import ArmsEnv
from dreamgym.types import State
from dreamgym.world_models.base import WorldModel

BASELINES = ("mean", "random")
CAMERA = "rgb_static"
LEAST_STD = 0.01
"""Of a state's entries: those that hardly vary are not blown up."""
OUTCOMES = {"success": "is_success", "lift": "lifted", "contact": "contact"}
"""Fields of a row, and what the simulator calls them."""


@dataclass(frozen=True)
class Demonstration:
    """An episode's beginning and its frames.

    Attributes:
        snapshot: of the simulator, at the first frame.
        frames: [T, H, W, 3] uint8, one for each frame of the world model.
    """

    task: str
    snapshot: np.ndarray
    frames: np.ndarray


def demonstrations(view: EpisodeView, number: int, per_frame: int) -> list[Demonstration]:
    """The first ``number`` successful ones of a split, tasks in turn.

    Raises:
        ValueError: there are fewer.
    """
    good = [i for i, m in enumerate(view.metas) if m["success"] and m["operator"] != "random"]
    tasks = [view.metas[i]["task"] for i in good]
    turn = [tasks[:n].count(task) for n, task in enumerate(tasks)]
    order = [good[i] for i in np.argsort(turn, kind="stable")][:number]
    if len(order) < number:
        raise ValueError(f"{view.path} has {len(good)} successful episodes of the {number} wanted: collect more")
    found = []
    for i in order:
        rows = view.episode(i, [CAMERA, "snapshot"])
        frames = rows[CAMERA][::per_frame]
        found.append(Demonstration(view.metas[i]["task"], rows["snapshot"][0], frames))
    return found


@dataclass(frozen=True)
class Proposer:
    """A cloned policy on the simulator's state, which is standardised by its training data."""

    policy: DiffusionPolicy
    mean: Tensor
    std: Tensor

    @torch.no_grad()
    def propose(self, state: np.ndarray, number: int, generator: torch.Generator) -> Tensor:
        """Sequences [N, T, A] for a state (d,)."""
        features = ((torch.from_numpy(state) - self.mean) / self.std).expand(number, -1)
        noise = self.policy.draw_noise(number, generator)
        return self.policy.to_actions(self.policy.decide(features, noise))


def proposer(models: Models, seed: int, steps: int, epochs: int) -> Proposer:
    """The policy that proposes sequences of ``steps`` control steps, cloned unless it is there."""
    folder = models.work / "policies" / f"{steps}_{epochs}_{seed}"
    scale = Path(f"{folder}.json")
    if not (folder / "config.json").is_file():
        states, chunks = _pairs(demonstrated(models), steps)
        mean, std = states.mean(0), states.std(0).clamp(min=LEAST_STD)
        data = EncodedChunks((states - mean) / std, chunks, len(demonstrated(models)))
        config = replace(DiffusionConfig.tiny(states.shape[1], EMBODIMENTS[HELD_OUT].action), chunk=steps)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)  # the network's first weights
            made = DiffusionPolicy(config)
        clone(made, data, replace(CloneConfig.tiny(), epochs=epochs, seed=seed), Path(f"{folder}.run"))
        scale.write_text(json.dumps({"mean": mean.tolist(), "std": std.tolist()}) + "\n")
        save_policy(folder, made.eval(), metrics={"clone_epochs": epochs, "seed": seed})
    loaded, kept = load_policy(folder), json.loads(scale.read_text())
    assert isinstance(loaded, DiffusionPolicy)
    return Proposer(loaded, torch.tensor(kept["mean"]), torch.tensor(kept["std"]))


def _pairs(view: EpisodeView, steps: int) -> tuple[Tensor, Tensor]:
    """States [N, d] and the actions [N, steps, A] from each on; beyond the end the last one again."""
    states, chunks = [], []
    for i in range(len(view)):
        rows = view.episode(i, ["state", "action"])
        last = len(rows["action"]) - 1
        states.append(torch.from_numpy(np.array(rows["state"])))
        index = np.minimum(np.arange(last + 1)[:, None] + np.arange(steps), last)
        chunks.append(torch.from_numpy(np.array(rows["action"])[index]))
    return torch.cat(states), torch.cat(chunks)


def demonstrated(models: Models) -> EpisodeView:
    """Successful training episodes of the held-out robot, of operators that demonstrate."""
    return view_of(models, "train").select(
        where=lambda meta: bool(meta["success"]) and meta["operator"] not in ("random", "clumsy")
    )


class Chooser:
    """Chooses among proposals by a world model, or without one.

    Args:
        model: the world model; of the baselines, one whose encoder measures distances.
        config: how many proposals, how long, how many are averaged.
    """

    def __init__(self, model: WorldModel, config: SelectionConfig) -> None:
        self.model, self.config = model, config

    @torch.no_grad()
    def goals(self, frames: np.ndarray) -> Tensor:
        """Features [G, Z] of subgoals from a demonstration's frames [T, H, W, 3]."""
        images = torch.from_numpy(np.array(frames)).movedim(-1, 1)[:, None]
        return subgoals(self.model.features(self.model.start({CAMERA: images})), self.config.frames)

    def seen(self, image: np.ndarray) -> State:
        """The state in which an image (H, W, 3) is the first frame."""
        return self.model.start({CAMERA: torch.from_numpy(np.array(image)).movedim(-1, 0)[None, None]})

    @torch.no_grad()
    def distance(self, image: np.ndarray, goal: Tensor) -> float:
        """Of the features of an image (H, W, 3) to a goal's [Z]."""
        return float((self.model.features(self.seen(image)) - goal).norm())

    @torch.no_grad()
    def choose(self, image: np.ndarray, plans: Tensor, goal: Tensor) -> Tensor:
        """[p * a, A] of proposals [N, p * a, A] for a goal [Z]."""
        values = torch.zeros(1, len(plans))
        if self.config.method == "rank":
            state = {k: v.repeat_interleave(len(plans), 0) for k, v in self.seen(image).items()}
            *_, last = self.model.unroll(state, plans)
            values = -(self.model.features(last) - goal).norm(dim=1)[None]
        return chosen(self.config, plans[None], values)[0]


def episode(
    env: ArmsEnv, chooser: Chooser, proposer: Proposer, shown: Demonstration, decisions: int, seed: int
) -> dict[str, float]:
    """Outcomes and distances of one episode, which ends with success."""
    generator, goals = torch.Generator().manual_seed(seed), chooser.goals(shown.frames)
    obs, _ = env.reset(options={"snapshot": shown.snapshot, "task": shown.task})
    reached, gaps = dict.fromkeys(OUTCOMES, False), []
    for i in range(max(decisions, len(goals))):
        goal = goals[min(i, len(goals) - 1)]
        plans = proposer.propose(obs["state"], chooser.config.candidates, generator)
        for action in chooser.choose(_image(env), plans, goal).numpy():
            obs, _, _, _, info = env.step(action)
            reached = {name: reached[name] or bool(info[key]) for name, key in OUTCOMES.items()}
            if reached["success"]:
                break
        gaps.append(chooser.distance(_image(env), goal))
        if reached["success"]:
            break
    done = {name: float(value) for name, value in reached.items()}
    last = chooser.distance(_image(env), goals[-1])
    return {**done, "delta_f": float(np.mean(gaps[: len(goals)])), "delta_f_goal": last}


def _image(env: ArmsEnv) -> np.ndarray:
    image = env.render()
    assert image is not None
    return image


def measured(
    env: ArmsEnv, chooser: Chooser, proposer: Proposer, shown: Sequence[Demonstration], seed: int, decisions: int
) -> dict[str, Any]:
    """A row's figures over demonstrations."""
    found = [episode(env, chooser, proposer, one, decisions, 1000 * seed + i) for i, one in enumerate(shown)]
    out: dict[str, Any] = {key: float(np.mean([f[key] for f in found])) for key in found[0]}
    digits = {f"{name}_outcomes": "".join(str(int(f[name])) for f in found) for name in OUTCOMES}
    distances = {f"{name}_each": [round(f[name], 4) for f in found] for name in ("delta_f", "delta_f_goal")}
    return {**out, "episodes": len(found), **digits, **distances}


def main(args: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    parser.add_argument("--splits", nargs="+", default=list(SPLITS), choices=["val", *SPLITS])
    parser.add_argument("--episodes", type=int, default=20, help="of a split")
    parser.add_argument("--candidates", type=int, default=16, help="N")
    parser.add_argument("--steps", type=int, default=30, help="p, control steps of a proposal and between subgoals")
    parser.add_argument("--keep", type=int, default=3, help="k")
    parser.add_argument("--decisions", type=int, default=8, help="of an episode")
    parser.add_argument("--epochs", type=int, default=200, help="of cloning")
    parser.add_argument("--baselines", nargs="*", default=list(BASELINES), choices=BASELINES)
    options = parser.parse_args(args)
    torch.set_num_threads(1)
    models, env = Models(options), None
    methods = [*options.baselines, *(name for name in options.models if VARIANTS[name].adapted)]
    for seed in options.seeds:
        for split in options.splits:
            for method in methods:

                def make(method: str = method, seed: int = seed, split: str = split) -> dict[str, Any]:
                    nonlocal env
                    env = env or ArmsEnv(None, HELD_OUT, None, "all", "rgb_array", ())
                    baseline = method in BASELINES
                    model = models.opened(options.models[0] if baseline else method, seed)
                    a = model.spec.actions_per_frame
                    config = SelectionConfig(
                        method if baseline else "rank", options.candidates, options.steps // a, options.keep
                    )
                    own = proposer(models, seed, options.steps, options.epochs)
                    shown = demonstrations(view_of(models, split), options.episodes, a)
                    found = measured(env, Chooser(model, config), own, shown, seed, options.decisions)
                    robots = 0 if baseline else VARIANTS[method].robots
                    hashes = {"policy": weights_id(own.policy), "model": weights_id(model)}
                    return {"robots": robots, **found, **provenance(hashes)}

                models.row("selection", make, method=method, split=split, seed=seed)
    if env is not None:
        env.close()


if __name__ == "__main__":
    main()
