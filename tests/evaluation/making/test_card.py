from dreamgym.evaluation.making.card import table, write_card


def curve(model, repeat, mean, higher=False):
    wins = {"repeat": (model > repeat) == higher, "mean": (model > mean) == higher}
    return {"model": [model] * 50, "repeat": [repeat] * 50, "mean": [mean] * 50, "beats_from_5": wins}


def metrics(drawer=0.01):
    return {
        "model": {"family": "rssm", "variant": "vision", "parameters": 1234567, "features": 1024},
        "fidelity": {
            "windows": 9, "context": 2, "steps": 50, "state_source": "probe",
            "curves": {"drawer": curve(drawer, 0.02, 0.05), "rgb_static": curve(30.0, 25.0, 20.0, higher=True)},
            "moving": {}, "uncertainty": {"auroc_state": 0.8, "p50": 0.1, "p99": 0.5},
        },
        "rewards": {
            "tasks": {
                "open_drawer": {
                    "threshold": 0.4, "f1": 0.9, "f1_off_edge": 0.95, "precision": 1.0, "recall": 0.8,
                    "episode_f1": 1.0,
                    "f1_imagined": 0.7, "num_episodes": 8,
                },
            },
            "mean_f1": 0.9,
            "mean_f1_off_edge": 0.95, "mean_f1_imagined": 0.7, "mean_episode_f1": 1.0,
        },
    }  # fmt: skip


def test_figures_are_given_with_their_units():
    card = write_card("mine", metrics())
    assert "1.00 cm" in card
    assert "30.00 dB" in card
    assert "1,234,567 parameters" in card
    assert "beats every baseline at every step from 5 on, in every measure" in card


def test_a_lost_baseline_is_admitted():
    card = write_card("mine", metrics(drawer=0.03))
    assert "except in: drawer error (against repeating)" in card


def test_what_the_model_read_and_held_is_a_row_where_it_was_measured():
    found = metrics()
    assert "hold its own reading" not in write_card("mine", found)
    found["fidelity"]["curves"]["drawer"]["held"] = [0.015] * 50
    assert "| hold its own reading of the last frame | 1.50 cm |" in write_card("mine", found)


def test_a_weak_classifier_is_named_among_the_limits():
    assert "below 0.95 for `open_drawer`" in write_card("mine", metrics()).split("## Limits")[1]


def test_parts_that_were_not_measured_are_left_out():
    card = write_card("mine", {})
    assert "## Fidelity" not in card
    assert "## Limits" in card


def test_a_table_is_markdown():
    assert table(("a", "b"), [(1, 2)]) == "| a | b |\n| --- | --: |\n| 1 | 2 |"


def test_the_snippet_makes_the_registered_env_or_any_checkpoint():
    assert 'gym.make("Dream-PlayTable-v0", task=' in write_card("playtable", metrics())
    assert 'gym.make("Dream-v0", checkpoint="mine", task=' in write_card("mine", metrics())
