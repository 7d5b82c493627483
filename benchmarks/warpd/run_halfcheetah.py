"""Does WARPD give back ways of going? Gaits of HalfCheetah, encoded, generated, imitated (A.7.1, Fig. 16-17, Table 5).

    python benchmarks/warpd/run_halfcheetah.py --folder FOLDER --runs RUNS --preset tiny

Finds the gaits (`gaits.py`), records 64 trajectories of 1000 steps of each into DATA (with a little noise on the
actions, as D4RL's policies have), trains WARPD and a perceptron of 5 x 512 that is told the gait, and runs what they
give in the simulator. Half of the trajectories are for training; the other half is the "same as source" of Table 5.

Writes benchmarks/results/warpd_halfcheetah.json: rows {behaviour, policy, length, seed, js, symmetric_kl, return_mean,
return_std, front, back, episodes}; ``policy`` is sos, mlp, vae (decoded from each training trajectory) or diffusion
(generated for the gait); ``length`` that of the snippets which the VAE encodes, 1000 the whole. Of the foot contacts of
``episodes`` runs (for each run the share of steps at which a foot touches the ground): ``js``, the Jensen-Shannon
divergence from the source in nats, between Gaussian kernel densities, at most ln 2 = 0.69; ``symmetric_kl``, between
normal distributions (the paper does not say how it estimates; its figures pass ln 2); ``front`` and ``back``, means. A
row that is there is not computed again, a search or a training that was killed goes on, and pictures are drawn beside
the JSON: of contacts (Fig. 16), and of the latents (Fig. 12, 13).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from dreamgym_agents.warpd import WARPD, Agent, Demonstrations, GeneratedPolicy, PlanningPolicy, WARPDConfig, train
from dreamgym_agents.warpd.recipes import configure, make_agent
from embedding import draw_latents
from gaits import ACTIONS, BEHAVIOURS, GAITS, NOISE, OBS, Cheetah, Linear, Search, search
from options import make_parser, settings, shrink, with_training
from plot import GAIT_POLICIES
from rows import Rows
from tqdm import tqdm

from dreamgym.data import EpisodeStore
from dreamgym.types import ActionSpec, Policy

KEY = ("behaviour", "policy", "length", "seed", "preset")
ACTION_NOISE = 0.1  # standard deviation
MLP_HIDDEN = (512,) * 5  # A.7.1: "a large (5-layer, 512 neurons each) behavior-conditioned MLP"
FLOOR = 0.005  # least width of a kernel: half a per cent of contact
SPLITS = ("train", "val")
SHOWN = 0  # the seed in the pictures

Act = Callable[[np.ndarray, np.random.Generator], np.ndarray]


# -- demonstrations --


def demonstrate(args: argparse.Namespace) -> EpisodeStore:
    """The store with ``args.trajectories`` of each behaviour in each split; adds what is missing."""
    acts = {NOISE: lambda obs, rng: rng.uniform(-1, 1, ACTIONS)} | {
        name: _noisy(search(gait, args.folder / "gaits" / name, Search(args.search_updates)))
        for name, gait in GAITS.items()
    }
    path = args.folder / "trajectories"
    keys = {"state": ((OBS,), "float32"), "action": ((ACTIONS,), "float32"), "contact": ((2,), "float32"),
            "reward": ((), "float32")}  # fmt: skip
    info = {"env": "HalfCheetah-v5", "steps": args.steps, "trajectories": args.trajectories}
    store = EpisodeStore.open(path) if path.exists() else EpisodeStore.create(path, keys, info)
    if store.info != info:
        raise SystemExit(f"{path} was recorded with {store.info}, now asked for {info}: choose another --folder")
    wanted = [(b, s, i) for i in range(args.trajectories) for s in SPLITS for b in BEHAVIOURS]
    cheetah = Cheetah()
    for number in tqdm(range(len(store), len(wanted)), desc="trajectories"):
        behaviour, split, _ = wanted[number]
        meta = {"task": behaviour, "operator": "gait", "split": split}
        store.append([(record(cheetah, acts[behaviour], args.steps, number), meta)])
    return store


def _noisy(policy: Linear) -> Act:
    def act(obs: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return np.clip(policy.act(obs) + ACTION_NOISE * rng.standard_normal(ACTIONS), -1.0, 1.0)

    return act


def record(cheetah: Cheetah, act: Act, steps: int, seed: int) -> dict[str, np.ndarray]:
    """One trajectory: state, action, contact and reward, a row a step."""
    obs, rng = cheetah.reset(seed), np.random.default_rng([7, seed])
    rows: dict[str, list[Any]] = {"state": [], "action": [], "contact": [], "reward": []}
    for _ in range(steps):
        action = act(obs, rng)
        after, reward, _, contact = cheetah.step(action)
        for name, value in zip(rows, (obs, action, contact, reward), strict=True):
            rows[name].append(value)
        obs = after
    return {k: np.array(v, np.float32) for k, v in rows.items()}


# -- what is compared --


def configured_for(args: argparse.Namespace, policy: str, demos: Demonstrations, length: int, seed: int) -> WARPDConfig:
    if policy == "mlp":
        length = min(args.lengths)  # it learns from single steps: whole trajectories would only be slow
    config = configure("locomotion", args.preset, demos, length=length, horizon=args.steps)
    config = replace(config, horizon=args.steps, condition="task")
    config = with_training(config, args, seed)
    if policy == "mlp":
        train = replace(config.train, diffusion_epochs=args.mlp_epochs or config.train.diffusion_epochs)
        config = replace(config, hidden=MLP_HIDDEN, train=train)
    return config


def trained_agent(args: argparse.Namespace, method: str, demos: Demonstrations, length: int, seed: int) -> Agent:
    config = configured_for(args, method, demos, length, seed)
    bounds = ActionSpec((-1.0,) * ACTIONS, (1.0,) * ACTIONS)
    run = args.runs / f"{method}_{args.preset}_{config.length}_{seed}"
    return train(make_agent(method, config, demos, bounds, args.preset), demos, run)


@torch.no_grad()
def latents(agent: WARPD, demos: Demonstrations) -> tuple[np.ndarray, dict[str, list[str]]]:
    """Means [N, D] of a snippet of every trajectory, and their gaits."""
    snippets = demos.snippets(torch.arange(len(demos)), agent.config.length, torch.Generator().manual_seed(0))
    return agent.vae.encode(*snippets)[0].numpy(), {"gait": [demos.tasks[i] for i in demos.task.tolist()]}


@torch.no_grad()
def decoded(agent: WARPD, demos: Demonstrations, behaviour: str) -> Policy:
    """The policies that the VAE makes of the training trajectories of a behaviour, one for each."""
    rows = (demos.task == demos.tasks.index(behaviour)).nonzero().flatten()
    snippets = demos.snippets(rows, agent.config.length, torch.Generator().manual_seed(0))
    return GeneratedPolicy(agent.vae, agent.vae.decode(agent.vae.encode(*snippets)[0]))


@torch.no_grad()
def run(policy: Policy, count: int, steps: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Shares of contact [count, 2] and returns [count] of ``count`` episodes at once."""
    cheetahs = [Cheetah() for _ in range(count)]
    generator = torch.Generator().manual_seed(seed)
    obs = np.stack([c.reset(100_000 + i) for i, c in enumerate(cheetahs)])
    carry, fresh = policy.start(count, generator), torch.ones(count, dtype=torch.bool)
    contact, total = np.zeros((count, 2)), np.zeros(count)
    for _ in range(steps):
        action, carry = policy.act(torch.from_numpy(obs).float(), carry, fresh, generator)
        fresh = torch.zeros(count, dtype=torch.bool)
        for i, (cheetah, chosen) in enumerate(zip(cheetahs, action.numpy(), strict=True)):
            obs[i], reward, _, touched = cheetah.step(np.clip(chosen, -1.0, 1.0).astype(np.float64))
            contact[i] += touched
            total[i] += reward
    for cheetah in cheetahs:
        cheetah.env.close()
    return contact / steps, total


