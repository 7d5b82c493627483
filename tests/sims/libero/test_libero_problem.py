import pytest

from dreamgym.sims.libero import parse_problem, read_problem

TEXT = """
(define (problem LIBERO_Tabletop_Manipulation)
  (:domain robosuite)
  (:language Put the bowl on the plate)
  (:regions
    (bowl_region (:target main_table) (:ranges ((-0.1 -0.01 -0.08 0.01))) (:yaw_rotation ((0.0 1.5))))
    (top_side (:target cabinet_1)))
  (:fixtures main_table - table cabinet_1 - wooden_cabinet)
  (:objects bowl_1 bowl_2 - akita_black_bowl plate_1 - plate)
  (:obj_of_interest bowl_1 plate_1)
  (:init (On bowl_1 main_table_bowl_region) (On bowl_2 cabinet_1_top_side))
  (:goal (And (On bowl_1 plate_1) (Open cabinet_1))))
"""


def test_objects_regions_init_and_goal_are_read():
    problem = parse_problem(TEXT)
    assert problem.name == "libero_tabletop_manipulation"
    assert problem.language == "Put the bowl on the plate"
    assert problem.objects == {"bowl_1": "akita_black_bowl", "bowl_2": "akita_black_bowl", "plate_1": "plate"}
    assert problem.fixtures == {"main_table": "table", "cabinet_1": "wooden_cabinet"}
    region = problem.regions["main_table_bowl_region"]
    assert region.ranges == ((-0.1, -0.01, -0.08, 0.01),)
    assert region.yaw == (0.0, 1.5)
    assert problem.regions["cabinet_1_top_side"].ranges == ()
    assert problem.goal == (("on", "bowl_1", "plate_1"), ("open", "cabinet_1"))
    assert problem.interest == ("bowl_1", "plate_1")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("(Open cabinet_1))))", "(Open cabinet_1)", "without their"),
        ("(:domain robosuite)", "(:domain robosuite))", "closes nothing|expected one list"),
        ("(:goal (And (On bowl_1 plate_1) (Open cabinet_1)))", "", "no .:goal"),
        ("(:goal (And (On bowl_1 plate_1) (Open cabinet_1)))", "(:goal (And))", "asks for nothing"),
        ("(On bowl_1 plate_1)", "(Near bowl_1 plate_1)", "got .Near bowl_1 plate_1."),
        ("(On bowl_1 plate_1)", "(On bowl_1)", "on of 2"),
        ("(On bowl_1 plate_1)", "(On bowl_9 plate_1)", "'bowl_9', which the file does not define"),
        ("-0.08 0.01))", "-0.08))", "rows of 4 numbers"),
        ("-0.08 0.01))", "-0.2 0.01))", "end lies before"),
        ("plate_1 - plate)", "plate_1)", "of what kind plate_1"),
        ("(:target cabinet_1)", "(:colour red)", "needs one .:target"),
    ],
)
def test_damage_is_named(old, new, said):
    assert old in TEXT
    with pytest.raises(ValueError, match=said):
        parse_problem(TEXT.replace(old, new, 1))


def test_a_damaged_file_is_named(tmp_path):
    path = tmp_path / "task.bddl"
    with pytest.raises(FileNotFoundError, match=r"task\.bddl"):
        read_problem(path)
    path.write_text(TEXT[:100])
    with pytest.raises(ValueError, match=r"task\.bddl"):
        read_problem(path)
    path.write_bytes(b"\xff\xfe\x00(")
    with pytest.raises(ValueError, match=r"task\.bddl"):
        read_problem(path)
