"""Figures of the README and of docs/architecture.md are those of the result files."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import mean

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = " ".join((ROOT / "README.md").read_text().split())


def results(name: str) -> dict:
    return json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text())


def table_row(page: str, *first: str) -> list[str]:
    """The cells of the table row of a page that begins with these."""
    rows = [line.strip("| \n").split("|") for line in (ROOT / page).read_text().splitlines() if line.startswith("|")]
    found = [[c.strip() for c in row] for row in rows if tuple(c.strip() for c in row[: len(first)]) == first]
    assert len(found) == 1, f"{page}: {len(found)} rows begin with {first}"
    return found[0][len(first) :]


@pytest.mark.parametrize(
    ("variant", "row"),
    [("vision", "world model from pixels (`Dream-CALVIN-v0`)"), ("state", "world model from states")],
)
def test_diwas_gain(variant: str, row: str) -> None:
    rows = [r for r in results("diwa")["rows"] if r["variant"] == variant]
    told = [f"{100 * mean(r[side] for r in rows):.1f}%" for side in ("base", "tuned")]
    assert table_row("README.md", row) == told


@pytest.mark.parametrize("task", ["close_drawer", "move_slider_right", "turn_on_lightbulb"])
def test_longer_cloning_beside_fine_tuning(task: str) -> None:
    policies = {p["name"]: p["real"] for p in results("agreement")["policies"]}
    told = [f"{100 * policies[f'{task}_{kind}']:.3g}%" for kind in ("120", "tuned_56")]
    assert table_row("README.md", f"`{task}`") == told


def test_pusht_names_the_perceptron_and_the_disc_that_stands_still() -> None:
    rows = [r for r in results("warpd_pusht")["rows"] if r["perturbation"] == 100 and r["preset"] == "tiny"]

    def covered(method: str, horizon: int | None = None) -> str:
        chosen = [r["success"] for r in rows if r["method"] == method and horizon in (None, r["horizon"])]
        return f"{mean(chosen):.2f}"

    assert f"it covers {covered('warpd', 128)} of the outline" in README
    assert f"a diffusion policy {covered('diffusion_policy', 128)}" in README
    assert f"A disc that stands still covers {covered('still')}" in README
    assert f"One perceptron that decides at every step covers {covered('mlp')}" in README


def test_metaworld_names_the_perceptron() -> None:
    rows = [r for r in results("warpd_metaworld")["rows"] if r["success"] is not None]

    def success(method: str, size: str) -> str:
        return f"{100 * mean(r['success'] for r in rows if r['method'] == method and r['size'] == size):.0f}%"

    assert f"ten tasks: {success('warpd', '128')} with policies of 128 x 2" in README
    assert f"{success('mlp', '128')} ({success('mlp', '512')} at 512 x 2)" in README


def test_frames_of_calvin() -> None:
    speed = results("calvin_parity")["speed_two_64x64_cameras"]
    thin, stock = speed["thin"]["speed_up"], speed["stock"]["speed_up"]
    assert f"come {thin:.1f} times as fast" in README
    assert f"That is {stock:.1f} times with the stock meshes" in README
    assert f"and {thin / stock:.1f} times again" in README


@pytest.mark.parametrize("num_envs", [1, 16, 64, 256, 1024])
def test_speed(num_envs: int) -> None:
    measured = results("throughput")
    over_bare = ("core_over_bare", "core_over_bare_without_successes", "core_over_bare_inference_without_successes")
    over_torchrl = ("torchrl_over_worldmodelenv", "torchrl_over_worldmodelenv_without_successes")
    ratios = [measured["ratios"][name][str(num_envs)] for name in (*over_bare, *over_torchrl)]
    core = {"face": "core", "num_envs": num_envs, "reward": "success", "uncertainty": False}
    rate = next(r["steps_per_s"] for r in measured["rows"] if core.items() <= r.items())
    told = table_row("README.md", f"{num_envs:,}")
    assert [float(cell) for cell in told[:5]] == pytest.approx(ratios, abs=0.0051)
    assert told[5] == f"{rate:,.0f}"


def test_files_crossed() -> None:
    files = {side: told["files"] for side, told in results("files_crossed").items()}
    for row, name in (
        ("a step of `Dream-PlayTable-v0` (16 envs, numpy), no env ends", "quiet_step"),
        ("the same, some envs end and begin anew", "ending_step"),
        ("the same with `fast=False`", "plain_step"),
        ("`dreamgym fit` of an RSSM on vectors, 2 updates", "training_run"),
    ):
        told = [str(files["before"].get(name, "no such switch")), str(files["now"][name])]
        assert table_row("docs/architecture.md", row) == told
