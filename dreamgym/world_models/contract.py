"""Whether a world model keeps the contract of `base.py`.

`check_world_model` is for tests (`dreamgym.testing` has it too); training and finishing call `check_foreign` on models
of families that are not the library's own, before they work for hours.
"""

from __future__ import annotations

import inspect
import json
import traceback
from collections.abc import Callable

import torch
from torch import Tensor

from dreamgym.types import InstructionSpec, State, WorldModelSpec
from dreamgym.world_models.base import WorldModel, clone

OWN = "dreamgym.world_models.families."
"""Modules of the library's own families, whose contract its tests check."""


def check_world_model(model: WorldModel, batch: int = 3, seed: int = 0) -> None:
    """Checks every method but ``loss`` on random observations and actions.

    Shapes, types and ranges; the same generator seed gives the same state; nothing is kept between calls; inputs are
    not written to; what one env holds does not touch another; randomness comes from the generator alone; `unroll` gives
    as many frames as it is asked for, each an ordinary state, and `imagine` is an unroll of one; every embodiment
    shares the model's weights and keeps the same rules under its own action.

    Args:
        model: in eval mode.
        batch: B, at least 2.
        seed: of the random inputs.

    Raises:
        AssertionError: the first rule of the contract that is broken, in words.
    """
    checker = _Checker(model, batch, seed)
    with torch.no_grad():
        for check in (
            checker.spec,
            checker.start,
            checker.imagine,
            checker.observe,
            checker.outputs,
            checker.unroll,
            checker.independence,
            checker.embodiments,
        ):
            check()


def check_foreign(model: WorldModel) -> None:
    """`check_world_model` for a model of a family that does not come with dreamgym; cheap, and draws nothing.

    Args:
        model: in any mode, which it keeps; its weights may be fresh.

    Raises:
        ValueError: it breaks a rule, or raises; the message names the family and the rule, or the line of its file.
    """
    if type(model).__module__.startswith(OWN):
        return
    mode = model.training
    try:
        check_world_model(model.eval())
    except Exception as error:
        broken = str(error) if isinstance(error, AssertionError) else f"{type(error).__name__}: {error}"
        raise ValueError(
            f"family {model.spec.family!r} ({type(model).__name__}) does not keep the contract of world models: "
            f"{broken}{_place(model, error)}; dreamgym.testing.check_world_model(model.eval()) checks it"
        ) from error
    finally:
        model.train(mode)


def _place(model: WorldModel, error: Exception) -> str:
    """The innermost line of the model's own file that the error passed, in brackets; else nothing."""
    file = inspect.getsourcefile(type(model))
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return f" ({file}, line {lines[-1]})" if lines else ""