# -- how alike --


def divergence(source: np.ndarray, other: np.ndarray, draws: int = 256) -> float:
    """Jensen-Shannon divergence, nats, between kernel densities of points [N, 2] and [M, 2]; 0 to ln 2."""
    width = np.maximum(source.std(0) * len(source) ** (-1 / 6), FLOOR)  # Scott's rule in two dimensions
    rng, total = np.random.default_rng(0), 0.0
    for points in (source, other):
        drawn = np.repeat(points, draws, 0) + width * rng.standard_normal((len(points) * draws, 2))
        own, *halves = (_density(drawn, p, width) for p in (points, source, other))
        total += 0.5 * float(np.log(own / (0.5 * sum(halves))).mean())
    return total


def _density(at: np.ndarray, points: np.ndarray, width: np.ndarray) -> np.ndarray:
    """[N]: up to a factor that all densities of this width share."""
    out = np.zeros(len(at))
    for point in points:
        out += np.exp(-0.5 * np.square((at - point) / width).sum(1))
    return out / len(points)


def symmetric_kl(source: np.ndarray, other: np.ndarray) -> float:
    """Mean of both KL divergences, nats, between normal distributions fitted to points [N, 2] and [M, 2]."""
    means = [p.mean(0) for p in (source, other)]
    covs = [np.cov(p.T) + FLOOR**2 * np.eye(2) for p in (source, other)]
    between = means[0] - means[1]
    total = 0.0
    for here, there in ((covs[0], covs[1]), (covs[1], covs[0])):
        inverse = np.linalg.inv(there)
        total += 0.25 * float(np.trace(inverse @ here) - 2 + between @ inverse @ between)
    return total


# -- rows and picture --


