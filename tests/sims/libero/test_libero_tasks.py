import pytest

from dreamgym.sims.libero import SUITES, TASKS, check_task, task_description
from dreamgym.suites import suite


def test_there_are_130_tasks_in_five_suites():
    assert {name: len(tasks) for name, tasks in SUITES.items()} == {
        "libero_spatial": 10, "libero_object": 10, "libero_goal": 10, "libero_10": 10, "libero_90": 90,
    }  # fmt: skip
    assert len(set(TASKS)) == 130


@pytest.mark.parametrize(
    ("wrong", "near"),
    [
        ("put_the_bowl_on_the_plate", "libero_goal/put_the_bowl_on_the_plate"),
        ("libero_goal/put_the_bowl_on_the_plates", "libero_goal/put_the_bowl_on_the_plate"),
        ("libero_90/KITCHEN_SCENE6_close_microwave", "libero_90/KITCHEN_SCENE6_close_the_microwave"),
    ],
)
def test_an_unknown_task_names_the_nearest(wrong, near):
    with pytest.raises(ValueError, match=near):
        check_task(wrong)


def test_descriptions_are_sentences_without_scenes():
    assert task_description("libero_goal/put_the_bowl_on_the_plate") == "put the bowl on the plate"
    assert task_description("libero_90/KITCHEN_SCENE10_close_the_top_drawer_of_the_cabinet") == (
        "close the top drawer of the cabinet"
    )
    assert not any("SCENE" in suite("libero").instruction(task) for task in TASKS)


def test_the_suite_has_the_tasks_and_reads_the_sensors():
    made = suite("libero")
    assert made.tasks == TASKS
    sizes = {key: sum(n for _, n in layout) for key, layout in made.layouts.items()}
    assert all(max(m.entries) < sizes[m.key] for m in made.measures)
