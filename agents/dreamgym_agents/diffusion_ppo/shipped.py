"""Cloned policies that ship with the package: small, with a card that says how each was made and what it measured.

A policy belongs to the one world model whose features it was cloned on; its config holds the hash of those weights.
"""

# ruff: noqa: E501  (a card's commands read better unbroken)

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from dreamgym.evaluation.policies.config import EvaluationConfig
from dreamgym.evaluation.policies.evaluate import evaluate
from dreamgym.evaluation.policies.result import Evaluation
from dreamgym.evaluation.policies.setup import open_world
from dreamgym.training.checkpoint import Checkpoint, file_sha256
from dreamgym_agents.common.folders import check_target
from dreamgym_agents.diffusion_ppo.checkpoint import WEIGHTS, load_policy, read_policy_config, save_policy
from dreamgym_agents.diffusion_ppo.policy import ChunkPolicy

SHIPPED = Path(__file__).resolve().parents[1] / "policies"
MODEL = "model.safetensors"


def shipped_policies() -> dict[str, Path]:
    """Name and folder of every policy that ships."""
    return {file.parent.name: file.parent for file in sorted(SHIPPED.glob("*/config.json"))}


def shipped_for(checkpoint: Checkpoint) -> Path | None:
    """The first shipped policy that was cloned on the features of this very world model; None if there is none."""
    own = world_hash(checkpoint)
    made_on = ((folder, read_policy_config(folder)["metrics"]) for folder in shipped_policies().values())
    return next((folder for folder, told in made_on if own is not None and told.get("world_sha256") == own), None)


def world_hash(checkpoint: Checkpoint) -> str | None:
    """SHA-256 of a world model's weights as saved; None where it came from no folder."""
    file = checkpoint.path / MODEL
    return file_sha256(file) if file.is_file() else None


def ship(
    source: Path, demonstrations: Path, out: Path, config: EvaluationConfig | None = None, progress: bool = False
) -> Evaluation:
    """Writes a cloned policy in half precision with its card, and scores what was written in the dream and the twin.

    Args:
        source: folder that ``clone`` wrote, with its run beside it (``SOURCE.run``).
        demonstrations: the store that it was cloned from.
        out: folder to write; its name is the policy's.
        config: how to score it.
        progress: whether to show bars.

    Returns:
        The evaluation.

    Raises:
        ValueError: no policy of ours, or one that was fine-tuned already.
    """
    check_target(out, "policy", WEIGHTS)
    about, policy = read_policy_config(source), load_policy(source)
    if policy.tuned is not None:
        raise ValueError(f"{source} was fine-tuned: ship the cloned policy that a demo can fine-tune")
    task, world = about["task"], open_world(about["world_model"])
    recipe = json.loads(Path(f"{source}.run", "clone.json").read_text(encoding="utf-8"))
    store = json.loads((demonstrations / "info.json").read_text(encoding="utf-8"))["info"]
    metrics = {**about["metrics"], "clone": recipe, "demonstrations": store, "world_sha256": world_hash(world)}

    def write(more: dict[str, Any], text: str | None) -> None:
        save_policy(
            out, policy, task=task, world_model=about["world_model"], metrics={**metrics, **more},
            dtype=torch.float16, card=text,
        )  # fmt: skip

    write({}, None)
    found = evaluate(out, world, task, config, name=out.name, progress=progress)
    told = found.summary()
    kept = ("num_episodes", "success_rate", "interval_95")
    scores = {side: {k: told[side][k] for k in kept} for side in ("twin", "dream")}
    write({"evaluation": scores}, card(out.name, policy, about, metrics, found))
    return found


def card(name: str, policy: ChunkPolicy, about: dict[str, Any], metrics: dict[str, Any], found: Evaluation) -> str:
    """The text of a shipped policy's README.md."""
    recipe, store, task = metrics["clone"], metrics["demonstrations"], about["task"]
    size = sum(p.numel() for p in policy.parameters())
    counted, rows = found.summary(), []
    for side, title in (("twin", "in the simulator"), ("dream", "in the dream")):
        told = counted[side]
        low, high = (100 * x for x in told["interval_95"])
        rows.append(
            f"| {title} | {100 * told['success_rate']:.1f}% | {low:.0f} to {high:.0f} | {told['num_episodes']} |"
        )
    low, high = counted["twin"]["interval_95"]
    agree = low <= counted["dream"]["success_rate"] <= high
    verdict = "The two agree within the interval." if agree else "The two disagree: trust the first row."
    preset = "tiny" if policy.config.hidden == (256, 256, 256) else "paper"
    kind = "diffusion" if policy.kind == "diffusion_ppo" else "gaussian"
    return f"""# {name}

A {kind} policy for `{task}` ({size:,} parameters, stored in float16), cloned from demonstrations on the features of
the world model `{about["world_model"]}` and on no other's: `metrics.world_sha256` in config.json names its weights. It was
left unfinished on purpose ({recipe["epochs"]} epochs), as something that fine-tuning in a dream can improve; `dreamgym demo` does so.

## How it was made

```
dreamgym collect --store data/demos --kind demonstrations --scene {store.get("scene")} --seed {store.get("seed")}
dreamgym diffusion-ppo clone --store data/demos --task {task} --checkpoint {about["world_model"]} \\
    --kind {kind} --preset {preset} --episodes {recipe["demonstrations"]} --epochs {recipe["epochs"]} --seed {recipe["seed"]} --out policies/{task}
dreamgym diffusion-ppo ship --policy policies/{task} --store data/demos \\
    --out agents/dreamgym_agents/policies/{name}
```

It imitates {recipe["demonstrations"]} successful demonstrations of a scripted expert; config.json holds the whole recipe.

## What it does

Success from {found.config.split} starts, the same in both worlds (seed {found.config.seed}, {found.config.horizon} steps), with Wilson intervals:

|  | success | 95% interval | episodes |
| --- | --: | --: | --: |
{chr(10).join(rows)}

{verdict}

## Limits

- One task in one simulated scene, from start states of that scene's play and demonstrations; nothing else was measured.
- It acts on a world model's features: with another world model, or the same one trained anew, it is noise.
"""
