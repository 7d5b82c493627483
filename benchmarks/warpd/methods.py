"""The methods of the WARPD experiments by name, and their training."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import torch
from dreamgym_agents.warpd import Demonstrations, PlanningPolicy, RandomPolicy, WARPDConfig, recipes, train
from rollouts import PolicyOf

from dreamgym.types import ActionSpec

DP = "diffusion_policy"
TRAINED_OUT = {f"{DP}_trained_out": DP, f"{DP}_relative": f"{DP}_relative"}
"""Methods that train until success on val no longer rises, and what they train."""
DIFFUSION = (DP, *TRAINED_OUT)
LADDER = (8, 24)
"""Snippets of each trajectory an epoch, in batches of `BATCH`: the updates that DP takes, then three times as many."""
BATCH = 256
STILL = "still"  # in PushT: the disc stays where it is
UNTRAINED = ("random", STILL)
PLAIN = tuple(m for m in recipes.METHODS if m not in TRAINED_OUT)
METHODS = (*PLAIN, *TRAINED_OUT, *UNTRAINED)
NO_HORIZON = ("mlp", *UNTRAINED)  # they plan nothing: their rows are the same at every horizon
WARPD_STATE = "warpd_state"  # WARPD that is told the task and the first state, where the paper tells the task alone


def make_agent(
    method: str, config: WARPDConfig, demos: Demonstrations, action: ActionSpec, preset: str
) -> recipes.Agent:
    """`recipes.make_agent`, which knows `WARPD_STATE` and `TRAINED_OUT` too."""
    known = {WARPD_STATE: "warpd", **TRAINED_OUT}
    return recipes.make_agent(known.get(method, method), config, demos, action, preset)


def with_rows(config: WARPDConfig, method: str, longest: int) -> WARPDConfig:
    """The config of a method whose snippets are of ``config.length`` rows, beside plans of ``longest``.

    A perceptron learns from single steps: in long snippets those in the middle come more often. So it has short ones,
    and of them as many as the rows of the longest plans.
    """
    if method != "mlp":
        return config
    return replace(config, train=replace(config.train, snippets=longest // config.length))


def action_spec(env: gym.Env) -> ActionSpec:
    """The bounds of a simulator's actions."""
    space = env.action_space
    assert isinstance(space, gym.spaces.Box)
    return ActionSpec(tuple(space.low.tolist()), tuple(space.high.tolist()))


def trained(
    method: str, config: WARPDConfig, demos: Demonstrations, action: ActionSpec, preset: str, run: Path
) -> PolicyOf:
    """Trains in ``run``, or goes on there; what comes makes the policy of a task, or of each env's."""
    if method == "random":
        return lambda task: RandomPolicy(torch.tensor(action.low), torch.tensor(action.high))
    if method == STILL:
        return lambda task: StillPolicy()
    agent = train(make_agent(method, config, demos, action, preset), demos, run)
    return lambda task: PlanningPolicy(agent, task)


def trained_out(
    train_at: Callable[..., PolicyOf], config: WARPDConfig, run: Path, val: Callable[[PolicyOf], float]
) -> tuple[PolicyOf, dict[str, float]]:
    """Trains from the beginning for each rung of `LADDER`, until one is no better than the best before it.

    Args:
        train_at: `trained` of a method: takes a config and a folder, ``run``.
        config: of the first rung.
        run: the folder that holds those of the rungs.
        val: success from starts that nobody reports on.

    Returns:
        The best, and success on val by rung: where the last one is the best, more might have been better still.
    """
    found: dict[str, float] = {}
    best: PolicyOf | None = None
    for snippets in LADDER:
        at = replace(config, train=replace(config.train, snippets=snippets))
        policy_of = train_at(at, run=run / str(snippets))
        reached = max(found.values(), default=-1.0)
        found[str(snippets)] = round(val(policy_of), 4)
        if best is not None and found[str(snippets)] <= reached:
            break
        best = policy_of
    assert best is not None
    return best, found


def share_vae(held: Path, run: Path, config: WARPDConfig, demos: Demonstrations) -> None:
    """The VAE of the run ``held``, as far as it is trained, is that of ``run`` too, which differs after it.

    Raises:
        ValueError: the VAE there is of other settings than ``config``, or of other data than ``demos``.
    """
    if not (held / "vae").is_dir() or (run / "vae").exists():
        return
    about = json.loads((held / "config.json").read_text(encoding="utf-8"))
    about["config"].setdefault("action_origin", config.action_origin)  # of before there was such a field: the data tell
    theirs = WARPDConfig.from_dict(about["config"])
    if (there := _first_stage(theirs)) != (ours := _first_stage(config)):
        differ = {k: (v, ours[k]) for k, v in there.items() if v != ours[k]}
        raise ValueError(
            f"the VAE in {held} was trained with other settings (there, here): {differ}; give another --runs"
        )
    told = about["data"]  # older runs tell less
    if differ := {k: (told[k], v) for k, v in demos.fingerprint().items() if told.get(k, v) != v}:
        raise ValueError(f"the VAE in {held} was trained on other data (there, here): {differ}; give another --runs")
    run.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(run / "new", ignore_errors=True)  # of a copy that was cut short
    shutil.copytree(held / "vae", run / "new")
    (run / "new").rename(run / "vae")


def _first_stage(config: WARPDConfig) -> dict[str, Any]:
    """What decides how the VAE of a config is trained."""
    train = {k: v for k, v in asdict(config.train).items() if k not in ("diffusion_epochs", "save_every_s")}
    of_policy = {name: getattr(config, name) for name in ("hidden", "activation", "length", "tasks", "action_origin")}
    return {"vae": config.vae, **of_policy, **train}


class StillPolicy:
    """Sends PushT's disc to where it is."""

    def start(self, num_envs: int, generator: torch.Generator | None = None) -> None:
        """Nothing to remember."""

    def act(
        self, obs: torch.Tensor, carry: None, fresh: torch.Tensor, generator: torch.Generator | None = None
    ) -> tuple[torch.Tensor, None]:
        """The disc's place [B, 2] of states [B, 6]."""
        return obs[:, :2], None
