"""Stages of a run: optimizers, frozen parts, averages and changes of the model, on a regression that shows each."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dreamgym.training import checkpoint
from dreamgym.training.checkpoint import CheckpointError
from dreamgym.training.fit import FitConfig, FitResult, fit
from dreamgym.training.frozen import load_own
from dreamgym.training.progress import latest, load_averaged
from dreamgym.training.stages import plan
from dreamgym.types import ActionSpec, ObservationSpec, WorldModelSpec
from dreamgym.world_models.base import WorldModel
from dreamgym.world_models.recipe import ParameterGroup, Stage
from dreamgym.world_models.registry import register_family


class Config:
    def to_dict(self) -> dict[str, Any]:
        return {}


class Line(WorldModel):
    """Encoder, dynamics and decoder of one number; a backbone that is never trained."""

    family = "line"
    backbone_weight = 2.0
    backbone_name = "backbone"

    def __init__(self, backbone: float = 2.0) -> None:
        super().__init__()
        self.config = Config()
        sensors, action = {"x": ObservationSpec("vector", (1,))}, ActionSpec((-1.0,), (1.0,))
        self.spec = WorldModelSpec("line", sensors, action, feature_shape=(1,), decodable=("x",))
        self.encoder, self.decoder, self.backbone = (nn.Linear(1, 1) for _ in range(3))
        nn.init.constant_(self.backbone.weight, backbone)
        nn.init.zeros_(self.backbone.bias)
        self.backbone.requires_grad_(False)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Line":
        return cls(cls.backbone_weight)

    def frozen_modules(self) -> Mapping[str, str]:
        return {self.backbone_name: "numbers-v1"}

    def start(self, history: Any, generator: Any = None, instruction: Any = None) -> dict[str, Tensor]:
        return {"x": history["x"][:, -1]}

    def observe(self, state: Any, action: Tensor, obs: Any, generator: Any = None) -> dict[str, Tensor]:
        return {"x": obs["x"]}

    def imagine(self, state: Any, action: Tensor, generator: Any = None) -> dict[str, Tensor]:
        return {"x": state["x"] + action.view(-1, 1)}

    def features(self, state: Any) -> Tensor:
        return state["x"]

    def decode(self, state: Any, keys: Any) -> dict[str, Tensor]:
        return {"x": state["x"]}

    def uncertainty(self, state: Any) -> Tensor:
        return state["x"].abs()[:, 0]

    def loss(self, batch: dict[str, Tensor], generator: Any = None) -> dict[str, Tensor]:
        noise = torch.rand(batch["x"].shape, generator=generator)
        out = self.decoder(self.encoder(self.backbone(batch["x"]))) + 0.1 * noise
        return {"loss": (out - batch["y"]).square().mean()}

    def other(self, batch: dict[str, Tensor], generator: Any = None) -> dict[str, Tensor]:
        return {"loss": (self.encoder(batch["x"]) - 5).square().mean()}


class Numbers:
    def batch(self, step: int) -> dict[str, Tensor]:
        x = torch.rand(8, 1, generator=torch.Generator().manual_seed(step))
        return {"x": x, "y": 3 * x + 1}


def line() -> Line:
    torch.manual_seed(0)
    return Line()


class Adapted(nn.Module):
    """A layer with an adapter beside it, as LoRA's."""

    def __init__(self, base: nn.Linear) -> None:
        super().__init__()
        self.base, self.adapter = base, nn.Linear(1, 1, bias=False)


def adapt(model: WorldModel) -> None:
    adapted = Adapted(model.decoder)
    adapted.forward = lambda x: adapted.base(x) + adapted.adapter(x)
    model.decoder = adapted


def merge(model: WorldModel) -> None:
    adapted = model.decoder
    with torch.no_grad():
        adapted.base.weight += adapted.adapter.weight
    model.decoder = adapted.base


STAGES = (
    Stage("encode", updates=4, frozen=("decoder.*",), loss="other"),
    Stage("adapt", updates=4, trains=("*adapter*",), begin=adapt, end=merge),
    Stage("joint", updates=4, groups=(ParameterGroup(("encoder.*",), lr=1e-4, weight_decay=0.0),), ema=0.0),
)


def run(model: Line, folder: Path, steps: int = 12, stages: tuple[Stage, ...] = STAGES, **changes: Any) -> FitResult:
    settings = {"lr": 1e-2, "warmup": 2, "ema": 0.5, "log_every": 1, "weight_decay": 0.0, **changes}
    return fit(model, Numbers(), FitConfig(steps=steps, **settings), folder, stages=stages)


