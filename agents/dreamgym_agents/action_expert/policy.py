"""Acting: an expert that follows imagined clips in a twin, and who says what is to be done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from dreamgym.envs.core.core import DreamCore
from dreamgym.suites import suite, suites
from dreamgym.types import InstructionSpec, WorldModelSpec
from dreamgym_agents.action_expert.expert import ActionExpert, seen


class ClipExecutor:
    """Carries instructions out in a twin: at each frame the actions that lead along the imagined clip.

    It sees the real present frame and the clip's further ones (`ExpertConfig.offsets`), and nothing else: no state of
    the robot. An expert that is told its task and sees no clip is a policy by itself, in any env of its actions.
    """

    obs = "pixels"

    def __init__(self, expert: ActionExpert) -> None:
        self.expert = expert.eval()
        self.chunk = expert.config.chunk

    def start(self, num_envs: int, generator: torch.Generator | None = None) -> dict[str, Any]:
        return {"clip": None, "now": 0, "task": None}

    def begin(self, carry: dict[str, Any], fresh: Tensor, tasks: Sequence[str]) -> dict[str, Any]:
        """Takes the tasks of the envs, where the expert is told them."""
        known = self.expert.config.tasks
        if unknown := sorted(set(tasks) - set(known)) if known else []:
            raise ValueError(f"the expert was never told {unknown}; it knows {list(known)}")
        numbers = torch.tensor([known.index(t) for t in tasks], device=fresh.device) if known else None
        return {**carry, "task": numbers}

    def follow(self, carry: dict[str, Any], fresh: Tensor, clip: Sequence[Mapping[str, Tensor]]) -> dict[str, Any]:
        """Takes the clip: pictures [B, H, W, C] uint8 by camera, one mapping a frame after the present one."""
        frames = torch.stack([self._frame(each) for each in clip], 1)
        # Frame 0, the present one, is taken from the world; what stands here is never seen.
        return {**carry, "clip": torch.cat([frames[:, :1], frames], 1), "now": 0}

    def act(
        self, obs: Mapping[str, Tensor], carry: dict[str, Any], fresh: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, dict[str, Any]]:
        config, clip = self.expert.config, carry["clip"]
        if clip is None and config.follows:
            raise ValueError("an action expert follows clips: it is the executor of a model driven by instructions")
        present = self._frame(obs)
        frames = seen(present, clip, carry["now"], config.offsets) if config.follows else present.unsqueeze(1)
        return self.expert.decide(frames, generator, carry["task"]), {**carry, "now": carry["now"] + 1}

    def _frame(self, pictures: Mapping[str, Tensor]) -> Tensor:
        camera = self.expert.config.camera
        if camera not in pictures:
            raise ValueError(f"the expert sees {camera!r}, and is shown {sorted(pictures)}")
        return pictures[camera].movedim(-1, -3).float() / 255


class Instructor:
    """Says what each env's task is: its sentence, or, of several, the one whose imagined clip promises most.

    Args:
        spec: of a world model that is driven by instructions.
        sentences: of each task, by name; None: those that the suites have, as far as the model knows them.
        imagine: how many of them to imagine before one is said; 1: the first is said, and nothing imagined.

    Raises:
        ValueError: a model that takes no instructions, or not these.
    """

    def __init__(
        self, spec: WorldModelSpec, sentences: Mapping[str, Sequence[str]] | None = None, imagine: int = 1
    ) -> None:
        if not isinstance(spec.action, InstructionSpec):
            raise ValueError(f"an instructor needs a model driven by instructions, got the family {spec.family!r}")
        if imagine < 1:
            raise ValueError(f"at least 1 sentence is imagined, got {imagine}")
        self.known, self.imagine = spec.action.sentences, imagine
        self.sentences = {task: self._checked(task, each) for task, each in (sentences or {}).items()}
        self.core: DreamCore | None = None

    def bind(self, core: DreamCore) -> None:
        """Takes the core to imagine in; it stands where the envs stand before each `act`."""
        self.core = core

    def start(self, num_envs: int, generator: torch.Generator | None = None) -> list[str]:
        return [""] * num_envs

    def begin(self, carry: list[str], fresh: Tensor, tasks: Sequence[str]) -> list[str]:
        """Takes the tasks of the envs."""
        for task in set(tasks) - set(self.sentences):
            self.sentences[task] = self._checked(task, suite_sentences(task))
        return list(tasks)

    def act(
        self, obs: Any, carry: list[str], fresh: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, list[str]]:
        said, best = self._numbers(carry, 0).to(fresh.device), None
        if self.imagine == 1:
            return said, carry
        if self.core is None:
            raise ValueError("an instructor that imagines needs bind(core) before it acts")
        here = self.core.snapshot()
        for n in range(self.imagine):
            tried = self._numbers(carry, n).to(fresh.device)
            self.core.restore(here)
            promise = self.core.step(tried).info["success_probability"]
            said = tried if best is None else torch.where(promise > best, tried, said)
            best = promise if best is None else torch.maximum(best, promise)
        self.core.restore(here)
        return said, carry

    def _numbers(self, tasks: Sequence[str], n: int) -> Tensor:
        """The number of each task's ``n``-th sentence, int64 [B]; those with fewer begin again."""
        chosen = [self.sentences[t][n % len(self.sentences[t])] for t in tasks]
        return torch.tensor([self.known.index(s) for s in chosen])

    def _checked(self, task: str, sentences: Sequence[str]) -> tuple[str, ...]:
        told = tuple(s for s in sentences if s in self.known)
        if not told:
            raise ValueError(
                f"no sentence that says {task!r}, of {list(sentences)}, is known to the model, which knows "
                f"{list(self.known)}"
            )
        return told


def suite_sentences(task: str) -> tuple[str, ...]:
    """Sentences that say what a task is: those of the suites that have it, else its name with blanks."""
    found = [suite(name).sentences(task) for name in suites() if task in suite(name).tasks]
    return tuple(dict.fromkeys(s for each in found for s in each)) or (task.replace("_", " "),)


def instructor(spec: WorldModelSpec) -> Instructor:
    """Says each task's sentence: ``dreamgym evaluate dreamgym_agents.action_expert:instructor --executor FOLDER``."""
    return Instructor(spec)
