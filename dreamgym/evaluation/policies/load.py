"""Policies by name: built-in ones, a user's factory, or a folder that an agent saved.

An agent's folder holds config.json with the key "policy": the name under which the package that wrote it registered a
loader in the entry-point group ``dreamgym.policies``. So any package can bring agents, and this one imports none::

    [project.entry-points."dreamgym.policies"]
    my_agent = "my_package.saving:load"          # load(folder: Path, device) -> Policy

Policies that need no folder (planners) have names of their own, by the group ``dreamgym.policy_factories``::

    [project.entry-points."dreamgym.policy_factories"]
    my_planner = "my_package.planning:planner"   # planner(spec: WorldModelSpec) -> Policy

Policies of LeRobot and Stable-Baselines3 have a prefix, "lerobot:PATH" and "sb3:FILE.zip"; see `libraries`.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from dreamgym.evaluation.policies import libraries
from dreamgym.evaluation.policies.fingerprint import CONFIG, FACTORIES, GROUP, own_files
from dreamgym.fields import parse_json
from dreamgym.training.checkpoint import file_sha256
from dreamgym.types import InstructionSpec, Policy, WorldModelSpec

_READ: dict[Path, str] = {}
"""sha256 of the files of policies when they were imported: one that was edited since is imported again."""


class RandomPolicy:
    """Uniform within the bounds of the action, or over the instructions; a frame's actions a decision."""

    def __init__(self, spec: WorldModelSpec, device: torch.device | str = "cpu") -> None:
        self.device, self.chunk = torch.device(device), _frame_chunk(spec)
        self.sentences = len(spec.action.sentences) if isinstance(spec.action, InstructionSpec) else 0
        self.low, self.high = (torch.tensor(b, device=device) for b in (spec.control.low, spec.control.high))

    def start(self, num_envs: int, generator: torch.Generator | None = None) -> None:
        return None

    def act(
        self, obs: Any, carry: None, fresh: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, None]:
        if self.sentences:
            return torch.randint(self.sentences, (len(fresh),), generator=generator, device=self.device), None
        shape = (len(fresh), *([] if self.chunk is None else [self.chunk]), len(self.low))
        draw = torch.rand(shape, generator=generator, device=self.device)
        return self.low + (self.high - self.low) * draw, None


class HoldPolicy:
    """Stands still: the action that keeps the robot where it is.

    Raises:
        ValueError: the model is driven by instructions, none of which is to stand still.
    """

    def __init__(self, spec: WorldModelSpec, device: torch.device | str = "cpu") -> None:
        if isinstance(spec.action, InstructionSpec):
            raise ValueError("'hold' is an action of the robot, and this model is driven by instructions: use 'random'")
        self.chunk = _frame_chunk(spec)
        self.hold = torch.tensor(spec.action.hold, device=device)

    def start(self, num_envs: int, generator: torch.Generator | None = None) -> None:
        return None

    def act(
        self, obs: Any, carry: None, fresh: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, None]:
        shape = (len(fresh), *([] if self.chunk is None else [self.chunk]), len(self.hold))
        return self.hold.expand(shape).clone(), None


def _frame_chunk(spec: WorldModelSpec) -> int | None:
    """`chunk` of a policy that decides once a frame."""
    several = spec.actions_per_frame > 1 and not isinstance(spec.action, InstructionSpec)
    return spec.actions_per_frame if several else None


BUILT_IN: dict[str, Callable[[WorldModelSpec, torch.device | str], Policy]] = {
    "random": RandomPolicy,
    "hold": HoldPolicy,
}


def load_policy(
    source: str | Path | Policy | Callable[..., Policy],
    spec: WorldModelSpec,
    device: torch.device | str = "cpu",
    options: libraries.PolicyOptions | None = None,
) -> Policy:
    """A policy from its name.

    Args:
        source: "random" or "hold"; a name that an installed package registered ("cem"); "package.module:factory" or
            "path/to/file.py:factory", where the factory takes the world model's spec, or nothing, and returns a
            policy; a folder that an agent saved; "lerobot:FOLDER", "lerobot:organisation/name" or "sb3:FILE.zip"; such
            a factory itself; or a policy, which passes as it is.
        spec: of the world model that it will act in.
        device: where a saved policy is to act.
        options: what a policy of another library must be told; others need none.

    Raises:
        ValueError: nothing of that name, or what came is no policy; the message names the mend.
        FileNotFoundError: no such file or folder.
        ImportError: the library that the policy is of is missing.
    """
    if not isinstance(source, str | Path):
        if isinstance(source, Policy) and not inspect.isclass(source):
            return source
        if callable(source):
            return _called(source, spec, getattr(source, "__name__", repr(source)))
        raise ValueError(f"expected a policy, a factory of one or the name of either, got {type(source).__name__}")
    name = str(source)
    if name in BUILT_IN:
        return BUILT_IN[name](spec, device)
    if (outside := libraries.library_of(name)) is not None:
        return _of_library(*outside, spec, device, options or libraries.PolicyOptions())
    if Path(name).is_dir():
        return _from_folder(Path(name), device)
    if installed := entry_points(group=FACTORIES, name=name):
        return _called(next(iter(installed)).load(), spec, name)
    where, colon, attribute = name.rpartition(":")
    if not colon:
        _refuse(name)
    module = _module(where)
    if not hasattr(module, attribute):
        raise ValueError(f"{where} has no {attribute!r}; it should be a function that returns a policy")
    return _called(getattr(module, attribute), spec, name)


