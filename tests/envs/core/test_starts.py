import pytest
import torch

from dreamgym.envs.core.starts import StartBank
from dreamgym.testing.point_mass import TASKS, point_mass_starts
from dreamgym.testing.points import point_starts
from dreamgym.types import SPLITS


def test_sample_gives_starts_of_the_task_and_split():
    bank = point_mass_starts(60)
    task = torch.tensor([0, 1, 2] * 50)
    for number, split in enumerate(("train", "val")):
        rows = bank.sample(task, torch.Generator().manual_seed(0), split)
        assert torch.equal(bank.task[rows], task)
        assert (bank.split[rows] == number).all()
        assert len(rows.unique()) > 20


def test_sample_repeats_under_a_seed():
    bank, task = point_mass_starts(), torch.zeros(20, dtype=torch.int64)
    draws = [bank.sample(task, torch.Generator().manual_seed(s)) for s in (3, 3, 4)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


def test_state_leaves_as_float32_and_is_no_view():
    bank = point_mass_starts()
    state = bank.state(torch.arange(4))
    assert state["position"].dtype == torch.float32
    state["position"].zero_()
    assert bank.states["position"].abs().sum() > 0


def test_a_start_without_task_suits_every_task():
    bank = StartBank({"x": torch.arange(3.0).unsqueeze(1)}, TASKS)
    assert torch.equal(bank.candidates("reach_top", "train"), torch.arange(3))


def test_figures_are_reported_from_test_starts_where_every_task_has_one():
    bank = point_starts(60, splits=3)
    assert bank.reported_split(TASKS) == "test" and point_mass_starts().reported_split(TASKS) == "val"
    one = (bank.split != SPLITS.index("test")) | (bank.task == 0)
    part = StartBank({k: v[one] for k, v in bank.states.items()}, TASKS, bank.task[one], bank.split[one])
    assert part.reported_split(TASKS[:1]) == "test" and part.reported_split(TASKS) == "val"


def test_tensors_round_trip():
    bank = point_mass_starts()
    again = StartBank.from_tensors(bank.to_tensors(), bank.tasks)
    assert torch.equal(again.states["position"], bank.states["position"])
    assert torch.equal(again.snapshot, bank.snapshot)
    assert torch.equal(again.split, bank.split)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: StartBank({}, TASKS), "N >= 1"),
        (lambda: StartBank({"x": torch.zeros(3, 1)}, TASKS, torch.zeros(2)), "2 entries of 'task'"),
        (lambda: StartBank({"x": torch.zeros(3, 1)}, TASKS, torch.tensor([0, 1, 3])), "must lie in"),
        (lambda: point_mass_starts().candidates("reach_top", "exam"), "split must be"),
        (lambda: point_mass_starts(3).candidates("reach_top", "val"), "no val start for task 'reach_top'"),
    ],
)
def test_a_bad_bank_or_split_is_one_clear_error(make, message):
    with pytest.raises(ValueError, match=message):
        make()
