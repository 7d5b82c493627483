"""What the VAE gives back: decoder sizes (A.4, Fig. 9), KL weights (A.4.1, Fig. 10), the latent space (4.4, Fig. 7).

    python benchmarks/warpd/run_ablations.py decoder --suite metaworld --data DATA --runs RUNS --lengths 200 50
    python benchmarks/warpd/run_ablations.py kl --suite pusht --data DATA --runs RUNS --lengths 32
    python benchmarks/warpd/run_ablations.py latents --suite robosuite --data DATA --runs RUNS --lengths 100

The store must hold snapshots. Only the VAE is trained. A held-out snippet is encoded and decoded, and the policy that
comes is run in the simulator from the snapshot at which the snippet begins, for as long as it lasts.

Writes benchmarks/results/warpd_ablations.json: rows {ablation, suite, decoder, kl_weight, length, seed, success,
demonstrated, final_mse, episodes}: the share of runs, and of the snippets themselves, that end in success; the squared
distance of the last states, of standardised entries. For `latents` {nearest_centroid, by}: the share of held-out
trajectories whose nearest class mean is their own, by operator and by task; and a picture beside the JSON.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from dreamgym_agents.warpd import WARPD, Demonstrations, train
from dreamgym_agents.warpd.config import DECODERS
from methods import action_spec, configure, make_agent, read_demonstrations, select
from rows import RESULTS, Rows
from torch import Tensor

from dreamgym.data import EpisodeView
from dreamgym.data.state_demonstrations import OPERATORS, make_suite

KL_WEIGHTS = (1e-7, 1e-9, 1e-10)
KEY = ("ablation", "suite", "decoder", "kl_weight", "length", "seed", "by")


def train_vae(
    args: argparse.Namespace, demos: Demonstrations, decoder: str, kl: float, length: int, seed: int
) -> WARPD:
    config = configure(args.suite, args.preset, demos, length=length, horizon=length)
    config = replace(config, vae=replace(config.vae, decoder=DECODERS[decoder], kl_weight=kl))
    epochs = config.train.vae_epochs if args.vae_epochs is None else args.vae_epochs
    config = replace(config, train=replace(config.train, seed=seed, vae_epochs=epochs))
    env = make_suite(args.suite)
    agent = make_agent("warpd", config, demos.padded(length), action_spec(env), args.preset)
    env.close()
    assert isinstance(agent, WARPD)
    run = args.runs / f"vae_{args.suite}_{args.preset}_{decoder}_{kl:g}_{length}_{seed}"
    return train(agent, demos.padded(length), run, stages=["vae"])


@torch.no_grad()
def give_back(agent: WARPD, held_out: EpisodeView, suite: str, length: int, episodes: int) -> dict[str, float]:
    """Decoded policies run from where their snippets began."""
    env, rng = make_suite(suite), np.random.default_rng(0)
    success, demonstrated, distance = [], [], []
    usable = [i for i in range(len(held_out)) if held_out.lengths[i] > length]
    if not usable:
        raise SystemExit(f"no held-out episode has more than {length} rows: collect longer ones")
    for i in rng.choice(usable, episodes):
        first = int(rng.integers(held_out.lengths[i] - length))
        rows = held_out.episode(int(i), start=first, stop=first + length + 1)
        obs, action = (torch.tensor(np.array(rows[k][:length]))[None] for k in ("state", "action"))
        theta = agent.vae.decode(agent.vae.encode(obs, action)[0])
        now, info = env.reset(options={"task": held_out.metas[i]["task"], "snapshot": np.array(rows["snapshot"][0])})
        done = False
        for _ in range(length):
            act = agent.vae.act(theta, torch.tensor(now["state"])[None])
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
def latents(agent: WARPD, view: EpisodeView, length: int) -> Tensor:
    """Mean latents [N, D] of the episodes' heads."""
    heads = [
        {k: torch.tensor(np.array(v)) for k, v in view.episode(i, ["state", "action"]).items()}
        for i in range(len(view))
    ]
    demos = Demonstrations.from_episodes([(h["state"], h["action"]) for h in heads]).padded(length)
    rows = demos.starts[:, None] + torch.arange(length)
    return agent.vae.encode(demos.obs[rows], demos.action[rows])[0]


