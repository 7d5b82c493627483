"""What denoises the latents: a U-Net or a transformer (A.3, Fig. 8), on PushT at horizon 32.

    python benchmarks/warpd/run_denoisers.py --store STORE --runs RUNS --vae-epochs 300

Takes the VAEs of `run_pusht.py` where ``--runs`` is its folder, and trains them where they are not there. The diffusion
is trained anew for each number of epochs, so that a row is what so much training gives, with its own course of rates.

Writes benchmarks/results/warpd_denoisers.json: rows {denoiser, epochs, seed, loss, success, spread, solved, episodes,
parameters, seconds, settings}; ``loss`` is the mean squared error of the noise over the last epoch, the rest as in
`run_pusht.py`, undisturbed.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace

from dreamgym_agents.warpd import WARPD, DenoiserConfig, PlanningPolicy, train
from dreamgym_agents.warpd.recipes import as_learned, bounds, configure, read_demonstrations
from methods import make_agent, share_vae
from options import add_policy, make_parser, settings, shrink, with_policy, with_training
from rollouts import Simulators
from rows import Rows
from run_pusht import AT_ONCE, measure

from dreamgym.sims.pusht import PushTEnv

HORIZON = 32
EPOCHS = (10, 30, 100, 200)
KEY = ("denoiser", "epochs", "seed", "preset")
# Of as many parameters as the tiny preset's U-Net; with --preset paper, the medium ones of Tables 6 and 7.
TINY_TRANSFORMER = DenoiserConfig("transformer", step_embed=64, channels=(96,), layers=4, heads=4)


def undisturbed(agent: WARPD, name: str, simulators: Simulators, args: argparse.Namespace) -> dict[str, float]:
    return measure(lambda task: PlanningPolicy(agent), name, simulators, args)[0]


def main() -> None:
    parser = make_parser(__doc__, "warpd_denoisers.json", "the store of demonstrations")
    parser.add_argument("--epochs", nargs="*", type=int, default=EPOCHS, help="of the diffusion")
    parser.add_argument("--episodes", type=int, default=100)
    add_policy(parser)
    args = parser.parse_args()
    shrink(args, epochs=[1], episodes=2)
    args.perturbations, args.repeats = [0], 1
    rows = Rows(args.out, KEY)
    demos = as_learned(read_demonstrations(args.store), "pusht", "warpd").trailed(HORIZON - 1)
    simulators = Simulators(lambda task: PushTEnv(), AT_ONCE)
    transformer = DenoiserConfig.transformer("m") if args.preset == "paper" else TINY_TRANSFORMER
    for seed in args.seeds:
        held = args.runs / f"warpd_{args.preset}_{HORIZON}_{seed}"  # of run_pusht.py
        for kind in ("unet", "transformer"):
            for epochs in args.epochs:
                args.diffusion_epochs = epochs
                base = configure("pusht", args.preset, demos, horizon=HORIZON)
                config = with_training(with_policy(base, args), args, seed)
                if kind == "transformer":
                    config = replace(config, diffusion=replace(config.diffusion, denoiser=transformer))
                run = args.runs / f"denoiser_{kind}_{args.preset}_{epochs}_{seed}"
                key, how = {"denoiser": kind, "epochs": epochs, "seed": seed, "preset": args.preset}, settings(config)
                if rows.has(how, **key):
                    held = held if (held / "vae").is_dir() else run
                    continue
                share_vae(held, run, config, demos)
                begun = time.process_time()
                agent = train(make_agent("warpd", config, demos, bounds(demos), args.preset), demos, run)
                held = held if (held / "vae").is_dir() else run
                ready = time.process_time()
                assert isinstance(agent, WARPD)
                figures = undisturbed(agent, run.name, simulators, args)
                took = {"train": round(ready - begun, 1), "run": round(time.process_time() - ready, 1)}
                last = json.loads((run / "log.jsonl").read_text(encoding="utf-8").splitlines()[-1])
                size = sum(p.numel() for p in agent.latent_diffusion.parameters())
                rows.put(**key, **figures, loss=round(last["loss"], 5), parameters=size, seconds=took, settings=how)
                print(rows.data["rows"][-1], flush=True)


if __name__ == "__main__":
    main()
