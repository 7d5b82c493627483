import json

import pytest

from dreamgym.evaluation.making.card import write_card
from dreamgym.evaluation.making.markdown import table
from dreamgym.training.checkpoint import BUILT_IN, built_in_names


def curve(model, repeat, mean, unit="m", higher=False, label=""):
    wins = {"repeat": (model > repeat) == higher, "mean": (model > mean) == higher}
    lists = {"model": [model] * 50, "repeat": [repeat] * 50, "mean": [mean] * 50, "held": []}
    steps = list(range(1, 51))
    return lists | {
        "unit": unit, "higher_is_better": higher, "label": label, "steps": steps, "beats_from_5": wins,
    }  # fmt: skip


def metrics(drawer=0.01):
    return {
        "model": {"family": "rssm", "variant": "vision", "parameters": 1234567, "features": 1024},
        "fidelity": {
            "windows": 9, "context": 2, "steps": 50, "state_source": "probe",
            "curves": {
                "drawer": curve(drawer, 0.02, 0.05),
                "rgb_static": curve(30.0, 25.0, 20.0, "dB", higher=True, label="static camera"),
                "led": curve(0.9, 0.8, 0.5, "share right", higher=True, label="LED"),
            },
            "moving": {}, "openings": {}, "uncertainty": {"steps": 50, "auroc_state": 0.8, "p50": 0.1, "p99": 0.5},
        },
        "rewards": {
            "tasks": {
                "open_drawer": {
                    "threshold": 0.4, "f1": 0.9, "f1_off_edge": 0.95, "precision": 1.0, "recall": 0.8,
                    "episode_f1": 1.0, "f1_imagined": 0.7, "num_episodes": 8,
                },
            },
            "mean_f1": 0.9, "mean_f1_off_edge": 0.95, "mean_f1_imagined": 0.7, "mean_episode_f1": 1.0,
        },
    }  # fmt: skip


@pytest.mark.parametrize("name", built_in_names())
def test_a_shipped_card_is_what_its_metrics_make(name):
    metrics = json.loads((BUILT_IN / name / "config.json").read_text())["metrics"]
    assert (BUILT_IN / name / "README.md").read_text() == write_card(name, metrics)


def test_figures_are_given_with_their_units():
    card = write_card("mine", metrics())
    assert "| drawer error | **dream** | 1.00 cm |" in card
    assert "| static camera PSNR | **dream** | 30.00 dB |" in card
    assert "| LED right | **dream** | 90.0% |" in card
    assert "1,234,567 parameters" in card
    assert "beats every baseline at every measured step from 5 on, in every measure" in card


def test_a_lost_baseline_is_admitted():
    card = write_card("mine", metrics(drawer=0.03))
    assert "except in: drawer error (against repeating)" in card


def test_what_never_moved_is_named_and_not_tabled():
    found = metrics()
    found["fidelity"]["curves"]["lid"] = curve(0.0, 0.0, 0.1)
    card = write_card("mine", found)
    assert "lid error" not in card and "Nothing moved, and nothing is tabled, of: lid." in card
    assert "Nothing moved" not in write_card("mine", metrics())


def test_the_card_says_how_far_to_trust_each_measure():
    card = write_card("mine", metrics()).split("## How far to trust it")[1].split("##")[0]
    assert "| drawer error | 1 to 50 |" in card and "| LED right | 1 to 50 |" in card and "PSNR" not in card
    assert "All of them together: 1 to 50." in card
    lost = write_card("mine", metrics(drawer=0.03)).split("## How far to trust it")[1]
    assert "| drawer error | at no step |" in lost and "Do not trust it with: drawer." in lost


@pytest.mark.parametrize(("twin", "split"), [({}, "val"), ({"split": "test"}, "test")])
def test_twin_rollouts_name_their_split(twin, split):
    scores = {"f1_real": 1.0, "episode_f1_real": 1.0, "f1_dream": 1.0, "episode_f1_dream": 1.0}
    told = {"tasks": {"open_drawer": {**scores, "num_successes": 3, "num_episodes": 4}}, **twin}
    assert f"from `{split}` starts in the real simulator" in write_card("mine", metrics() | {"twin": told})


def test_what_the_model_read_and_held_is_a_row_where_it_was_measured():
    found = metrics()
    assert "hold its own reading" not in write_card("mine", found)
    found["fidelity"]["curves"]["drawer"]["held"] = [0.015] * 50
    assert "| hold its own reading of the last frame | 1.50 cm |" in write_card("mine", found)


def test_steps_that_were_not_measured_and_frames_in_which_nothing_moved_are_dashes():
    found = metrics()
    sparse = {**curve(0.002, 0.01, 0.1, "std"), "steps": [1, 5, 20]}
    sparse |= {k: v[:3] for k, v in sparse.items() if k in ("model", "repeat", "mean")}
    found["fidelity"]["curves"]["state"] = sparse
    found["fidelity"]["moving"] = {"drawer": {**curve(0.01, 0.02, 0.05), "model": [None] + [0.01] * 49}}
    card = write_card("mine", found)
    assert "| state | **dream** | 0.002 std | 0.002 std | - | 0.002 std | - | - |" in card
    assert "| drawer error | **dream** | - | 1.00 cm |" in card.split("has moved since")[1]


def test_weak_scores_are_named_among_the_limits():
    limits = write_card("mine", metrics()).split("## Limits")[1]
    assert "Held-out F1 is below 0.95 for `open_drawer`" in limits
    assert "F1 on imagined frames is below 0.9 for `open_drawer`" in limits
    assert "twin rollouts is below" not in limits


def test_data_are_told_by_role_with_who_acted_and_where():
    found = metrics() | {"training": {"updates": 1500, "batch_size": 16, "model": {"deter": 5}}}
    found["data"] = {
        "demonstration": {"episodes": 1200, "steps": 5000, "held_out": 7, "suite": "calvin",
                          "simulator": {"scene": "D", "image_size": 64}, "operators": {"pusher": 12}},
    }  # fmt: skip
    card = write_card("mine", found)
    assert "| demonstration data | 1,200 episodes, 5,000 steps (scene D, 7 held out) |" in card
    assert "| who acts | pusher 12 |" in card
    assert "| updates | 1,500 |" in card
    assert "deter" not in card
    assert "held-out demonstrations, failed ones" in card


def test_starts_are_counted_by_split():
    counts = {"open_drawer": {"train": 20, "val": 5, "test": 4}}
    card = write_card("mine", {"starts": {"counts": counts, "context": 16, "snapshots": True}})
    assert "| task | train | val | test |" in card
    assert "| `open_drawer` | 20 | 5 | 4 |" in card


def test_parts_that_were_not_measured_are_left_out():
    card = write_card("mine", {})
    assert "## Fidelity" not in card
    assert "## Limits" in card


def test_a_table_is_markdown():
    assert table(("a", "b"), [(1, 2)]) == "| a | b |\n| --- | --: |\n| 1 | 2 |"


def test_the_snippet_makes_the_registered_env_or_any_checkpoint():
    assert 'gym.make("Dream-PlayTable-v0", task=' in write_card("playtable", metrics())
    assert 'gym.make("Dream-v0", checkpoint="mine", task=' in write_card("mine", metrics())
