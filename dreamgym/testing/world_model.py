"""Does a world model keep the contract? Call `check_world_model` from your own tests."""

from __future__ import annotations

import json
from collections.abc import Callable

import torch
from torch import Tensor

from dreamgym.types import State, WorldModelSpec
from dreamgym.world_models.base import WorldModel, clone


def check_world_model(model: WorldModel, batch: int = 3, seed: int = 0) -> None:
    """Checks every method but ``loss`` on random observations and actions.

    Shapes, types and ranges; the same generator seed gives the same state; nothing is kept between calls; inputs are
    not written to; what one env holds does not touch another; randomness comes from the generator alone.

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
            checker.independence,
        ):
            check()


class _Checker:
    def __init__(self, model: WorldModel, batch: int, seed: int) -> None:
        assert batch >= 2, "batch must be at least 2: independence is checked between envs"
        self.model, self.batch, self.seed = model, batch, seed
        parameter = next(model.parameters(), None)
        self.device = torch.device("cpu") if parameter is None else parameter.device
        draws = torch.Generator().manual_seed(seed)
        history = model.spec.history
        self.history = {**self.sensors(history, draws), "action": self.actions(history - 1, draws)}
        self.action = self.actions(1, draws)[:, 0]
        self.chunk = self.actions(2 * model.spec.actions_per_frame, draws)
        self.frames = self.sensors(2, draws)

    def sensors(self, steps: int, draws: torch.Generator) -> dict[str, Tensor]:
        out = {}
        for key, sensor in self.model.spec.observations.items():
            shape = (self.batch, steps, *sensor.shape)
            if sensor.kind == "image":
                out[key] = torch.randint(0, 256, shape, generator=draws, dtype=torch.uint8).to(self.device)
            else:
                out[key] = torch.randn(shape, generator=draws).to(self.device)
        return out

    def actions(self, steps: int, draws: torch.Generator) -> Tensor:
        spec = self.model.spec.action
        low, high = torch.tensor(spec.low), torch.tensor(spec.high)
        random = low + (high - low) * torch.rand((self.batch, steps, spec.dim), generator=draws)
        return spec.prepare(random).to(self.device)

    def generator(self, extra: int = 0) -> torch.Generator:
        return torch.Generator(self.device).manual_seed(self.seed + extra)

    def begin(self) -> State:
        return self.model.start({k: v.clone() for k, v in self.history.items()}, self.generator())

    def step(self, state: State, action: Tensor, extra: int = 1) -> State:
        """One imagined frame."""
        per_frame = self.model.spec.actions_per_frame
        if per_frame > 1:
            action = action.unsqueeze(1).expand(-1, per_frame, -1)
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
        self.layout(self.model.imagine(state, self.chunk, self.generator()), state, "imagine with a chunk [B, j, A]")
        self.only_generator(lambda: self.step(state, self.action), "imagine")

    def observe(self) -> None:
        state = self.begin()
        before = clone(state)
        after = self.model.observe(state, self.chunk[:, :2], self.frames, self.generator())
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

    def independence(self) -> None:
        """Env 0 changes its action and its state; the others must not notice (beyond rounding)."""
        state = self.begin()
        usual = self.step(state, self.action)
        other = self.action.clone()
        other[0] = self.actions(1, torch.Generator().manual_seed(self.seed + 99))[0, 0]
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