def _of_library(
    library: str, name: str, spec: WorldModelSpec, device: torch.device | str, options: libraries.PolicyOptions
) -> Policy:
    if library == "lerobot":
        from dreamgym.evaluation.policies.libraries.lerobot import load_lerobot

        return load_lerobot(name, spec, device, options)
    from dreamgym.evaluation.policies.libraries.sb3 import load_sb3

    return load_sb3(name, spec, device, options)


def _refuse(name: str) -> None:
    named = [*BUILT_IN, *(entry.name for entry in entry_points(group=FACTORIES))]
    known = (
        f"{named}, 'package.module:factory', 'path/to/file.py:factory', 'lerobot:FOLDER', 'sb3:FILE.zip' or the "
        "folder of a saved policy"
    )
    if "/" in name or "\\" in name or name.startswith("."):
        raise FileNotFoundError(f"no folder {name!r}; a policy is one of {known}")
    raise ValueError(f"unknown policy {name!r}: expected one of {known}")


def _module(where: str) -> ModuleType:
    """The module of that import name or path, as its files are now."""
    _forget_edited(where)
    if not where.endswith(".py"):
        try:
            return importlib.import_module(where)
        except ModuleNotFoundError as error:
            if error.name is None or not where.startswith(error.name):
                raise  # the module is there, something that it imports is not
            raise ValueError(
                f"no module {where!r} to import a policy from: give 'package.module:factory' of an installed package, "
                "or 'path/to/file.py:factory'"
            ) from error
    path = Path(where)
    if not path.is_file():
        raise FileNotFoundError(f"no file {where!r} to read a policy from")
    # A name of its own for each path, so that two files called alike do not replace each other.
    name = f"dreamgym_policy_{path.stem}_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        # Not by the loader: its bytecode counts as fresh when a file of the same size was saved in the same second.
        # The caller named this file on purpose: running it is what "path/to/file.py:factory" asks for.
        exec(compile(path.read_bytes(), str(path), "exec"), module.__dict__)  # noqa: S102
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _forget_edited(where: str) -> None:
    """Takes out of `sys.modules` what a policy imports from its own folder or package, if any of it was edited."""
    now = {file: file_sha256(file) for file in own_files(where)}
    if any(_READ.get(file, code) != code for file, code in now.items()):
        for name, module in list(sys.modules.items()):
            if Path(getattr(module, "__file__", None) or "") in now:
                del sys.modules[name]
        importlib.invalidate_caches()
    _READ.update(now)


def _called(factory: Any, spec: WorldModelSpec, name: str) -> Policy:
    """What the factory makes: called with the spec where it has a parameter that must be given, else with nothing."""
    if isinstance(factory, Policy) and not inspect.isclass(factory):
        return factory
    if not callable(factory):
        raise ValueError(f"{name} is a {type(factory).__name__}, not a policy and not a function that returns one")
    needs = [
        p
        for p in inspect.signature(factory).parameters.values()
        if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    if len(needs) > 1:
        raise ValueError(f"{name} needs {[p.name for p in needs]}: a factory takes the world model's spec, or nothing")
    policy = factory(spec) if needs else factory()
    if not isinstance(policy, Policy):
        raise ValueError(
            f"{name} returned a {type(policy).__name__}, which is no policy: it needs start(num_envs, generator) -> "
            "carry and act(obs, carry, fresh, generator) -> (action, carry)"
        )
    return policy


def read_config(folder: Path) -> dict[str, Any]:
    """config.json of a saved policy.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is no JSON, or does not say which kind of policy this is.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise FileNotFoundError(f"{folder} holds no {CONFIG}, so it is not the folder of a saved policy")
    try:
        config = parse_json(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}): save the policy again, or copy it again") from error
    if not isinstance(config, dict) or not isinstance(config.get("policy"), str):
        raise ValueError(f'{path} does not say which policy it holds: expected a key "policy" with a name')
    return config


def _from_folder(folder: Path, device: torch.device | str) -> Policy:
    kind = read_config(folder)["policy"]
    found = {e.name: e for e in entry_points(group=GROUP)}
    if kind not in found:
        raise ValueError(
            f"{folder} holds a policy of kind {kind!r}, and no installed package loads that kind (known: "
            f"{sorted(found)}); install the package that wrote it, or install it again: loaders are registered in the "
            f"entry-point group {GROUP!r}"
        )
    policy = found[kind].load()(folder, device)
    if not isinstance(policy, Policy):
        raise ValueError(f"the loader of {kind!r} returned a {type(policy).__name__}, which is no policy")
    return policy


def policy_name(source: Any) -> str:
    """What to call a policy: its name, run and folder of a saved one ("run/000100"), or its class."""
    if not isinstance(source, str | Path):
        return getattr(source, "__name__", type(source).__name__)
    name = str(source)
    if (outside := libraries.library_of(source)) is not None:
        return libraries.called(*outside)
    if Path(name).is_dir():
        return "/".join([p for p in Path(name).resolve().parts[-3:] if p != "policies"][-2:])
    where, _, attribute = name.rpartition(":")
    return f"{Path(where).stem}:{attribute}" if where.endswith(".py") else name
