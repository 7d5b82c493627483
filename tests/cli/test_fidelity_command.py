"""`dreamgym fidelity`."""

import json
from pathlib import Path

import pytest
import torch

from dreamgym import cli
from dreamgym.training import checkpoint


def test_fidelity_tables_every_measure_and_writes_it(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["fidelity", "--checkpoint", str(world / "bare"), "--store", str(world / "play")]
    cli.main([*words, "--windows", "4", "--steps", "10", "--json", str(world / "figures.json")])
    curves = json.loads((world / "figures.json").read_text())["curves"]
    shown = capsys.readouterr().out
    assert curves
    assert all(name in shown for name in curves)


def test_fidelity_is_written_into_the_card_and_nothing_else_changes(world: Path) -> None:
    before = checkpoint.load(world / "bare")
    cli.main(["fidelity", "--checkpoint", str(world / "bare"), "--store", str(world / "play"), "--windows", "4",
              "--steps", "10", "--write"])  # fmt: skip
    after = checkpoint.load(world / "bare")
    assert after.metrics["fidelity"]["windows"] == 4
    assert before.spec.uncertainty_limit is None
    assert after.spec.uncertainty_limit == pytest.approx(after.metrics["fidelity"]["uncertainty"]["p99"], rel=1e-3)
    assert "## Fidelity" in (world / "bare" / "README.md").read_text()
    assert all(torch.equal(v, before.model.state_dict()[k]) for k, v in after.model.state_dict().items())


def test_what_cannot_be_written_is_told_before_anything_is_measured(world: Path) -> None:
    with pytest.raises(SystemExit, match="pusht comes with dreamgym and stays as it is"):
        cli.main(["fidelity", "--checkpoint", "pusht", "--store", str(world / "nowhere"), "--write"])
    with pytest.raises(SystemExit, match="--json .* is a folder"):
        cli.main(["fidelity", "--checkpoint", "pusht", "--store", str(world / "nowhere"), "--json", str(world)])


def test_fidelity_of_a_store_without_held_out_episodes_is_refused(world: Path) -> None:
    with pytest.raises(SystemExit, match="dreamgym: "):
        cli.main(["fidelity", "--checkpoint", str(world / "bare"), "--store", str(world / "empty")])
