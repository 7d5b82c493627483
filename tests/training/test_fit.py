import json
import os
import signal
import subprocess
import sys
import time
import types
from pathlib import Path
from typing import Any

import calvin_rssm
import pytest
import torch
from torch import Tensor

from dreamgym.training.fit import FitConfig, fit
from dreamgym.training.progress import latest, load_averaged
from dreamgym.world_models.families.rssm import RSSM
from dreamgym.world_models.recipe import Stage

SMALL = {"deter": 16, "stoch": 4, "classes": 4, "units": 16, "embed": 16, "vector_units": 16, "ensemble_units": 4}


class Vectors:
    """Batches of a state that follows the actions; batch i is a function of i."""

    def __init__(self, size: int = 4, length: int = 8, fixed: bool = False) -> None:
        self.size, self.length, self.fixed = size, length, fixed

    def batch(self, step: int) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(0 if self.fixed else step)
        action = torch.rand(self.size, self.length, 7, generator=generator) * 2 - 1
        place = torch.cat([torch.zeros(self.size, 1, 2), action[:, :-1, :2].cumsum(1)], dim=1) * 0.1
        robot, scene = torch.zeros(self.size, self.length, 15), torch.zeros(self.size, self.length, 24)
        robot[..., :2], scene[..., :2] = place, place
        scene[..., 4] = (place[..., 0] > 0).float()
        first = torch.zeros(self.size, self.length, dtype=torch.bool)
        return {"robot_obs": robot, "scene_obs": scene, "action": action, "is_first": first}


class Poisoned(Vectors):
    def batch(self, step: int) -> dict[str, Tensor]:
        return {k: v * float("nan") if k == "robot_obs" else v for k, v in super().batch(step).items()}


def model() -> RSSM:
    torch.manual_seed(0)
    return RSSM(calvin_rssm.tiny(variant="state", **SMALL))


def config(steps: int, **changes: object) -> FitConfig:
    return FitConfig(**{"steps": steps, "lr": 3e-3, "warmup": 5, "log_every": 1, "ema": 0.9, **changes})


def curve(run_dir: Path) -> list[tuple[int, float]]:
    lines = [json.loads(line) for line in (run_dir / "log.jsonl").read_text().splitlines()]
    return [(line["step"], line["loss"]) for line in lines if "loss" in line]


def test_overfits_one_batch(tmp_path: Path) -> None:
    result = fit(model(), Vectors(fixed=True), config(300), tmp_path)
    losses = dict(curve(tmp_path))
    assert result.step == 300
    assert losses[300] < 0.2 * losses[1]


def test_resumed_run_follows_the_unbroken_curve(tmp_path: Path) -> None:
    whole, broken = model(), model()
    fit(whole, Vectors(), config(12), tmp_path / "whole")
    fit(broken, Vectors(), config(7), tmp_path / "broken")
    again = model()
    fit(again, Vectors(), config(12), tmp_path / "broken")
    assert curve(tmp_path / "broken") == curve(tmp_path / "whole")
    for name, value in whole.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name


def test_killed_run_follows_the_unbroken_curve(tmp_path: Path) -> None:
    """kill -9 in the middle, somewhere after a save; the log it leaves may run ahead of its saved progress."""
    script = (
        "import sys, time; sys.path.insert(0, sys.argv[1]); import test_fit as t\n"
        "class Slow(t.Vectors):\n"
        "    def batch(self, step):\n"
        "        time.sleep(0.1 if step > 5 else 0)\n"
        "        return super().batch(step)\n"
        "t.fit(t.model(), Slow(), t.config(40, save_every=0.3), sys.argv[2])\n"
    )
    killed = tmp_path / "killed"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    process = subprocess.Popen([sys.executable, "-c", script, str(Path(__file__).parent), str(killed)], env=environment)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not (latest(killed) and len(curve(killed)) >= 10):
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    reached = latest(killed)
    assert reached is not None
    assert reached.name != "step_00000040", "the run ended before it was killed"
    resumed, whole = model(), model()
    fit(resumed, Vectors(), config(40), killed)
    fit(whole, Vectors(), config(40), tmp_path / "whole")
    assert curve(killed) == curve(tmp_path / "whole")
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name


def test_half_written_progress_is_ignored(tmp_path: Path) -> None:
    fit(model(), Vectors(), config(3), tmp_path)
    (tmp_path / "progress" / ".tmp-1-abc").mkdir()
    (tmp_path / "progress" / "step_00000009").mkdir()
    assert fit(model(), Vectors(), config(4), tmp_path).step == 4


def test_progress_holds_no_pickle(tmp_path: Path) -> None:
    fit(model(), Vectors(), config(2), tmp_path)
    saved = latest(tmp_path)
    assert saved is not None
    assert {p.suffix for p in saved.iterdir()} == {".safetensors", ".json"}


