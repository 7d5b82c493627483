"""Arguments that the WARPD experiments share."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from dreamgym_agents.warpd import WARPDConfig
from dreamgym_agents.warpd.recipes import PRESETS
from methods import BATCH, DIFFUSION, LADDER, TRAINED_OUT
from rows import RESULTS


def make_parser(about: str | None, out: str, store: str | None = None) -> argparse.ArgumentParser:
    """A parser with what every experiment takes.

    Args:
        about: the script's docstring.
        out: name of the JSON file in benchmarks/results.
        store: what the episode store is that ``--store`` names; None: there is no such option.
    """
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    if store is not None:
        parser.add_argument("--store", type=Path, required=True, help=store)
    parser.add_argument("--runs", type=Path, required=True, help="where runs are kept")
    parser.add_argument("--preset", choices=PRESETS, default="tiny")
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--vae-epochs", type=int, default=None)
    parser.add_argument("--diffusion-epochs", type=int, default=None)
    parser.add_argument("--batch-size", type=int, default=None)
    parser.add_argument("--decay", action="store_const", const=True, default=None, help="rates fall over each stage")
    parser.add_argument("--out", type=Path, default=RESULTS / out)
    parser.add_argument("--quick", action="store_true", help="a trial of a minute: its figures mean nothing")
    return parser


def add_policy(parser: argparse.ArgumentParser) -> None:
    """The options that `with_policy` reads."""
    parser.add_argument("--width", type=int, default=None, help="of a policy's two layers; by default the preset's")
    parser.add_argument("--kl-weight", type=float, default=None, help="of WARPD's VAE; by default the paper's")


def with_policy(config: WARPDConfig, args: argparse.Namespace) -> WARPDConfig:
    """``config`` with the width of policies, and the weight of the KL, where they were given."""
    if args.width is not None:
        config = replace(config, hidden=(args.width, args.width))
    if args.kl_weight is not None:
        config = replace(config, vae=replace(config.vae, kl_weight=args.kl_weight))
    return config


def shrink(args: argparse.Namespace, **small: Any) -> None:
    """With ``--quick``: one seed, two epochs, the values in ``small``; runs and results apart from the real ones."""
    if not args.quick:
        return
    args.runs = args.runs / "quick"
    small = {"seeds": [0], "vae_epochs": 2, "diffusion_epochs": 2, "out": args.runs / args.out.name, **small}
    for name, value in small.items():
        setattr(args, name, value)


def with_training(config: WARPDConfig, args: argparse.Namespace, seed: int, method: str = "warpd") -> WARPDConfig:
    """``config`` with the seed, and the epochs and the batch size where they were given.

    A diffusion policy, which has one stage, trains for as many epochs as WARPD's two together: so it takes as many
    updates, as in the paper's own account (A.9: 2000 epochs beside 1000 and 1000). One that is trained out takes as
    many to begin with, of larger batches.
    """
    asked = {name: getattr(args, name) for name in ("vae_epochs", "diffusion_epochs", "batch_size", "decay")}
    train = replace(config.train, seed=seed, **{k: v for k, v in asked.items() if v is not None})
    if method in DIFFUSION:
        train = replace(train, diffusion_epochs=train.vae_epochs + train.diffusion_epochs)
    if method in TRAINED_OUT:
        train = replace(train, snippets=LADDER[0], batch_size=BATCH)
    return replace(config, train=train)


def settings(config: WARPDConfig, **more: Any) -> dict[str, Any]:
    """What a row says of how its method was trained, beside its key."""
    train, vae, denoiser = config.train, config.vae, config.diffusion.denoiser
    fields = ("vae_epochs", "diffusion_epochs", "snippets", "batch_size", "decay", "vae_lr", "lr", "grad_clip")
    told = {name: getattr(train, name) for name in fields}
    told |= {"length": config.length, "hidden": list(config.hidden), "decoder": list(vae.decoder)}
    told |= {"latent": vae.latent, "encoder": list(vae.encoder), "denoiser": list(denoiser.channels)}
    return told | {"denoising_steps": config.diffusion.steps, "kl_weight": vae.kl_weight} | more
