"""The tables of the experiment from converged clones are those of its rows."""

import importlib
import json
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def pages():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        yield importlib.import_module("converged_clones_page")


def row(task="open_drawer", seed=0, base="0101010101", tuned="1101011101", variant="dream", **changes):
    def share(outcomes):
        return sum(int(x) for x in outcomes) / len(outcomes)

    out = {
        "task": task, "demonstrations": 5, "seed": seed, "variant": variant, "scene": "playtable",
        "world_model": "playtable", "operators": ["slow", "hasty"], "epochs": 1600, "starts": list(range(len(base))),
        "base": share(base), "base_outcomes": base, "base_imagined": 0.8, "world_sim_steps": 246423,
        "commit": "abcdef12",
        "hashes": {"model": "m", "demonstrations": f"{task}{seed}"}, "machine": "a box", "library_version": "1",
        "settings": {"epochs": [400, 1600], "episodes": 10, "val_episodes": 5},
    }  # fmt: skip
    if variant != "gaussian":
        out |= {"tuned": share(tuned), "tuned_outcomes": tuned, "tuned_imagined": 0.9}
        out |= {"dream_steps": 0 if "online" in variant else 1000, "sim_steps": 7000 if "online" in variant else 0}
    return out | changes


def write(work, rows):
    (work / "rows").mkdir(parents=True)
    for i, told in enumerate(rows):
        (work / "rows" / f"{i}.json").write_text(json.dumps(told))
    return work


def test_means_and_gains_are_those_of_the_outcomes(pages):
    rows = [row(), row(seed=1, base="0001010101"), row("turn_on_led", base="1111111111", tuned="0111111111")]
    lines = pages.task_table(rows).splitlines()
    drawer, led, mean = ([c.strip() for c in line.strip("|").split("|")] for line in lines[2:])
    assert (
        drawer[:3] == ["`open_drawer`", "2", "1,600, 1,600"]
        and drawer[3].startswith("45 (")
        and drawer[4].startswith("70 (")
    )
    assert drawer[5].startswith("**+25.0**") and led[5].startswith("**-10.0**")
    assert mean[3:5] == ["72.5", "80.0"] and mean[5].startswith("**+7.5**")


def test_the_page_says_how_much_of_the_plan_is_there_and_what_the_dream_cost(pages, tmp_path):
    told = pages.gathered([write(tmp_path, [row(), row("turn_on_led"), row("turn_on_led", demonstrations=10)])])
    text = pages.page(told)
    assert "**Scene playtable: 3 of 64 rows are there.**" in text
    assert "246,423 simulator steps made the data" in text and "Commit abcdef1; a box" in text
    assert [
        line.split("|")[1].strip() for line in text.split("By the number of demonstrations")[1].splitlines()[4:6]
    ] == ["5", "10"]


def test_tasks_that_fell_are_counted(pages):
    line = pages.curve_table([row(), row("turn_on_led", base="1111111111")]).splitlines()[2]
    assert line.split("|")[-2].strip() == "1"


def test_controls_stand_beside_the_dream_of_the_same_tasks_and_seeds(pages):
    rows = [
        row(),
        row("turn_on_led", tuned="1111111111"),
        row(variant="gaussian", base="1111100000"),
        row(variant="online"),
    ]
    gaussian, online = (line.split("|") for line in pages.control_table(rows).splitlines()[2:])
    assert [c.strip() for c in gaussian[2:]][:5] == ["5", "1", "50.0", "70.0", "0"]
    assert [c.strip() for c in online[2:]][:6] == ["5", "1", "70.0", "70.0", "7,000", "246,423"]
    assert pages.control_table(rows[:2]) == ""


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"settings": {"epochs": [1]}}, "was run with"), ({"hashes": {"model": "other"}}, "changed between rows")],
)
def test_rows_of_other_settings_or_worlds_are_not_mixed(pages, tmp_path, changes, words):
    with pytest.raises(ValueError, match=words):
        pages.gathered([write(tmp_path, [row(), row(seed=1, **changes)])])


def test_a_row_is_not_counted_twice(pages, tmp_path):
    works = [write(tmp_path / name, [row()]) for name in ("one", "other")]
    with pytest.raises(ValueError, match="more than once"):
        pages.gathered(works)


def test_seeds_from_other_starts_are_not_pooled(pages):
    with pytest.raises(ValueError, match="same starts"):
        pages.task_table([row(), row(seed=1, starts=list(range(1, 11)))])


def test_an_empty_folder_is_told(pages, tmp_path):
    with pytest.raises(ValueError, match="no rows in"):
        pages.gathered([tmp_path])
