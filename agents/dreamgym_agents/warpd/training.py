"""Training an agent, stage by stage; a killed run goes on from its last save.

A run lives in a directory: ``config.json`` (kind, config and what the data is known by), a folder of progress for each
stage, ``log.jsonl`` (a line an epoch) and ``tensorboard/``; see `dreamgym_agents.common.runs`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar

from dreamgym_agents.common.demonstrations import Demonstrations
from dreamgym_agents.common.runs import load_finished, run_stages
from dreamgym_agents.common.settings import keep_settings
from dreamgym_agents.common.stages import EpochConfig, EpochRun
from dreamgym_agents.warpd.agent import Agent
from dreamgym_agents.warpd.config import WARPDConfig

AgentT = TypeVar("AgentT", bound=Agent)


def train(
    agent: AgentT,
    demonstrations: Demonstrations,
    run_dir: str | Path,
    show: bool = True,
    stages: Collection[str] | None = None,
    log: str = "tensorboard",
) -> AgentT:
    """Trains in ``run_dir``, or goes on where a run there stopped.

    Args:
        agent: made by its ``for_demonstrations``, the same way when a run goes on.
        demonstrations: what to learn from.
        run_dir: the run.
        show: a progress bar.
        stages: names of the stages to run; all by default. Those before them must be done in ``run_dir``.
        log: "tensorboard", or "wandb" for Weights & Biases beside it.

    Returns:
        The agent, trained and in eval mode.

    Raises:
        ValueError: the directory holds a run of another agent, config or data, the demonstrations do not fit, or a
            stage is to begin before the one that it builds on is done.
        FloatingPointError: the loss was not finite.
        Stopped: SIGINT or SIGTERM ended the run; its progress is saved.
    """
    agent.check(demonstrations)
    folder, config = Path(run_dir), agent.config.train
    data = {"scales": agent.scaling.checksum(), **demonstrations.fingerprint()}
    asked = {"kind": agent.kind, "config": agent.config.to_dict(), "data": data}
    keep_settings(folder / "config.json", asked, read=lambda held: _as_today(held, agent.config))
    planned = agent.stages()
    if stages is not None and (unknown := set(stages) - {s.name for s in planned}):
        raise ValueError(f"no stages {sorted(unknown)}: a {agent.kind} has {[s.name for s in planned]}")
    wanted = [s.name for s in planned if stages is None or s.name in stages]
    for number, stage in enumerate(planned):
        later = [s.name for s in planned[number:] if s.name in wanted]
        if stage.name not in wanted and not load_finished(folder, stage.name, stage.epochs, stage.module) and later:
            raise ValueError(
                f"{folder}: {later[0]!r} builds on the stage {stage.name!r}, which is not done: run it first"
            )
    how = EpochConfig(
        agent.config.length, config.batch_size, config.snippets, config.decay, config.grad_clip, config.seed
    )
    device = agent.scaling.obs_mean.device
    runs = [EpochRun(stage, demonstrations, how, device) for stage in planned if stage.name in wanted]
    run_stages(runs, folder, save_every_s=config.save_every_s, show=show, log=log)
    return agent.eval()


def _as_today(held: Mapping[str, Any], config: WARPDConfig) -> dict[str, Any]:
    """The settings of an older run: fields that came later have their defaults."""
    # Of a run of before there was such a field the data tell: their actions are as they were learned.
    told = {"action_origin": config.action_origin, **held["config"]}
    return {**held, "config": WARPDConfig.from_dict(told).to_dict()}
