"""Training an expert: alone on recorded frames, then jointly with the world model that imagines them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dreamgym.data.clips import CLIP, TASK
from dreamgym.data.store import EpisodeView
from dreamgym.training.ema import EMA
from dreamgym.training.runs import data_digest
from dreamgym.types import InstructionSpec, State
from dreamgym.world_models.base import ClipRefiner, WorldModel
from dreamgym_agents.action_expert.config import TrainConfig
from dreamgym_agents.action_expert.expert import ActionExpert, seen, shifted
from dreamgym_agents.common.runs import StageRun, run_stages
from dreamgym_agents.common.settings import keep_settings, weights_id

LOG_EVERY = 50


class Clips:
    """The clips of a store in memory, at the rate of frames.

    Args:
        episodes: of a clip store.
        expert: whose camera, frame size and chunk they must fit.

    Attributes:
        frames: uint8 [N, F + 1, C, H, W].
        actions: float32 [N, F, chunk, A], what leads from each frame to the next.
        task: int64 [N], numbers of the store's tasks.
        number: int64 [N], the clips' own.

    Raises:
        ValueError: no clips, or of another length or size than the expert's.
    """

    def __init__(self, episodes: EpisodeView, expert: ActionExpert) -> None:
        config, keys = expert.config, episodes.keys
        if not len(episodes) or {CLIP, TASK, config.camera} - set(keys):
            raise ValueError(f"{episodes.path} is no clip store with {config.camera!r}: make one with dreamgym clips")
        size, chunk = keys[config.camera][0], config.chunk
        if config.tasks and list(config.tasks) != list(episodes.info["tasks"]):
            raise ValueError(f"the expert is told {config.tasks}, the clips are of {episodes.info['tasks']}")
        if (size[2], *size[:2]) != config.image:
            raise ValueError(f"frames are {size}, the expert sees C H W = {config.image}")
        if len(set(episodes.lengths.tolist())) != 1 or (episodes.lengths[0] - 1) % chunk:
            raise ValueError(f"clips of {chunk} k + 1 rows expected, got lengths {sorted(set(episodes.lengths))}")
        rows = [episodes.episode(i, [config.camera, "action", TASK, CLIP]) for i in range(len(episodes))]
        stack = [torch.from_numpy(r[config.camera][::chunk].copy()) for r in rows]
        self.frames = torch.stack(stack).movedim(-1, 2)
        actions = torch.stack([torch.from_numpy(r["action"][:-1].copy()) for r in rows])
        self.actions = actions.unflatten(1, (-1, chunk))
        self.task, self.number = (torch.tensor([int(r[k][0]) for r in rows]) for k in (TASK, CLIP))

    def __len__(self) -> int:
        return len(self.frames)


class ExpertRun(StageRun):
    """Updates of an expert on recorded frames: random moments of random clips."""

    unit = "update"

    def __init__(self, expert: ActionExpert, clips: Clips, config: TrainConfig) -> None:
        self.name = self.folder = "expert"
        self.module, self.clips, self.config, self.budget = expert, clips, config, config.updates
        self.expert = expert
        self.optimizer = torch.optim.AdamW(expert.parameters(), lr=config.lr, weight_decay=1e-4, fused=True)

    def begin(self, fresh: bool) -> None:
        self.ema = EMA(self.module, self.config.ema)

    def step(self) -> Mapping[str, float]:
        """One update; what it draws is a function of (seed, number)."""
        generator = _generator(self.config.seed, 0, self.count)
        frames, actions, task = self.batch(generator)
        self.module.train()
        loss = self.expert.loss(shifted(frames, generator), actions, generator, task)
        descend(self.optimizer, loss, self.config.lr * _share(self.count, self.budget), 0)
        assert self.ema is not None
        self.ema.update(self.module)
        return {"loss": float(loss.detach())} if (self.count + 1) % LOG_EVERY == 0 else {}

    def batch(self, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Frames [B, K, C, H, W] that the expert sees, the actions [B, chunk, A] that followed, and the tasks [B]."""
        clips, size = self.clips, self.config.batch_size
        which = torch.randint(len(clips), (size,), generator=generator)
        now = torch.randint(clips.actions.shape[1], (size,), generator=generator)
        last, offsets = clips.frames.shape[1] - 1, self.expert.config.offsets
        frames = torch.stack([clips.frames[which, (now + k).clamp(max=last)] for k in offsets], 1)
        return frames.float() / 255, clips.actions[which, now], clips.task[which]