def measure_all(args: argparse.Namespace, store: EpisodeStore, rows: Rows) -> None:
    def source(behaviour: str, split: str) -> tuple[np.ndarray, np.ndarray]:
        view = store.select(task=behaviour, split=split)
        found = [view.episode(i, ["contact", "reward"]) for i in range(len(view))]
        return np.array([f["contact"].mean(0) for f in found]), np.array([f["reward"].sum() for f in found])

    def put(
        behaviour: str, policy: str, length: int, seed: int, contact: np.ndarray, total: np.ndarray, **told: Any
    ) -> None:
        original = source(behaviour, "train")[0]
        rows.put(
            behaviour=behaviour, policy=policy, length=length, seed=seed, preset=args.preset,
            js=round(divergence(original, contact), 4), symmetric_kl=round(symmetric_kl(original, contact), 4),
            return_mean=round(float(total.mean()), 1), return_std=round(float(total.std()), 1),
            front=round(float(contact[:, 0].mean()), 4), back=round(float(contact[:, 1].mean()), 4),
            episodes=len(total), contacts=np.round(contact, 4).tolist(), **told,
        )  # fmt: skip
        print({k: v for k, v in rows.data["rows"][-1].items() if k != "contacts"})

    for behaviour in BEHAVIOURS:
        for policy, split in (("original", "train"), ("sos", "val")):
            if not rows.has(behaviour=behaviour, policy=policy, length=args.steps, seed=0, preset=args.preset):
                put(behaviour, policy, args.steps, 0, *source(behaviour, split))
    view = store.select(split="train")
    demos = Demonstrations.from_store(view, "state", BEHAVIOURS)
    for seed in args.seeds:
        for length in args.lengths:
            agents: dict[str, Agent] = {}

            def agent(method: str, length: int = length, seed: int = seed, kept: dict[str, Agent] = agents) -> Agent:
                if method not in kept:
                    kept[method] = trained_agent(args, method, demos, length, seed)
                return kept[method]

            for policy in ("vae", "diffusion", *(("mlp",) if length == args.lengths[0] else ())):
                for behaviour in BEHAVIOURS:
                    key = {"behaviour": behaviour, "policy": policy, "length": length, "seed": seed}
                    how = settings(configured_for(args, policy, demos, length, seed))
                    if rows.has(how, **key, preset=args.preset):
                        continue
                    made = agent("mlp" if policy == "mlp" else "warpd")
                    if policy == "vae":
                        assert isinstance(made, WARPD)
                        if seed == SHOWN and behaviour == BEHAVIOURS[0]:
                            name = f"warpd_latents_halfcheetah_{length}_{seed}.png"
                            draw_latents(*latents(made, demos), args.out.with_name(name))
                        acting: Policy = decoded(made, demos, behaviour)
                    else:
                        acting = PlanningPolicy(made, behaviour)
                    contact, total = run(acting, args.trajectories, args.steps, seed)
                    put(**key, contact=contact, total=total, settings=how)


def draw(rows: list[dict[str, Any]], length: int, seed: int, preset: str, path: Path) -> None:
    """Fig. 16: contacts of the front foot against those of the back foot, by behaviour, a panel a policy."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    panels = ("original", "vae", "diffusion", "mlp")
    figure, axes = plt.subplots(
        1, len(panels), figsize=(4 * len(panels), 4.3), sharex=True, sharey=True, layout="constrained"
    )
    for axis, policy in zip(axes, panels, strict=True):
        for row in rows:
            # The gait itself and the perceptron have no snippets.
            wanted = policy == "original" or (row["seed"] == seed and (policy == "mlp" or row["length"] == length))
            if row["policy"] == policy and row["preset"] == preset and wanted:
                axis.scatter(*np.array(row["contacts"]).T, s=12, label=row["behaviour"])
        axis.set_title(GAIT_POLICIES[policy], loc="left")
        axis.set_xlabel("front foot on the ground")
    axes[0].set_ylabel("back foot on the ground")
    names, labels = axes[0].get_legend_handles_labels()
    figure.legend(names, labels, loc="outside lower center", ncols=len(labels))
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main() -> None:
    parser = make_parser(__doc__, "warpd_halfcheetah.json")
    parser.add_argument("--folder", type=Path, required=True, help="where gaits and trajectories are kept")
    parser.add_argument("--lengths", nargs="*", type=int, default=[1000, 100], help="of the snippets (A.6: 100)")
    parser.add_argument("--mlp-epochs", type=int, default=None, help="of the perceptron; those of the diffusion")
    parser.add_argument("--search-updates", type=int, default=Search.updates, help="of the search for a gait")
    parser.add_argument("--trajectories", type=int, default=32, help="of a behaviour in each half")
    parser.add_argument("--steps", type=int, default=1000, help="of a trajectory")
    args = parser.parse_args()
    small = {
        "folder": args.folder / "quick",
        "lengths": [40],
        "search_updates": 1,
        "trajectories": 4,
        "steps": 40,
        "mlp_epochs": 2,
    }
    shrink(args, **small)
    rows = Rows(args.out, KEY)
    measure_all(args, demonstrate(args), rows)
    for length in args.lengths:
        name = f"warpd_halfcheetah_{length}.png"
        if SHOWN in args.seeds:
            draw(rows.data["rows"], length, SHOWN, args.preset, args.out.with_name(name))


if __name__ == "__main__":
    main()