def test_only_the_newest_two_are_kept(tmp_path: Path) -> None:
    fit(model(), Vectors(), config(5, save_every=0.0), tmp_path)
    assert sorted(p.name for p in (tmp_path / "progress").iterdir()) == ["step_00000004", "step_00000005"]


def test_the_first_save_comes_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dreamgym.training import fit as module

    clock = iter(range(0, 100_000, 7))  # seconds, at every look
    own = types.SimpleNamespace(monotonic=lambda: float(next(clock)))
    monkeypatch.setattr(module, "time", own)  # the progress line of logs looks at the clock too
    saved: list[int] = []
    monkeypatch.setattr(module, "save_progress", lambda run, step, *rest: saved.append(step))
    fit(model(), Vectors(), config(30, log_every=100), tmp_path)
    assert saved[0] in (2, 3)
    assert saved[1] - saved[0] > 10


def test_average_is_what_is_evaluated_and_loaded(tmp_path: Path) -> None:
    seen = {}

    def look(m: RSSM, step: int) -> dict[str, float]:
        seen[step] = m.dynamics.gates.weight.detach().clone()
        return {"metric": float(step)}

    trained = model()
    result = fit(trained, Vectors(), config(5, eval_every=5), tmp_path, look)
    saved = latest(tmp_path)
    assert saved is not None
    loaded = model()
    load_averaged(saved, loaded)
    assert result.metrics == {"metric": 5.0}
    assert torch.equal(loaded.dynamics.gates.weight, seen[5])
    assert not torch.equal(trained.dynamics.gates.weight, seen[5])


def test_run_of_another_model_is_refused(tmp_path: Path) -> None:
    fit(model(), Vectors(), config(2), tmp_path)
    other = RSSM(calvin_rssm.tiny(variant="state", **{**SMALL, "deter": 24}))
    with pytest.raises(ValueError, match="new run directory"):
        fit(other, Vectors(), config(3), tmp_path)


def test_non_finite_gradients_leave_the_weights_and_end_the_run(tmp_path: Path) -> None:
    poisoned = model()
    before = {k: v.clone() for k, v in poisoned.state_dict().items()}
    with pytest.raises(FloatingPointError, match="20 updates in a row"):
        fit(poisoned, Poisoned(), config(50), tmp_path)
    assert all(torch.equal(v, before[k]) for k, v in poisoned.state_dict().items())


@pytest.mark.parametrize(
    ("losses", "told"),
    [
        (lambda x: x.mean(), r"returned a tensor torch.float32 \[\]: expected a dict of scalar tensors"),
        (lambda x: {"total": x.mean()}, r"returned the keys \['total'\]: .*\"loss\", which is minimised"),
        (lambda x: {"loss": x.mean((0, 2))}, r"a tensor torch.float32 \[8\] as 'loss', not a scalar .* take its mean"),
        (lambda x: {"loss": x.mean(), "kl": 0.5}, r"returned 0.5 \(float\) as 'kl', not a scalar tensor"),
        (lambda x: {"loss": x.mean().detach()}, "depends on no trained parameter"),
    ],
)
def test_a_loss_of_another_form_is_told_with_what_it_returned(tmp_path: Path, losses: Any, told: str) -> None:
    def loss(trained: Any, batch: dict[str, Tensor], generator: torch.Generator) -> Any:
        return losses(batch["action"] * next(trained.parameters()).sum())

    with pytest.raises(ValueError, match=rf"the loss of RSSM \(stage 'own'\) .*{told}"):
        fit(model(), Vectors(), config(2), tmp_path, stages=[Stage(name="own", loss=loss)])


def test_error_of_the_sampler_reaches_the_caller(tmp_path: Path) -> None:
    class Broken(Vectors):
        def batch(self, step: int) -> dict[str, Tensor]:
            if step == 2:
                raise OSError("disk gone")
            return super().batch(step)

    with pytest.raises(OSError, match="disk gone"):
        fit(model(), Broken(), config(5), tmp_path)


def test_rate_warms_up_and_cools_down() -> None:
    c = FitConfig(steps=100, lr=1.0, warmup=10, cooldown=20)
    assert [round(c.rate_at(s), 2) for s in (0, 9, 50, 90, 99)] == [0.1, 1.0, 1.0, 0.5, 0.05]


@pytest.mark.parametrize("changes", [{"precision": "fp8"}, {"steps": 0}, {"lr": 0.0}])
def test_bad_config_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(changes))):
        FitConfig(**changes)


def test_a_stop_while_the_settings_are_written_does_not_lose_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit(model(), Vectors(), config(3), tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.write_text", lambda path, text, **_: path.open("w").close() or 1 / 0)
        with pytest.raises(ZeroDivisionError):
            fit(model(), Vectors(), config(6), tmp_path)
    assert json.loads((tmp_path / "fit.json").read_text())["steps"] == 3
