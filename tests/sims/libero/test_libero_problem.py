import random
from pathlib import Path

import numpy as np
import pytest

from dreamgym.sims.libero import parse_problem, read_problem
from dreamgym.sims.libero.assets import initial_states

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
        ("-0.08 0.01))", "nan 0.01))", "rows of 4 numbers"),
        ("-0.08 0.01))", "1e999 0.01))", "rows of 4 numbers"),
        ("(:domain robosuite)", "(:domain " + 10_000 * "(" + 10_000 * ")" + ")", "nested more than"),
        ("(On bowl_1 plate_1)", "(On bowl_1 " + 99 * "(a b)" + ")", "^.{,300}$"),
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


def test_random_damage_ends_in_a_value_error(tmp_path):
    rng, path, refused = random.Random(0), tmp_path / "task.bddl", 0
    for _ in range(500):
        data, at = bytearray(TEXT.encode()), rng.randrange(len(TEXT))
        data[at : at + rng.choice([1, 4, 40])] = rng.choice(
            [b"", b"\0", b"(", b")", b"9", b"- ", bytes([rng.randrange(256)])]
        )
        path.write_bytes(data)
        try:
            read_problem(path)
        except ValueError:
            refused += 1
    assert refused > 200


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_damaged_initial_states_end_in_a_value_error(tmp_path, save):
    (tmp_path / "init_states").mkdir()
    path, rng, refused = tmp_path / "init_states" / "suite.npz", random.Random(0), 0
    save(path, task=np.arange(60.0).reshape(3, 20))
    whole = path.read_bytes()
    for _ in range(300):
        data, at = bytearray(whole), rng.randrange(len(whole))
        data[at : at + rng.choice([1, 2, 30])] = rng.choice([b"", bytes(8), rng.randbytes(1), rng.randbytes(30)])
        path.write_bytes(data)
        try:
            assert initial_states(tmp_path / "assets", "suite/task").ndim == 2
        except ValueError:
            refused += 1
    assert refused > 200


def test_initial_states_that_are_pickled_are_refused(tmp_path):
    (tmp_path / "init_states").mkdir()
    np.savez(tmp_path / "init_states" / "suite.npz", task=np.array([{}], object))
    with pytest.raises(ValueError, match="allow_pickle=False"):
        initial_states(tmp_path / "assets", "suite/task")


def test_liberos_own_files_of_initial_states_are_read_without_running_code(tmp_path):
    torch = pytest.importorskip("torch")
    states = np.arange(6.0).reshape(2, 3)
    file = tmp_path / "init_files" / "libero_goal" / "put_it.pruned_init"
    file.parent.mkdir(parents=True)
    torch.save(states, file)
    np.testing.assert_array_equal(initial_states(tmp_path / "assets", "libero_goal/put_it"), states)
    for wrong in ({"a": 1}, Path("x"), np.array([None])):
        torch.save(wrong, file)
        with pytest.raises(ValueError, match="damaged file of initial states .*put_it"):
            initial_states(tmp_path / "assets", "libero_goal/put_it")
    file.write_bytes(file.read_bytes()[:40])
    with pytest.raises(ValueError, match="damaged"):
        initial_states(tmp_path / "assets", "libero_goal/put_it")
