"""From a store of demonstrations to a cloned policy, and from an env id to the vector env that fine-tuning needs."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from dreamgym.data import EpisodeStore
from dreamgym.training.runs import data_digest
from dreamgym.types import InstructionSpec
from dreamgym_agents.common.encoded import EncodedChunks, encode_chunks
from dreamgym_agents.common.selection import select_demonstrations
from dreamgym_agents.common.settings import weights_id
from dreamgym_agents.diffusion_ppo.clone import clone
from dreamgym_agents.diffusion_ppo.config import DiffusionConfig, GaussianConfig
from dreamgym_agents.diffusion_ppo.diffusion import DiffusionPolicy
from dreamgym_agents.diffusion_ppo.gaussian import GaussianPolicy
from dreamgym_agents.diffusion_ppo.policy import ChunkPolicy
from dreamgym_agents.diffusion_ppo.schedules import CloneConfig

if TYPE_CHECKING:
    from dreamgym.training.checkpoint import Checkpoint
    from dreamgym.types import WorldModelSpec

_log = logging.getLogger(__name__)

HELD_OUT = 20
"""Held-out demonstrations on which the cloning loss is logged."""


@dataclass(frozen=True)
class PolicyChoice:
    """Which policy is cloned.

    Attributes:
        kind: "diffusion" or "gaussian".
        preset: "tiny" or "paper": its sizes.
        acting: fields of its config that say how it acts once it is cloned, as {"sampler": "ddim"}.
    """

    kind: str = "diffusion"
    preset: str = "tiny"
    acting: Mapping[str, Any] = field(default_factory=dict)

    def build(self, spec: WorldModelSpec) -> ChunkPolicy:
        """A new policy that reads features of such a model.

        Raises:
            ValueError: the model is driven by instructions, not by actions.
        """
        if isinstance(spec.action, InstructionSpec):
            raise ValueError(
                f"a policy of action chunks cannot drive a model of family {spec.family!r}, whose actions are "
                "instructions: clone on a world model that is driven by control actions"
            )
        sizes = math.prod(spec.feature_shape), spec.action, spec.actions_per_frame
        if self.kind == "diffusion":
            return DiffusionPolicy(replace(getattr(DiffusionConfig, self.preset)(*sizes), **self.acting))
        return GaussianPolicy(replace(getattr(GaussianConfig, self.preset)(*sizes), **self.acting))


def clone_task(
    demonstrations: Path | str,
    task: str,
    checkpoint: str,
    choice: PolicyChoice,
    config: CloneConfig,
    run_dir: Path,
    device: str = "cpu",
    log: str = "tensorboard",
) -> ChunkPolicy:
    """Clones one task from a store, or goes on with it.

    Args:
        demonstrations: an `EpisodeStore` with marked demonstrations.
        task: whose.
        checkpoint: the world model that encodes observations.
        choice: kind and sizes of the policy.
        config: how.
        run_dir: where progress lives.
        device: where to compute.
        log: see `clone`.

    Returns:
        The policy.

    Raises:
        ValueError: no such demonstration, demonstrations of another suite than the world model's, or a run in
            ``run_dir`` that was begun with other settings.
        Stopped: SIGINT or SIGTERM ended the run; its progress is saved.
    """
    from dreamgym.envs.simulators import check_recorded_in
    from dreamgym.training.checkpoint import load

    opened, store = load(checkpoint, device), EpisodeStore.open(demonstrations)
    check_recorded_in(opened, store)
    generator = torch.Generator(device).manual_seed(config.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)  # the network's first weights
        policy = choice.build(opened.spec)

    def encoded(split: str, num: int) -> EncodedChunks:
        view = select_demonstrations(store, [task], split, num, successful=True)
        return encode_chunks(opened.model, view, policy.config.chunk, passes=config.passes, generator=generator)

    data = encoded("train", config.demonstrations)
    held_out = encoded("val", HELD_OUT) if len(store.select(task=task, split="val", success=True)) else None
    _warn_of_few(store, task, data.episodes, config.demonstrations, held_out)
    # Ids, not encoded numbers: these differ in their last bits with the number of threads.
    read = select_demonstrations(store, [task], "train", config.demonstrations, successful=True)
    ids = {"weights": weights_id(opened.model), "data": data_digest(read)}
    about = {"task": task, "world_model": str(checkpoint), **ids}
    clone(policy.to(device), data, config, run_dir, held_out, about, log)
    return policy.eval()


def _warn_of_few(store: EpisodeStore, task: str, found: int, wanted: int, held_out: EncodedChunks | None) -> None:
    """Says what a store lacks whose collection has not come to its end."""
    if found < wanted:
        _log.warning(
            "%s has %d of the %d successful training demonstrations of %s that were asked for: cloning on these. If it "
            "is unfinished, the same `dreamgym collect` goes on with it",
            store.path, found, wanted, task,
        )  # fmt: skip
    if held_out is None:
        _log.warning("%s holds out no successful demonstration of %s: no held-out loss is logged", store.path, task)


def make_env(
    id: str,
    task: str,
    chunk: int,
    *,
    checkpoint: str | Checkpoint | None = None,
    num_workers: int = 0,
    **options: Any,
) -> Any:
    """The vector env that `tune` needs.

    Args:
        id: of a dream or a twin ("Real-...").
        task: what to do.
        chunk: control actions of a decision.
        checkpoint: the world model, where the id does not name one; a twin needs it.
        num_workers: processes of a twin's simulators; a dream has none.
        options: of ``gymnasium.make_vec`` (horizon, reward_model, uncertainty_limit, device, ...); by default 256 envs
            and reward "probability".
    """
    import gymnasium as gym

    import dreamgym  # noqa: F401 - registers the ids

    options = {"num_envs": 256, "reward": "probability", **options}
    if id.startswith("Real-"):
        options["num_workers"] = num_workers
    if checkpoint is not None:
        options["world_model" if id.startswith("Real-") else "checkpoint"] = checkpoint
    # The rollout copies what it keeps: features may be shared.
    return gym.make_vec(id, array="torch", chunk=chunk, task=task, share_features=True, **options)