def nearest_centroid(train_z: Tensor, train_y: list[str], z: Tensor, y: list[str]) -> float:
    names = sorted(set(train_y))
    centres = torch.stack([train_z[[i for i, n in enumerate(train_y) if n == name]].mean(0) for name in names])
    found = torch.cdist(z, centres).argmin(1).tolist()
    return round(sum(names[f] == n for f, n in zip(found, y, strict=True)) / len(y), 4)


def draw(z: Tensor, metas: list[dict[str, Any]], by: tuple[str, ...], path: Path) -> None:
    """The first two principal components, coloured by each label."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    centred = z - z.mean(0)
    flat = (centred @ torch.linalg.svd(centred, full_matrices=False).Vh[:2].T).numpy()
    figure, axes = plt.subplots(1, len(by), figsize=(5 * len(by), 4.5), squeeze=False)
    for axis, name in zip(axes[0], by, strict=True):
        for label in sorted({m[name] for m in metas}):
            chosen = [i for i, m in enumerate(metas) if m[name] == label]
            axis.scatter(*flat[chosen].T, s=12, label=label)
        axis.set(title=f"latents by {name}", xlabel="first component", ylabel="second component")
        axis.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ablation", choices=("decoder", "kl", "latents"))
    parser.add_argument("--suite", choices=sorted(OPERATORS), required=True)
    parser.add_argument("--data", type=Path, required=True, help="the store of demonstrations, with snapshots")
    parser.add_argument("--runs", type=Path, required=True, help="where runs are kept")
    parser.add_argument("--preset", choices=("paper", "tiny"), default="tiny")
    parser.add_argument("--lengths", nargs="*", type=int, default=[50])
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--episodes", type=int, default=50)
    parser.add_argument("--vae-epochs", type=int, default=None)
    parser.add_argument("--out", type=Path, default=RESULTS / "warpd_ablations.json")
    args = parser.parse_args()
    rows, demos = Rows(args.out, KEY), read_demonstrations(args.data)
    held_out, seen = select(args.data, "val"), select(args.data, "train")
    variants = {
        "decoder": [(d, 1e-6) for d in DECODERS],
        "kl": [("l", k) for k in KL_WEIGHTS],
        "latents": [("s", 1e-6)],
    }[args.ablation]
    for seed in args.seeds:
        for length in args.lengths:
            for decoder, kl in variants:
                key = {"ablation": args.ablation, "suite": args.suite, "decoder": decoder, "kl_weight": kl,
                       "length": length, "seed": seed}  # fmt: skip
                if rows.has(**key) or rows.has(**key, by="operator"):
                    continue
                agent = train_vae(args, demos, decoder, kl, length, seed)
                if args.ablation != "latents":
                    figures = give_back(agent, held_out, args.suite, length, args.episodes)
                    rows.put(**key, **figures, episodes=args.episodes, preset=args.preset)
                    print(rows.data["rows"][-1])
                    continue
                z = [latents(agent, view, length) for view in (seen, held_out)]
                labels = tuple(n for n in ("operator", "task") if len({m[n] for m in seen.metas}) > 1)
                for by in labels:
                    of = [[m[by] for m in view.metas] for view in (seen, held_out)]
                    rows.put(**key, by=by, nearest_centroid=nearest_centroid(z[0], of[0], z[1], of[1]),
                             chance=round(1 / len(set(of[0])), 4), preset=args.preset)  # fmt: skip
                    print(rows.data["rows"][-1])
                draw(
                    z[0],
                    list(seen.metas),
                    labels,
                    args.out.with_name(f"warpd_latents_{args.suite}_{length}_{seed}.png"),
                )


if __name__ == "__main__":
    main()
