"""GFLOPs a step of WARPD and of what it is compared with, at the paper's sizes (Fig. 6). Needs no simulator.

    python benchmarks/warpd/flops.py          # some seconds; writes benchmarks/results/warpd_metaworld.json

Accounting. Counted by torch's FlopCounterMode on the networks themselves (on the meta device: shapes only): matrix
products and convolutions, two FLOPs a multiply-add; additions of biases, activations and norms are not counted. One
environment, batch 1. Metaworld: 39 observations, 4 actions, 10 tasks, 500 steps an episode, 100 denoising steps.

    gflops_per_step                   what runs at every step, averaged over the steps a plan lasts
        warpd                         the generated perceptron
        mlp                           the perceptron, the task in its input
        diffusion_policy              100 passes of the U-Net / (length / 2): "each DP model is run at an inference
                                      frequency of half the action horizon"; length 32 and 128
    gflops_per_step_with_generation   for WARPD, plus (100 passes of the latent U-Net + the decoder) / 500

The paper adds 0.0227 GFLOPs a step for the generation on Metaworld; on PushT it counts 3.99 GFLOPs for the diffusion
and 0.056 for the decoder, which is what this accounting gives for its large decoder (0.055): its FLOP is ours. It does
not say how the U-Net sees a latent of 256, and the generation depends on that: `layouts` in the file holds the others.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from dreamgym_agents.warpd import WARPD, DenoiserConfig, DiffusionBaseline, MLPPolicy, WARPDConfig
from dreamgym_agents.warpd.diffusion import Diffusion
from dreamgym_agents.warpd.generated_policy import run
from dreamgym_agents.warpd.sizes import UNETS
from rows import RESULTS, Rows
from torch.utils.flop_counter import FlopCounterMode

from dreamgym.provenance import commit

OBS_DIM, ACTION_DIM, EPISODE = 39, 4, 500
TASKS = ("window_open", "door_open", "drawer_open", "dial_turn", "faucet_close", "button_press", "door_unlock",
         "handle_press", "plate_slide", "reach")  # fmt: skip
WIDTHS = (128, 256, 512)
LENGTHS = (32, 128)
LAYOUTS = (1, 4, 8, 16, 32, 64)


def config(**changes: Any) -> WARPDConfig:
    """The paper's Metaworld setup."""
    return WARPDConfig.paper("metaworld", OBS_DIM, ACTION_DIM, tasks=TASKS, **changes)


def gflops(run: Callable[[], object]) -> float:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        run()
    return counter.get_total_flops() / 1e9


def parameters(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def denoising(diffusion: Diffusion, condition: int) -> float:
    """All passes of one sample; the scheduler's own arithmetic is elementwise."""
    x = torch.zeros(1, *diffusion.shape)
    once = gflops(lambda: diffusion.denoiser(x, torch.zeros(1), torch.zeros(1, condition)))
    return once * diffusion.config.inference_steps


def warpd(width: int, channels: int | None = None) -> dict[str, float]:
    sizes = config(hidden=(width, width))
    if channels is not None:
        sizes = replace(sizes, diffusion=replace(sizes.diffusion, latent_channels=channels))
    agent = WARPD(sizes)
    theta = agent.vae.decode(torch.zeros(1, sizes.vae.latent))
    step = gflops(lambda: agent.vae.act(theta, torch.zeros(1, OBS_DIM)))
    decoder = gflops(lambda: agent.vae.decode(torch.zeros(1, sizes.vae.latent)))
    diffusion = denoising(agent.latent_diffusion.diffusion, agent.condition_dim(sizes.condition))
    return {
        "gflops_per_step": step,
        "gflops_per_step_with_generation": step + (diffusion + decoder) / EPISODE,
        "gflops_generation": diffusion + decoder,
        "gflops_decoder": decoder,
        "parameters": sizes.policy_shape.num_parameters,
    }


def mlp(width: int) -> dict[str, float]:
    agent = MLPPolicy(config(hidden=(width, width)))
    # The perceptron alone: one_hot looks at values, which the meta device has none of.
    x = torch.zeros(1, 1, agent.shape.obs_dim)
    step = gflops(lambda: run(agent.theta.unsqueeze(0), x, agent.shape))
    return {"gflops_per_step": step, "gflops_per_step_with_generation": step, "parameters": parameters(agent)}


def diffusion_policy(size: str, length: int) -> dict[str, float]:
    base = config(length=length, horizon=length // 2)
    agent = DiffusionBaseline(replace(base, diffusion=replace(base.diffusion, denoiser=DenoiserConfig.unet(size))))
    each = denoising(agent.diffusion, agent.condition_dim(agent.baseline_condition)) / (length // 2)
    return {
        "gflops_per_step": each,
        "gflops_per_step_with_generation": each,
        "parameters": parameters(agent.diffusion),
    }


def count(path: Path) -> Rows:
    rows = Rows(
        path, ("method", "size", "horizon", "seed"), {"accounting": (__doc__ or "").strip().split("\n\n", 2)[2]}
    )
    with torch.device("meta"):
        counted = [("warpd", str(w), EPISODE, warpd(w)) for w in WIDTHS]
        counted += [("mlp", str(w), 1, mlp(w)) for w in WIDTHS]
        counted += [("diffusion_policy", s, n // 2, diffusion_policy(s, n)) for s in UNETS for n in LENGTHS]
        layouts = {str(c): round(warpd(256, c)["gflops_generation"], 3) for c in LAYOUTS}
    rows.data["layouts"] = {"channels of a latent of 256": "GFLOPs of a generation (paper: near 4 and 11)", **layouts}
    rows.data["counted_at"] = commit()
    for method, size, horizon, figures in counted:
        row = {"method": method, "size": size, "horizon": horizon, "seed": None, "success": None}
        rows.put(**row, **{k: float(f"{v:.6g}") for k, v in figures.items()})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=RESULTS / "warpd_metaworld.json")
    rows = count(parser.parse_args().out)
    for row in rows.data["rows"]:
        if row["seed"] is None:
            print(f"{row['method']:18}{row['size']:>5}{row['horizon']:>5}  {row['gflops_per_step']:.6f}"
                  f"  {row['gflops_per_step_with_generation']:.6f}")  # fmt: skip
    print(rows.data["layouts"])


if __name__ == "__main__":
    main()