class _Checker:
    def __init__(self, model: WorldModel, batch: int, seed: int) -> None:
        assert batch >= 2, "batch must be at least 2: independence is checked between envs"
        self.model, self.batch, self.seed = model, batch, seed
        parameter = next(model.parameters(), None)
        self.device = torch.device("cpu") if parameter is None else parameter.device
        draws = torch.Generator().manual_seed(seed)
        history, per_frame = model.spec.history, model.spec.actions_per_frame
        self.instructed = isinstance(model.spec.action, InstructionSpec)
        self.history = self.sensors(history, draws)
        self.history["action"] = self.boxed((history - 1) * per_frame, draws)
        self.action = self.frame_actions(draws)
        self.frame = {k: v[:, 0] for k, v in self.sensors(1, draws).items()}
        self.num_frames = model.spec.action.clip if isinstance(model.spec.action, InstructionSpec) else 3
        self.chunk = self.action if self.instructed else self.boxed(self.num_frames * per_frame, draws)

    def sensors(self, steps: int, draws: torch.Generator) -> dict[str, Tensor]:
        out = {}
        for key, sensor in self.model.spec.observations.items():
            shape = (self.batch, steps, *sensor.shape)
            if sensor.kind == "image":
                out[key] = torch.randint(0, 256, shape, generator=draws, dtype=torch.uint8).to(self.device)
            else:
                out[key] = torch.randn(shape, generator=draws).to(self.device)
        return out

    def boxed(self, steps: int, draws: torch.Generator) -> Tensor:
        """[B, steps, A] random actions, prepared."""
        spec = self.model.spec.control
        low, high = torch.tensor(spec.low), torch.tensor(spec.high)
        random = low + (high - low) * torch.rand((self.batch, steps, spec.dim), generator=draws)
        return spec.prepare(random).to(self.device)

    def frame_actions(self, draws: torch.Generator) -> Tensor:
        """A frame's actions: [B, A], [B, a, A], or instructions [B]."""
        spec = self.model.spec
        if isinstance(spec.action, InstructionSpec):
            return torch.randint(len(spec.action.sentences), (self.batch,), generator=draws).to(self.device)
        actions = self.boxed(spec.actions_per_frame, draws)
        return actions[:, 0] if spec.actions_per_frame == 1 else actions

    def generator(self, extra: int = 0) -> torch.Generator:
        return torch.Generator(self.device).manual_seed(self.seed + extra)

    def begin(self) -> State:
        instruction = [self.model.spec.instructions[0]] * self.batch if self.model.spec.instructions else None
        return self.model.start({k: v.clone() for k, v in self.history.items()}, self.generator(), instruction)

    def step(self, state: State, action: Tensor, extra: int = 1) -> State:
        """One imagined frame."""
        return self.model.imagine(state, action, self.generator(extra))

    # -- the rules --

    def spec(self) -> None:
        spec = self.model.spec
        again = WorldModelSpec.from_dict(json.loads(json.dumps(spec.to_dict())))
        assert again == spec, "spec does not survive JSON: WorldModelSpec.from_dict(spec.to_dict()) differs from it"

    def start(self) -> None:
        state = self.begin()
        self.layout(state, state, "start")
        self.same(state, self.begin(), "start twice with the same generator seed gives different states")
        self.only_generator(self.begin, "start")

    def imagine(self) -> None:
        state = self.begin()
        before = clone(state)
        after = self.step(state, self.action)
        self.layout(after, state, "imagine")
        self.same(state, before, "imagine writes into the state it is given; make new tensors")
        self.step(after, self.action)  # a call in between, which must leave nothing behind
        self.same(
            after, self.step(state, self.action), "imagine twice from one state with one seed differs: a hidden state?"
        )
        if self.action.dim() == 2 and self.action.is_floating_point():
            axis = self.model.imagine(state, self.action.unsqueeze(1), self.generator(1))
            self.same(axis, after, "imagine takes a frame's action as [B, A] and as [B, 1, A] alike")
        self.only_generator(lambda: self.step(state, self.action), "imagine")

    def observe(self) -> None:
        state = self.begin()
        before = clone(state)
        after = self.model.observe(state, self.action, {k: v.clone() for k, v in self.frame.items()}, self.generator())
        self.layout(after, state, "observe")
        self.same(state, before, "observe writes into the state it is given; make new tensors")

    def outputs(self) -> None:
        model, state = self.model, self.step(self.begin(), self.action)
        features = model.features(state)
        want = (self.batch, *model.spec.feature_shape)
        assert tuple(features.shape) == want, f"features have shape {tuple(features.shape)}, the spec says {want}"
        assert features.dtype == torch.float32, f"features must be float32, got {features.dtype}"
        unsure = model.uncertainty(state)
        assert tuple(unsure.shape) == (self.batch,), f"uncertainty must be [B], got {tuple(unsure.shape)}"
        assert bool((unsure >= 0).all()), f"uncertainty must be at least 0 and finite, got {unsure.tolist()}"
        for key in model.spec.decodable:
            self.decoded(key, model.decode(state, [key]))
        try:
            model.decode(state, ["no such key"])
        except ValueError:
            return
        raise AssertionError("decode must raise ValueError for a key outside spec.decodable (call self.check_keys)")

    def decoded(self, key: str, out: dict[str, Tensor]) -> None:
        assert list(out) == [key], f"decode([{key!r}]) must give exactly that key, got {list(out)}"
        value, sensor = out[key], self.model.spec.observations.get(key)
        assert value.dtype == torch.float32, f"decoded {key!r} must be float32, got {value.dtype}"
        assert len(value) == self.batch and value.dim() in (2, 4), f"decoded {key!r} must be [B, d] or [B, C, H, W]"
        if sensor is not None:
            want = (self.batch, *sensor.shape)
            assert tuple(value.shape) == want, f"decoded {key!r} has shape {tuple(value.shape)}, the sensor's is {want}"
        if value.dim() == 4:
            inside = bool(((value >= 0) & (value <= 1)).all())
            assert inside, f"decoded image {key!r} must lie in [0, 1], got {value.min():.3g} to {value.max():.3g}"

    def unroll(self) -> None:
        state = self.begin()
        before = clone(state)
        frames = list(self.model.unroll(state, self.chunk, self.generator()))
        assert len(frames) == self.num_frames, f"unroll must give {self.num_frames} frames here, got {len(frames)}"
        for number, frame in enumerate(frames):
            self.layout(frame, state, f"frame {number} of unroll")
        self.same(state, before, "unroll writes into the state it is given; make new tensors")
        again = list(self.model.unroll(state, self.chunk, self.generator()))
        self.same(frames[-1], again[-1], "unroll twice from one state with one seed differs: a hidden state?")
        self.only_generator(lambda: list(self.model.unroll(state, self.chunk, self.generator()))[-1], "unroll")
        if not self.instructed:
            one = self.chunk[:, : self.model.spec.actions_per_frame]
            (first,) = self.model.unroll(state, one, self.generator(1))
            action = one[:, 0] if self.model.spec.actions_per_frame == 1 else one
            self.same(first, self.step(state, action), "imagine is not an unroll of one frame")

    def embodiments(self) -> None:
        for name, action in self.model.spec.embodiments.items():
            view = self.model.embody(name)
            assert view.spec.action == action, f"embody({name!r}) has the action {view.spec.action}, expected {action}"
            theirs = {k: v.data_ptr() for k, v in view.named_parameters()}
            ours = {k: v.data_ptr() for k, v in self.model.named_parameters()}
            assert theirs == ours, f"embody({name!r}) does not share the model's weights"
            check = _Checker(view, self.batch, self.seed)
            for rule in (check.start, check.imagine, check.observe, check.unroll, check.independence):
                rule()
        try:
            self.model.embody("no such robot")
        except ValueError:
            return
        raise AssertionError("embody must raise ValueError for a robot outside spec.embodiments")

    def independence(self) -> None:
        """Env 0 changes its action and its state; the others must not notice (beyond rounding)."""
        state = self.begin()
        usual = self.step(state, self.action)
        other = self.action.clone()
        other[0] = self.frame_actions(torch.Generator().manual_seed(self.seed + 99))[0]
        shuffled = {k: v.clone() for k, v in state.items()}
        for value in shuffled.values():
            value[0] = value[1]
        for name, changed in (("action", self.step(state, other)), ("state", self.step(shuffled, self.action))):
            self.same(
                {k: v[1:] for k, v in changed.items()},
                {k: v[1:] for k, v in usual.items()},
                f"changing the {name} of env 0 changes what other envs become: batch statistics, or noise not drawn "
                "for the whole batch at once?",
            )

    # -- helpers --

    def layout(self, state: State, like: State, what: str) -> None:
        assert isinstance(state, dict) and state, f"{what} must return a dict of tensors, got {type(state).__name__}"
        assert list(state) == list(like), f"{what} returns keys {list(state)}, start returned {list(like)}"
        for key, value in state.items():
            assert isinstance(value, Tensor), f"{what}: {key!r} is a {type(value).__name__}, not a tensor"
            assert value.dim() >= 1 and len(value) == self.batch, (
                f"{what}: {key!r} has shape {tuple(value.shape)}, not [B, ...]"
            )
            same = value.shape == like[key].shape and value.dtype == like[key].dtype
            want = f"{like[key].dtype} {tuple(like[key].shape)}"
            assert same, f"{what}: {key!r} is {value.dtype} {tuple(value.shape)}, start gave {want}"
            finite = not value.is_floating_point() or not bool(value.isnan().any())
            assert finite, f"{what}: {key!r} holds NaN"

    def same(self, a: State, b: State, message: str) -> None:
        for key, value in a.items():
            close = torch.allclose(value.double(), b[key].double(), rtol=1e-4, atol=1e-5, equal_nan=True)
            assert close, f"{message} (key {key!r})"

    def only_generator(self, call: Callable[[], State], what: str) -> None:
        before = torch.get_rng_state()
        call()
        untouched = torch.equal(before, torch.get_rng_state())
        assert untouched, f"{what} draws from torch's global generator; draw from the generator that is passed in"
