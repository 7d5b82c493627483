"""Figures of README and docs are those of the result files: tables are rebuilt, sentences looked up."""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path
from statistics import mean

import pytest

from dreamgym.evaluation.statistics.inference import difference

ROOT = Path(__file__).resolve().parents[1]
README = " ".join((ROOT / "README.md").read_text().split())
PAGES = ["README.md", *sorted(f"docs/{p.name}" for p in ROOT.glob("docs/*.md"))]
RENDERED = ROOT / "docs" / "results"
NOT_YET_REBUILT = {
    "docs/lac_wm.md": [""],
    "docs/reliability.md": ["Work", "Dream"],
    "docs/warpd.md": ["decoder", "", "method", "what"],
}
"""First heads of tables of measured figures, or of sizes, that no program writes."""
PAGES_NOT_YET_REBUILT = {"docs/planning.md"}
"""Pages of which no program writes a table yet. Neither list is to grow."""
NUMBER = re.compile(r"^[*`+-]*\d[\d.,]*\b")


def results(name: str) -> dict:
    return json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text())


@pytest.fixture(scope="module")
def benchmarks():
    """Imports a module of benchmarks/ or benchmarks/warpd/ as it is when it is run."""
    pytest.importorskip("matplotlib")
    with pytest.MonkeyPatch.context() as patch:
        for folder in ("benchmarks/warpd", "benchmarks"):
            patch.syspath_prepend(ROOT / folder)
        yield importlib.import_module


def tables(text: str) -> list[list[list[str]]]:
    """The cells of each Markdown table that stands outside of markers, its head first."""
    found, marked, inside = [], False, False
    for line in text.splitlines():
        row = line.strip().startswith("|")
        if line.startswith("<!-- ") and line.endswith((": begin -->", ": end -->")):
            marked = line.endswith(": begin -->")
        if row and not marked:
            found += [] if inside else [[]]
            found[-1].append([cell.strip() for cell in line.strip().strip("|").split("|")])
        inside = row
    return found


def holds_figures(rows: list[list[str]]) -> bool:
    """Whether most cells of a table's body, its first column aside, begin with a number."""
    cells = [cell for row in rows[2:] for cell in row[1:] if cell]
    return 2 * sum(bool(NUMBER.match(cell)) for cell in cells) > len(cells)


def test_tables_of_the_pages_are_those_of_the_results(benchmarks, capsys) -> None:
    assert benchmarks("figures").main(["--check"]) == 0, capsys.readouterr().out


def test_a_figure_that_was_changed_by_hand_is_noticed(benchmarks) -> None:
    figures, page = benchmarks("figures"), (ROOT / "README.md").read_text()
    assert figures.rebuilt("README.md", page.replace("49.5%", "59.5%")) == page
    with pytest.raises(ValueError, match="needs its table between"):
        figures.rebuilt("README.md", page.replace("<!-- speed: end -->", ""))


@pytest.mark.parametrize("page", [page for page in PAGES if page not in PAGES_NOT_YET_REBUILT])
def test_every_table_of_figures_is_rebuilt(page: str) -> None:
    written = [rows[0][0] for rows in tables((ROOT / page).read_text()) if holds_figures(rows)]
    assert sorted(written) == sorted(NOT_YET_REBUILT.get(page, [])), "write it by benchmarks/figures.py"


@pytest.mark.parametrize("name", ["diwa_results", "warpd", "converged_clones_page"])
def test_rendered_pages_are_those_of_the_results(name: str, benchmarks, tmp_path, monkeypatch) -> None:
    if name == "warpd":
        plot = benchmarks("plot")
        for picture in RENDERED.glob("warpd_*.png"):  # a page shows the pictures that lie beside it
            (tmp_path / picture.name).touch()
        monkeypatch.setattr(plot, "save", lambda figure, path: figure.clf())
        plot.render(plot.RESULTS, tmp_path, "tiny")
    elif name == "diwa_results":
        module = benchmarks(name)
        monkeypatch.setattr(module, "DOCS", tmp_path)
        monkeypatch.setattr(module, "save_figure", lambda figure, path: None)
        module.main()
    else:
        module = benchmarks(name)
        if not module.RESULT.is_file():
            pytest.skip("no row is there yet")
        monkeypatch.setattr(module, "PAGE", tmp_path / module.PAGE.name)
        module.main([])
    made = {f.name: f.read_text() for f in tmp_path.glob("*.md")}
    assert made and made == {f: (RENDERED / f).read_text() for f in made}


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

    def counts(method: str) -> tuple[float, int]:
        own = [r for r in rows if (r["method"], r["size"]) == (method, "128")]
        episodes = [10 * r["episodes"] for r in own]  # so many of each of ten tasks
        return sum(n * r["success"] for n, r in zip(episodes, own, strict=True)), sum(episodes)

    ahead, low, high = (f"{100 * x:.1f}" for x in difference(counts("mlp"), counts("warpd")))
    assert f"it is {ahead} points ahead ({low} to {high}), on PushT behind" in README


def test_frames_of_calvin() -> None:
    speed = results("calvin_parity")["speed_two_64x64_cameras"]
    thin, stock = speed["thin"]["speed_up"], speed["stock"]["speed_up"]
    assert f"come {thin:.1f} times as fast" in README
    assert f"That is {stock:.1f} times with the stock meshes" in README
    assert f"and {thin / stock:.1f} times again" in README


WITHOUT_ORIGIN = {"calvin_parity", "state_dreams", "state_tuning"}
"""Result files that were measured before their programs wrote the commit. The set may only shrink."""


@pytest.mark.parametrize("file", sorted((ROOT / "benchmarks" / "results").glob("*.json")), ids=lambda file: file.stem)
def test_result_files_say_at_which_commit_and_on_which_machine_they_were_made(file: Path) -> None:
    told = json.loads(file.read_text())
    parts = [told] if "commit" in told else told.get("rows") or told.get("series") or list(told.values())
    named = all(isinstance(part, dict) and part.get("commit") for part in parts)
    on_a_machine = "machine" in told or all(isinstance(part, dict) and "machine" in part for part in parts)
    if file.stem in WITHOUT_ORIGIN:
        assert not named, f"{file.stem} names its commit now: take it off the list"
    else:
        assert named and (on_a_machine or file.stem == "files_crossed")