def curve(folder: Path) -> list[dict[str, Any]]:
    lines = [json.loads(text) for text in (folder / "log.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "seconds_per_update"} for line in lines]


def test_updates_are_divided_by_number_and_share():
    stages = (Stage("a", updates=10), Stage("b", share=1), Stage("c", share=3))
    assert [(s.start, s.stop) for s in plan(stages, 50)] == [(0, 10), (10, 20), (20, 50)]
    assert [(s.start, s.stop) for s in plan(stages, 6)] == [(0, 6), (6, 6), (6, 6)]
    assert [(s.start, s.stop) for s in plan((Stage("a", updates=3), Stage("b", updates=3)), 9)] == [(0, 3), (3, 9)]


def test_each_stage_trains_its_own_and_is_named_in_the_log(tmp_path: Path):
    model = line()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    run(model, tmp_path / "one", steps=4)
    assert not torch.equal(model.encoder.weight, before["encoder.weight"])
    assert torch.equal(model.decoder.weight, before["decoder.weight"])
    assert torch.equal(model.backbone.weight, before["backbone.weight"])
    run(line(), tmp_path / "all")
    assert [entry["stage"] for entry in curve(tmp_path / "all")] == ["encode"] * 4 + ["adapt"] * 4 + ["joint"] * 4


def test_the_rate_warms_up_in_every_stage(tmp_path: Path):
    run(line(), tmp_path)
    rates = [entry["lr"] for entry in curve(tmp_path)]
    assert rates == [0.005, 0.01, 0.01, 0.01] * 3


def test_a_group_has_its_own_rate(tmp_path: Path):
    only = (Stage("joint", groups=(ParameterGroup(("encoder.*",), lr=1e-9),)),)
    model = line()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    run(model, tmp_path, steps=3, stages=only)
    assert torch.allclose(model.encoder.weight, before["encoder.weight"], atol=1e-7)
    assert not torch.allclose(model.decoder.weight, before["decoder.weight"], atol=1e-3)


def test_after_the_last_stage_the_model_is_the_familys_own(tmp_path: Path):
    model = line()
    run(model, tmp_path)
    assert model.state_dict().keys() == line().state_dict().keys()


def test_a_stage_begins_from_the_averaged_weights(tmp_path: Path):
    stages = (Stage("first", updates=4), Stage("second", updates=1))
    model = line()
    run(model, tmp_path, steps=4, stages=stages)
    averaged = line()
    load_averaged(latest(tmp_path), averaged)
    again = line()
    run(again, tmp_path, steps=5, stages=stages, lr=1e-12)
    assert torch.allclose(again.decoder.weight, averaged.decoder.weight, atol=1e-7)
    assert not torch.allclose(again.decoder.weight, model.decoder.weight, atol=1e-7)


@pytest.mark.parametrize("reached", [2, 4, 5, 7, 8, 11])
def test_a_run_resumes_in_any_stage_to_the_same_curve(tmp_path: Path, reached: int):
    whole, again = line(), line()
    run(whole, tmp_path / "whole")
    run(line(), tmp_path / "broken", steps=reached)
    run(again, tmp_path / "broken")
    assert curve(tmp_path / "broken") == curve(tmp_path / "whole")
    assert all(torch.equal(value, whole.state_dict()[key]) for key, value in again.state_dict().items())


def test_other_stages_are_refused(tmp_path: Path):
    run(line(), tmp_path, steps=5)
    with pytest.raises(ValueError, match="its stages were others at update 5"):
        run(line(), tmp_path, stages=(Stage("encode", updates=6), *STAGES[1:]))


def test_a_stage_that_trains_nothing_and_a_group_of_nobody_are_named(tmp_path: Path):
    with pytest.raises(ValueError, match="'idle' trains no parameter"):
        run(line(), tmp_path, stages=(Stage("idle", frozen=("*",)),))
    with pytest.raises(ValueError, match=r"no trained parameter matches \('nobody',\)"):
        run(line(), tmp_path, stages=(Stage("all", groups=(ParameterGroup(("nobody",)),)),))


def test_a_stage_may_have_batches_of_its_own(tmp_path: Path):
    asked = []

    class Counted(Numbers):
        def __init__(self, name: str) -> None:
            self.name = name

        def batch(self, step: int) -> dict[str, Tensor]:
            asked.append((self.name, step))
            return super().batch(step)

    stages = (Stage("first", updates=2), Stage("second", updates=2))
    samplers = {stage.name: Counted(stage.name) for stage in stages}
    fit(line(), samplers, FitConfig(steps=4, warmup=1), tmp_path, stages=stages)
    assert asked == [("first", 0), ("first", 1), ("second", 2), ("second", 3)]


# -- frozen parts --


def test_frozen_parts_stand_in_no_file_and_come_back(tmp_path: Path):
    from safetensors.torch import load_file

    register_family("line", Line)
    model = line()
    run(model, tmp_path / "run", steps=4)
    folder = checkpoint.save(tmp_path / "dream", model)
    saved = latest(tmp_path / "run")
    for file in (folder / "model.safetensors", saved / "model.safetensors", saved / "ema.safetensors"):
        assert not [key for key in load_file(file) if key.startswith("backbone")]
    opened = checkpoint.load(folder).model
    assert all(torch.equal(value, opened.state_dict()[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize("name", ["backbone", "backbone."])
def test_other_frozen_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str):
    register_family("line", Line)
    monkeypatch.setattr(Line, "backbone_name", name)
    folder = checkpoint.save(tmp_path / "dream", line())
    run(line(), tmp_path / "run", steps=1)
    monkeypatch.setattr(Line, "backbone_weight", 2.5)
    with pytest.raises(CheckpointError, match=r"frozen part 'backbone' was .*numbers-v1"):
        checkpoint.load(folder)
    with pytest.raises(ValueError, match="frozen part 'backbone'"):
        run(Line(2.5), tmp_path / "run", steps=2)


@pytest.mark.parametrize("name", ["bakcbone", "", "backbone.weight"])
def test_frozen_parts_without_weights_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str):
    register_family("line", Line)
    monkeypatch.setattr(Line, "backbone_name", name)
    with pytest.raises(ValueError, match=rf"names '{name}', to which none of its tensors belongs"):
        checkpoint.save(tmp_path / "dream", line())
    with pytest.raises(ValueError, match=rf"names '{name}'"):
        run(line(), tmp_path / "run", steps=1)


def test_own_parameters_must_all_be_there():
    with pytest.raises(RuntimeError, match=r"missing \['encoder.weight'\]"):
        load_own(
            line(),
            {
                k: v
                for k, v in line().state_dict().items()
                if k.split(".")[0] not in ("backbone",) and k != "encoder.weight"
            },
        )
