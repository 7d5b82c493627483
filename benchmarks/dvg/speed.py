"""How fast a clip can be had, and what that costs in likeness: fewer steps, bfloat16, merged adapters, a block cache.

    python benchmarks/dvg/speed.py --run RUN --store CLIPS        # about 6 minutes

Writes into benchmarks/results/dvg_speed.json rows {fidelity, steps, precision, merged, cache, clips, batch, psnr,
seconds_per_clip, flops_per_clip, matmul_share}; one thread, processor time, the first clip of each setting not counted.
"frontier": PSNR against time on the same clips. "latency": batches of 1, 4 and 16 clips. ``matmul_share``: operations a
second (`cost.clip_cost`) over those of a square matrix product of 1,024 in the same precision, measured in the same
run. The first frame and the sentence are encoded once a clip in all of them.

- steps: evaluations of the preview's (or the monolithic) denoising; training has nothing to do with their number.
- merged: the adapters are added into the backbone's weights; the monolithic model is then gone.
- cache: diffusers' first-block cache: a step whose first block's residual moved by less than this share of it takes the
  other blocks' residual of the step before.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from dreamgym_agents.common.settings import weights_id
from metrics import Clips, psnr
from quality import changed, opened, told
from torch import Tensor

from dreamgym.data import EpisodeStore
from dreamgym.provenance import provenance
from dreamgym.world_models.families.video_cascade import VideoCascade
from dreamgym.world_models.families.video_cascade.cost import clip_cost

RESULTS = Path(__file__).parents[1] / "results" / "dvg_speed.json"
SIDE = 1024


@dataclass(frozen=True)
class Setting:
    """A way of making clips; see the head of this file."""

    fidelity: str
    steps: int = 50
    precision: str = "fp32"
    merged: bool = False
    cache: float | None = None


FRONTIER = (
    *(Setting("monolithic", steps) for steps in (50, 20, 10)),
    *(Setting("refined", steps) for steps in (50, 20, 10, 5)),
    *(Setting("refined", cache=share) for share in (0.05, 0.1, 0.2)),
    *(Setting(fidelity, precision="bf16") for fidelity in ("monolithic", "refined")),
    *(Setting("refined", steps, "bf16", merged=True) for steps in (50, 10, 5)),
    *(Setting("preview", steps) for steps in (50, 10)),
    *(Setting("preview", steps, "bf16", merged=True) for steps in (10, 5)),
)
"""Merged ones come last of their kind: what is merged stays so within the model that they are measured on."""
LATENCY = (Setting("preview"), Setting("refined"), Setting("monolithic"), Setting("refined", 10, "bf16"))
BATCHES = (1, 4, 16)


def precise(setting: Setting) -> AbstractContextManager[Any]:
    """What the arithmetic of a setting runs in."""
    return torch.autocast("cpu", torch.bfloat16) if setting.precision == "bf16" else nullcontext()


@contextmanager
def prepared(model: VideoCascade, setting: Setting) -> Iterator[VideoCascade]:
    """A view of the model as a setting has it; afterwards the model is as it was."""
    from diffusers import FirstBlockCacheConfig

    view, transformer = changed(model, setting.fidelity, steps=setting.steps), model.backbone.transformer
    if setting.merged:
        transformer.fuse_lora()
    if setting.cache is not None:
        transformer.enable_cache(FirstBlockCacheConfig(threshold=setting.cache))
    try:
        with precise(setting), torch.no_grad():
            yield view
    finally:
        if setting.cache is not None:
            transformer.disable_cache()
        if setting.merged:
            transformer.unfuse_lora()


def made(view: VideoCascade, image: Tensor, sentence: Tensor, seed: int = 0) -> Tensor:
    """Clips [B, F, C, H, W]."""
    transformer, generator = view.backbone.transformer, torch.Generator().manual_seed(seed)
    if transformer.is_cache_enabled:
        transformer._reset_stateful_cache()  # of the clip before; it forgets its context too
    with transformer.cache_context("clip"):
        return view.clip(image, sentence, generator).frames


def matmul_rate(setting: Setting, times: int = 5) -> float:
    """Floating-point operations a second of a square matrix product."""
    a = torch.randn(SIDE, SIDE, dtype=torch.bfloat16 if setting.precision == "bf16" else torch.float32)
    best = float("inf")
    for _ in range(times):
        begun = time.process_time()
        a @ a
        best = min(best, time.process_time() - begun)
    return 2 * SIDE**3 / best


def measured(model: VideoCascade, setting: Setting, clips: Clips, batch: int) -> dict[str, Any]:
    """PSNR and processor seconds of clips [N], made in batches."""
    images, sentences = clips.frames[:, 0].split(batch), told(model, clips.tasks).split(batch)
    with prepared(model, setting) as view:
        made(view, images[0][:1], sentences[0][:1])
        begun = time.process_time()
        frames = torch.cat([made(view, *each) for each in zip(images, sentences, strict=True)])
        spent = (time.process_time() - begun) / len(frames)
    flops = clip_cost(view.config, setting.fidelity).total
    found: dict[str, Any] = {"clips": len(frames), "batch": batch, "seconds_per_clip": spent, "flops_per_clip": flops}
    if setting.cache is None:
        found["matmul_share"] = flops / spent / matmul_rate(setting)
    real = clips.frames[:, 1:].flatten(0, 1)
    return {**asdict(setting), "psnr": float(psnr(frames.flatten(0, 1), real).mean()), **found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--split", default="test")
    parser.add_argument("--limit", type=int, default=16, help="clips of the frontier")
    parser.add_argument("--fidelities", nargs="+", default=["monolithic", "refined", "preview"], help="of the frontier")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    model, updates = opened(args.run)
    clips = Clips.read(EpisodeStore.open(args.store), model, args.split, max(args.limit, *BATCHES))
    told_of = {"updates": updates, **provenance({"model": weights_id(model)})}
    found: dict[str, list[dict[str, Any]]] = {"frontier": [], "latency": []}
    work = [("frontier", s, args.limit, args.batch) for s in FRONTIER if s.fidelity in args.fidelities]
    work += [("latency", s, n, n) for s in LATENCY for n in BATCHES]
    for part, setting, number, batch in work:
        chosen = Clips(clips.frames[:number], clips.scene[:number], clips.tasks[:number])
        found[part].append(measured(model, setting, chosen, batch))
        print(part, found[part][-1], flush=True)
        args.out.write_text(json.dumps({**found, **told_of}, indent=1) + "\n")


if __name__ == "__main__":
    main()
