"""What the VAE gives back: decoder sizes (A.4, Fig. 9), KL weights (A.4.1, Fig. 10), the latent space (4.4, A.6).

    python benchmarks/warpd/run_ablations.py decoder --suite metaworld --store STORE --runs RUNS --lengths 200 50
    python benchmarks/warpd/run_ablations.py kl --suite pusht --store STORE --runs RUNS --lengths 32
    python benchmarks/warpd/run_ablations.py spread --suite pusht --store STORE --runs RUNS --lengths 32  # of kl's VAEs
    python benchmarks/warpd/run_ablations.py latents --suite robosuite --store STORE --runs RUNS --lengths 250 50
    python benchmarks/warpd/run_ablations.py latents --suite metaworld --store STORE --runs RUNS --lengths 200 50

The store must hold snapshots. Only the VAE is trained. A snippet of a held-out demonstration is encoded and decoded,
and the policy that comes is run in the simulator from the snapshot at which the snippet begins, for as long as it
lasts. A snippet begins before the demonstration's first success. PushT's actions count from the disc, as in
`run_pusht.py`.

Writes benchmarks/results/warpd_ablations.json: rows {ablation, suite, decoder, parameters, kl_weight, length, seed,
success, demonstrated, final_mse, episodes}; ``decoder`` names the hidden layers of Table 8, ``parameters`` counts the
decoder's (of the tiny preset, with a smaller latent for smaller policies, a tenth of the table's). ``success`` and
``demonstrated`` are the share of runs, and of the snippets themselves, that come to success; ``final_mse`` the squared
distance of the last states, of standardised entries. For `latents` {nearest_centroid, chance, by}: the share of
held-out snippets whose nearest class mean is their own, by operator (within each task) and by task; and a picture
beside the JSON, of principal components and t-SNE. For `spread` (Fig. 11) {nats, dimensions}: what the encoder tells of
a held-out snippet, its KL from the standard normal, and over how many directions the means spread, the participation
ratio of their variances; and a picture of the first two components at each KL weight. A length that no demonstration
exceeds takes them whole, padded with their last row.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from dreamgym_agents.common.selection import select_demonstrations
from dreamgym_agents.warpd import WARPD, Demonstrations, GeneratedPolicy, WARPDConfig, train
from dreamgym_agents.warpd.policy import counted
from dreamgym_agents.warpd.recipes import as_learned, bounds, configure, make_agent, read_demonstrations
from dreamgym_agents.warpd.sizes import DECODERS
from dreamgym_agents.warpd.vae import kl_to_standard_normal
from embedding import draw_latents, draw_side_by_side
from methods import action_spec
from options import make_parser, settings, shrink, with_training
from rows import Rows
from sklearn.neighbors import NearestCentroid
from torch import Tensor

from dreamgym.data import EpisodeStore, EpisodeView
from dreamgym.suites import suite as suite_by_name

KL_WEIGHTS = (1e-2, 1e-7, 1e-9, 1e-10)  # the paper's three, and one that is felt beside the other losses
VAE_LR = 3e-4
KEY = ("ablation", "suite", "decoder", "kl_weight", "length", "seed", "by", "preset")
# Ablation -> decoder and KL weight of each variant: Tables 9 and 11 where the other one is varied.
VARIANTS: dict[str, list[tuple[str, float]]] = {
    "decoder": [(size, 1e-6) for size in DECODERS],
    "kl": [("l", weight) for weight in KL_WEIGHTS],
    "latents": [("s", 1e-6)],
}
VARIANTS["spread"] = VARIANTS["kl"]


def configured(
    args: argparse.Namespace, demos: Demonstrations, decoder: str, kl: float, length: int, seed: int
) -> WARPDConfig:
    config = configure(args.suite, args.preset, demos, length=length, horizon=length)
    config = replace(config, vae=replace(config.vae, decoder=DECODERS[decoder], kl_weight=kl))
    # Table 9's rate for every size: at the tiny preset's, the larger decoders diverge.
    return with_training(replace(config, train=replace(config.train, vae_lr=VAE_LR)), args, seed)


def train_vae(args: argparse.Namespace, demos: Demonstrations, config: WARPDConfig, name: str) -> WARPD:
    env, padded = suite_by_name(args.suite).make(horizon=None), demos.padded(config.length)
    action = bounds(demos) if args.suite == "pusht" else action_spec(env)
    env.close()
    agent = make_agent("warpd", config, padded, action, args.preset)
    assert isinstance(agent, WARPD)
    return train(agent, padded, args.runs / name, stages=["vae"])


def undone_starts(success: np.ndarray, length: int) -> int:
    """How many rows a snippet of ``length`` of an episode with these marks [T] may begin at: before the success."""
    before = int(np.argmax(success)) if success.any() else len(success)
    return max(1, min(before, len(success) - length + 1))


@torch.no_grad()
def give_back(agent: WARPD, held_out: EpisodeView, suite: str, length: int, episodes: int) -> dict[str, float]:
    """Decoded policies run from where their snippets began."""
    env, rng = suite_by_name(suite).make(horizon=None), np.random.default_rng(0)
    success, demonstrated, distance = [], [], []
    for i in rng.choice(len(held_out), episodes):
        first = int(rng.integers(undone_starts(np.array(held_out.episode(int(i), ["success"])["success"]), length)))
        rows = held_out.episode(int(i), start=first, stop=min(first + length + 1, int(held_out.lengths[i])))
        # What is shorter than a snippet goes on with its last row, as it did in training.
        index = np.arange(length).clip(max=len(rows["state"]) - 1)
        obs, action = (torch.tensor(np.array(rows[k])[index])[None] for k in ("state", "action"))
        learned = counted(action, obs, agent.config)
        policy = GeneratedPolicy(agent.vae, agent.vae.decode(agent.vae.encode(obs, learned)[0]))
        now, info = env.reset(options={"task": held_out.metas[i]["task"], "snapshot": np.array(rows["snapshot"][0])})
        done = False
        for _ in range(len(rows["state"]) - 1):  # as many steps as have a recorded end
            act, _ = policy.act(torch.tensor(now["state"])[None], None, torch.tensor([False]))
            now, _, _, _, info = env.step(act[0].double().numpy())
            done = done or bool(info["is_success"])
        ends = [agent.scaling.observe(torch.tensor(np.array(x))) for x in (now["state"], rows["state"][-1])]
        distance.append(float((ends[0] - ends[1]).square().mean()))
        success.append(done)
        demonstrated.append(bool(rows["success"].any()))
    env.close()
    means = {"success": success, "demonstrated": demonstrated, "final_mse": distance}
    return {k: round(float(np.mean(v)), 5) for k, v in means.items()}


@torch.no_grad()
def latents(agent: WARPD, view: EpisodeView, suite: str, length: int) -> Tensor:
    """Mean latents [N, D], of a random snippet of each episode, or of all of it where it is not longer."""
    demos = as_learned(Demonstrations.from_store(view, "state"), suite, "warpd").padded(length)
    snippets = demos.snippets(torch.arange(len(demos)), length, torch.Generator().manual_seed(0))
    return agent.vae.encode(*snippets)[0]


def nearest_centroid(
    seen: np.ndarray, labels: Sequence[str], held: np.ndarray, truth: Sequence[str], groups: Sequence[Sequence[str]]
) -> float:
    """Share of ``held`` [N, D] whose nearest class mean of ``seen`` is that of their own label.

    ``groups``: of the points of ``seen`` and ``held``, what is known of them: only means of their own group count.
    """
    right = 0
    for group in sorted(set(groups[1])):
        ours, theirs = (np.array([g == group for g in of]) for of in groups)
        found = NearestCentroid().fit(seen[ours], np.array(labels)[ours]).predict(held[theirs])
        right += int((found == np.array(truth)[theirs]).sum())
    return round(right / len(held), 4)


def describe_latents(
    agent: WARPD,
    seen: EpisodeView,
    held_out: EpisodeView,
    key: dict[str, Any],
    how: dict[str, Any],
    rows: Rows,
    args: argparse.Namespace,
) -> None:
    """Rows and the picture of `latents`."""
    z, held = (latents(agent, view, args.suite, key["length"]).numpy() for view in (seen, held_out))
    known = [n for n in ("operator", "task") if len({m[n] for m in seen.metas}) > 1]
    labels = {by: [m[by] for m in seen.metas] for by in known}
    name = f"warpd_latents_{args.suite}_{key['length']}_{key['seed']}.png"
    draw_latents(z, labels, args.out.with_name(name))
    for by, names in labels.items():
        # Tasks lie further apart than operators: whose hand it was is asked within each task.
        groups = [["" if by == "task" else m["task"] for m in view.metas] for view in (seen, held_out)]
        found = nearest_centroid(z, names, held, [m[by] for m in held_out.metas], groups)
        chance = round(1 / len(set(names)), 4)
        rows.put(**key, by=by, nearest_centroid=found, chance=chance, settings=how)
        print(rows.data["rows"][-1])


@torch.no_grad()
def spread(agent: WARPD, demos: Demonstrations, length: int) -> tuple[dict[str, float], np.ndarray]:
    """Figures of `spread` for a snippet of each demonstration, and the means [N, D]."""
    snippets = demos.padded(length).snippets(torch.arange(len(demos)), length, torch.Generator().manual_seed(0))
    mean, log_std = agent.vae.encode(*snippets)
    variances = np.linalg.eigvalsh(np.cov(mean.numpy().T))
    nats = float(kl_to_standard_normal(mean, log_std).mean()) / 2  # as printed it is twice the KL
    dimensions = float(variances.sum() ** 2 / np.square(variances).sum())
    return {"nats": round(nats, 2), "dimensions": round(dimensions, 2)}, mean.numpy()


def main() -> None:
    parser = make_parser(__doc__, "warpd_ablations.json", "the store of demonstrations, with snapshots")
    parser.add_argument("ablation", choices=tuple(VARIANTS))
    parser.add_argument("--suite", choices=["metaworld", "pusht", "robosuite"], required=True)
    parser.add_argument("--lengths", nargs="*", type=int, default=[50])
    parser.add_argument("--episodes", type=int, default=50)
    args = parser.parse_args()
    shrink(args, lengths=[20], episodes=2)
    rows, demos = Rows(args.out, KEY), as_learned(read_demonstrations(args.store), args.suite, "warpd")
    store = EpisodeStore.open(args.store)
    held_out, seen = select_demonstrations(store, split="val"), select_demonstrations(store)
    for seed in args.seeds:
        for length in args.lengths:
            means: dict[str, np.ndarray] = {}
            for decoder, kl in VARIANTS[args.ablation][: 1 if args.quick else None]:
                key = {"ablation": args.ablation, "suite": args.suite, "decoder": decoder, "kl_weight": kl,
                       "length": length, "seed": seed, "preset": args.preset}  # fmt: skip
                config = configured(args, demos, decoder, kl, length, seed)
                how = settings(config)
                # The picture of `spread` needs all of its VAEs, and they are there.
                there = any(rows.has(how, **key, by=by) for by in (None, "operator", "task"))
                if there and args.ablation != "spread":
                    continue
                name = f"vae_{args.suite}_{args.preset}_{decoder}_{kl:g}_{length}_{seed}"
                agent = train_vae(args, demos, config, name)
                if args.ablation == "spread":
                    view = as_learned(Demonstrations.from_store(held_out, "state"), args.suite, "warpd")
                    figures, means[f"KL weight {kl:g}"] = spread(agent, view, length)
                    rows.put(**key, **figures, settings=how)
                    print(rows.data["rows"][-1])
                    continue
                if args.ablation == "latents":
                    describe_latents(agent, seen, held_out, key, how, rows, args)
                    continue
                figures = give_back(agent, held_out, args.suite, length, args.episodes)
                size = sum(p.numel() for p in agent.vae.decoder.parameters())
                rows.put(**key, **figures, parameters=size, episodes=args.episodes, settings=how)
                print(rows.data["rows"][-1])
            if means and seed == 0:  # of which the page shows latents
                draw_side_by_side(means, args.out.with_name(f"warpd_spread_{args.suite}_{length}.png"))


if __name__ == "__main__":
    main()
