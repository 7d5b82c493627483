"""What is kept of the episodes that `run_episodes` runs: the twin's actions, states, frames; the dream's states."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch

from dreamgym.envs.core.core import DreamCore
from dreamgym.envs.core.starts import StartBank
from dreamgym.envs.twin import TwinCore
from dreamgym.evaluation.making.measures import StateReader
from dreamgym.evaluation.policies.rollout import Frame
from dreamgym.evaluation.statistics.calibration import Reliability
from dreamgym.evaluation.statistics.comparison import Sequences, Trajectories
from dreamgym.rewards.base import RewardModel
from dreamgym.world_models.base import WorldModel
from dreamgym.world_models.filtering import imagined


class TwinRecorder:
    """Keeps actions, sensors, verdicts and, if asked, camera frames of episodes in a twin.

    Args:
        core: the twin.
        num: episodes.
        camera: whose frames to keep; None: none.
        states: vector sensors to keep, as far as the simulator has them.
    """

    def __init__(self, core: TwinCore, num: int, camera: str | None = None, states: Iterable[str] = ()) -> None:
        self.core, self.camera, self._keys = core, camera, tuple(states)
        self.actions: list[list[np.ndarray]] = [[] for _ in range(num)]
        self.states: list[list[dict[str, np.ndarray]]] = [[] for _ in range(num)]
        self.frames: list[list[np.ndarray]] = [[] for _ in range(num)]
        self.marks: list[list[tuple[float, bool, float]]] = [[] for _ in range(num)]

    def __call__(self, frame: Frame) -> None:
        """Takes in one frame of each episode under way."""
        sensors = self.core.sensors
        for k, (env, episode) in enumerate(zip(frame.env, frame.episode, strict=True)):
            seen = sensors[env]
            self.states[episode].append({n: np.array(seen[n]) for n in self._keys if n in seen})
            if self.camera is not None:
                self.frames[episode].append(np.array(seen[self.camera]))
            self.marks[episode].append((frame.probability[k], bool(frame.label[k]), frame.uncertainty[k]))
            if frame.action is not None and frame.action.ndim > 1:  # instructions are no control actions
                self.actions[episode].append(frame.action[k].reshape(-1, frame.action.shape[-1]))

    def reliability(self, thresholds: np.ndarray) -> Reliability:
        """The reward model's probabilities against the oracle, frame by frame; ``thresholds`` [N], one an episode."""
        # The start is no frame that the oracle was asked about.
        said = [np.array([m[:2] for m in marks[1:]]).reshape(-1, 2) for marks in self.marks]
        limit = np.concatenate([np.full(len(s), t) for s, t in zip(said, thresholds, strict=True)])
        frames = np.concatenate(said)
        return Reliability.of(frames[:, 0], frames[:, 1] > 0.5, limit)

    def sequences(self, tasks: Sequence[str], row: np.ndarray, task: np.ndarray) -> Sequences:
        """The executed actions at control rate, padded with the last one."""
        actions = [np.concatenate(a).astype(np.float32) for a in self.actions]
        length = np.array([len(a) for a in actions])
        padded = np.stack([_padded(a, int(length.max())) for a in actions])
        return Sequences(tuple(tasks), row, task, length, padded, self.core.spec.actions_per_frame)

    def trajectories(self) -> Trajectories:
        """The episodes as `dreamgym.evaluation.statistics.comparison` takes them, padded with their last frame."""
        size = max(len(m) for m in self.marks)
        marks = np.stack([_padded(np.array(m, np.float64), size) for m in self.marks])
        names = set.intersection(*(set(s[0]) for s in self.states))
        state = {n: np.stack([_padded(np.stack([x[n] for x in s]), size) for s in self.states]) for n in sorted(names)}
        state = {n: v.astype(np.float32) for n, v in state.items()}
        return Trajectories({}, state, marks[..., 0], marks[..., 1] > 0.5, marks[..., 2], 0.0)


def _padded(values: np.ndarray, size: int) -> np.ndarray:
    return np.concatenate([values, np.repeat(values[-1:], size - len(values), 0)])


class DreamRecorder:
    """Keeps the model states of the first ``num`` episodes of a dream, in half precision: what clips are drawn from."""

    def __init__(self, core: DreamCore, num: int) -> None:
        self.core, self.num = core, num
        self.states: list[list[dict[str, torch.Tensor]]] = [[] for _ in range(num)]

    def __call__(self, frame: Frame) -> None:
        """Takes in one frame of each episode under way."""
        own = frame.episode < self.num
        if not own.any():
            return
        rows = torch.from_numpy(frame.env[own]).to(self.core.device)
        state = {k: v[rows] for k, v in self.core.state.items()}
        state = {k: (v.half() if v.is_floating_point() else v).cpu() for k, v in state.items()}
        for k, episode in enumerate(frame.episode[own]):
            self.states[episode].append({name: value[k] for name, value in state.items()})

    @torch.no_grad()
    def frames(self, episode: int, camera: str) -> np.ndarray:
        """What the dream decodes of an episode: uint8 [F + 1, H, W, 3]."""
        states = self.states[episode]
        stacked = {k: torch.stack([s[k] for s in states]).to(self.core.device) for k in states[0]}
        stacked = {k: v.float() if v.is_floating_point() else v for k, v in stacked.items()}
        image = self.core.model.decode(stacked, [camera])[camera]
        return (image * 255).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()


@torch.no_grad()
def replay(
    model: WorldModel,
    reward: RewardModel,
    bank: StartBank,
    sequences: Sequences,
    probe: Any = None,
    seed: int = 0,
    chunk: int | None = None,
) -> Trajectories:
    """Imagines along recorded actions from the bank's states, never looking again: open loop, on a policy's own path.

    Args:
        model: a family that is driven by actions.
        reward: scores the frames.
        bank: where the sequences began.
        sequences: recorded actions.
        probe: reads vectors off the features of a model that does not decode them.
        seed: of the model's draws.
        chunk: control actions that the policy decided on at a time, which the model predicts together; None: a frame's.

    Returns:
        Vector sensors as far as they can be read (`StateReader`), probabilities, verdicts and uncertainty; no frames.
    """
    device = next(model.parameters()).device
    generator, reader = torch.Generator(device).manual_seed(seed), StateReader(model, probe)
    # Tasks of the sequences are named; the reward has an order of its own.
    task = torch.tensor([reward.tasks.index(name) for name in sequences.names], device=device)
    state = {k: v.to(device) for k, v in bank.state(torch.from_numpy(sequences.row)).items()}
    memory, per_frame = reward.start(model, state, task), model.spec.actions_per_frame
    actions = torch.from_numpy(sequences.action).to(device)
    frames = imagined(model, state, actions, generator, chunk=chunk or per_frame)
    zero = torch.zeros(len(task), device=device)
    columns: list[list[torch.Tensor]] = [[zero], [zero], [zero]]
    read = [reader(state)]
    for action, after in zip(actions.split(per_frame, 1), frames, strict=True):
        given = action[:, 0] if per_frame == 1 else action
        _, probability, memory = reward.step(model, memory, state, given, after, task)
        values = (probability, reward.succeeded(probability, task).float(), model.uncertainty(after))
        for column, value in zip(columns, values, strict=True):
            column.append(value)
        read.append(reader(after))
        state = after
    said, done, unsure = (torch.stack(c, 1).cpu().numpy() for c in columns)
    log = {k: torch.stack([r[k] for r in read], 1).float().cpu().numpy() for k in read[0]}
    return Trajectories({}, log, said, done > 0.5, unsure, 0.0)