class JointRun(StageRun):
    """Updates of expert and world model together, on imagined frames (equation 6).

    What the clip is refined from is sampled once a clip and kept: it is not trained, and costs most.

    Args:
        expert: trained alone before.
        model: the world model.
        clips: demonstrations.
        sentences: number of the first sentence of each task of the clips.
        config: how.
    """

    unit = "update"

    def __init__(
        self, expert: ActionExpert, model: ClipRefiner, clips: Clips, sentences: Tensor, config: TrainConfig
    ) -> None:
        assert isinstance(model, WorldModel)
        self.name = self.folder = "joint"
        self.expert, self.model, self.clips, self.sentences, self.config = expert, model, clips, sentences, config
        self.budget = config.joint_updates
        model.requires_grad_(False)
        refined = [p.requires_grad_(True) for p in model.refining_parameters()]
        self.module = nn.ModuleDict({"expert": expert, "refined": nn.ParameterList(refined)})
        groups: list[dict[str, Any]] = [{"params": list(expert.parameters())}, {"params": refined}]
        self.optimizer = torch.optim.AdamW(groups, lr=config.lr, weight_decay=1e-4, fused=True)
        self._previews: dict[int, Tensor] = {}

    def step(self) -> Mapping[str, float]:
        """One update; what it draws is a function of (seed, number)."""
        generator = _generator(self.config.seed, 1, self.count)
        loss = self.loss(generator)
        share = _share(self.count, self.budget)
        descend(self.optimizer, loss, self.config.lr * share, self.config.refiner_lr * share)
        return {"loss": float(loss.detach())}

    def loss(self, generator: torch.Generator) -> Tensor:
        """The expert's loss on clips that the world model imagines."""
        config, clips = self.config, self.clips
        which = torch.randint(len(clips), (config.joint_batch_size,), generator=generator)
        real = clips.frames[which].float() / 255
        state, told = self._begun(which), self.sentences[clips.task[which]]
        preview = torch.cat([self._preview(int(i)) for i in which])
        imagined = torch.cat([real[:, :1], self.model.refined(preview, state, told, generator)], 1)
        nows = torch.randint(clips.actions.shape[1], (config.moments,), generator=generator).tolist()
        frames = torch.cat([seen(real[:, n], imagined, n, self.expert.config.offsets) for n in nows])
        actions = torch.cat([clips.actions[which, n] for n in nows])
        return self.expert.loss(frames, actions, generator)

    def _begun(self, which: Tensor) -> State:
        assert isinstance(self.model, WorldModel)
        return self.model.start({self.expert.config.camera: self.clips.frames[which, :1]})

    def _preview(self, i: int) -> Tensor:
        """Of one clip, [1, ...]; its noise is a function of the clip."""
        if i not in self._previews:
            which = torch.tensor([i])
            noise = _generator(self.config.seed, 2, i)
            told = self.sentences[self.clips.task[which]]
            self._previews[i] = self.model.preview(self._begun(which), told, noise)
        return self._previews[i]


def train(expert: ActionExpert, clips: EpisodeView, run_dir: str | Path, config: TrainConfig) -> ActionExpert:
    """Trains an expert alone on the clips of a store, or goes on with the run; returns it with averaged weights.

    Raises:
        ValueError: clips that do not fit the expert, or a run that was begun with other settings.
        Stopped: a signal came; progress is saved.
    """
    read = Clips(clips, expert)
    asked = {"expert": expert.config.to_dict(), "training": asdict(config), "clips": data_digest(clips)}
    keep_settings(Path(run_dir) / "settings.json", asked)
    run_stages([ExpertRun(expert, read, config)], run_dir)
    return expert.eval()


def train_jointly(
    expert: ActionExpert,
    model: WorldModel,
    clips: EpisodeView,
    sentences: Mapping[str, str],
    run_dir: str | Path,
    config: TrainConfig,
) -> ActionExpert:
    """Trains expert and world model, in place, through the actions' loss, or goes on with the run.

    Args:
        expert: trained alone.
        model: offers `ClipRefiner`, on the CPU.
        clips: a clip store's.
        sentences: what to tell the model for each task, by the task's name.
        run_dir: the run.
        config: how.

    Raises:
        ValueError: an expert that follows no clip; a model without refinable clips, or one that does not know a
            sentence; or a run that was begun with other settings, another model or another expert.
    """
    action = model.spec.action
    if not isinstance(model, ClipRefiner) or not isinstance(action, InstructionSpec):
        raise ValueError(
            f"joint training needs a model whose clips can be learned through "
            f"(dreamgym.world_models.base.ClipRefiner); the family {model.spec.family!r} offers none"
        )
    if not expert.config.follows or expert.config.tasks:
        raise ValueError("this expert is told its task and follows no clip: train one without --told-task")
    told = [sentences[task] for task in clips.info["tasks"]]
    if unknown := [s for s in told if s not in action.sentences]:
        raise ValueError(f"the model was never told {unknown}; it knows {list(action.sentences)}")
    numbers = torch.tensor([action.sentences.index(s) for s in told])
    read, begun = Clips(clips, expert), {"expert": weights_id(expert), "model": weights_id(model)}
    asked = {**begun, "training": asdict(config), "clips": data_digest(clips)}
    keep_settings(Path(run_dir) / "settings.json", asked)
    run_stages([JointRun(expert, model, read, numbers, config)], run_dir)
    model.requires_grad_(False)
    return expert.eval()


def descend(optimizer: torch.optim.Optimizer, loss: Tensor, *rates: float) -> None:
    """One step of the optimizer, a rate for each of its groups; gradients are clipped at norm 1."""
    if not torch.isfinite(loss):
        raise FloatingPointError(f"the loss is {float(loss)}: lower the learning rate, or look for NaN in the data")
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    for group, rate in zip(optimizer.param_groups, rates, strict=False):
        group["lr"] = rate
        nn.utils.clip_grad_norm_(group["params"], 1.0)
    optimizer.step()


def _share(done: int, budget: int) -> float:
    """Of the learning rate: up over 100 updates, down over the last fifth."""
    return min(1.0, (done + 1) / 100, max(0.01, (budget - done) / max(1, 0.2 * budget)))


def _generator(seed: int, stream: int, number: int) -> torch.Generator:
    return torch.Generator().manual_seed((seed * 1_000_003 + stream * 500_009 + number * 7_919) % 2**63)
