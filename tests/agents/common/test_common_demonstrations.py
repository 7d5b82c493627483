"""Demonstrations: what is refused, and what a snippet is."""

import numpy as np
import pytest
import torch
from dreamgym_agents.common.demonstrations import Demonstrations


def numbered(*lengths: int) -> Demonstrations:
    """Trajectory i holds i * 100 + t."""
    rows = [100.0 * i + np.arange(n)[:, None] for i, n in enumerate(lengths)]
    return Demonstrations.from_episodes([(r, -r) for r in rows])


def test_an_empty_set_is_refused() -> None:
    with pytest.raises(ValueError, match="no demonstrations"):
        Demonstrations.from_episodes([])


@pytest.mark.parametrize(
    ("obs", "action", "says"),
    [
        (np.zeros((5, 2)), np.zeros((4, 1)), "after the last action"),
        (np.zeros((5, 3)), np.zeros((5, 1)), "entries"),
        (np.full((5, 2), np.nan), np.zeros((5, 1)), "NaN"),
        (np.zeros((0, 2)), np.zeros((0, 1)), r"\[T, O\]"),
        (np.float32(1), np.zeros((1, 1)), r"\[T, O\]"),
        ([[1, 2], [3]], np.zeros((2, 1)), "rows of numbers, all of one width"),
    ],
)
def test_a_bad_trajectory_is_named(obs: np.ndarray, action: np.ndarray, says: str) -> None:
    with pytest.raises(ValueError, match=f"trajectory 1.*{says}"):
        Demonstrations.from_episodes([(np.zeros((5, 2)), np.zeros((5, 1))), (obs, action)])


def test_labels_are_one_for_each_trajectory() -> None:
    pair = np.zeros((5, 2)), np.zeros((5, 1))
    with pytest.raises(ValueError, match=r"labels: expected one for each of 2 trajectories, got {'who': 1}"):
        Demonstrations.from_episodes([pair, pair], labels={"who": ["me"]})


def test_a_snippet_longer_than_its_trajectory_is_refused() -> None:
    demos = numbered(6, 4, 9)
    with pytest.raises(ValueError, match=r"1 of 2 trajectories have fewer than 5 steps \(the shortest 4\)"):
        demos.snippets(torch.tensor([0, 1]), 5)
    assert demos.snippets(torch.tensor([0, 2]), 5)[0].shape == (2, 5, 1)


def test_an_unknown_task_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown"):
        Demonstrations.from_episodes([(np.zeros((5, 2)), np.zeros((5, 1)))], ["fly"], tasks=["walk"])


def test_whole_trajectories_must_be_of_one_length() -> None:
    with pytest.raises(ValueError, match=r"between 4 and 6.*padded\(6\)"):
        numbered(6, 4).whole()


def test_snippets_longer_than_a_trajectory_are_refused() -> None:
    with pytest.raises(ValueError, match="fewer than 5 steps"):
        numbered(6, 4).check_length(5)


def test_snippets_stay_within_their_trajectory_and_reach_both_ends() -> None:
    demos, rows = numbered(6, 9, 4), torch.tensor([0, 1, 2] * 100)
    obs, action = demos.snippets(rows, 4, torch.Generator().manual_seed(0))
    first = obs[:, 0, 0] - 100 * rows
    assert (obs[:, :, 0] == obs[:, :1, 0] + torch.arange(4)).all()
    assert torch.equal(action, -obs)
    for row, last in ((0, 2), (1, 5), (2, 0)):
        assert set(first[rows == row].tolist()) == set(range(last + 1))


def test_an_epoch_has_one_snippet_of_each_trajectory() -> None:
    demos = numbered(6, 9, 4, 5)
    batches = list(demos.epoch(3, 3, torch.Generator().manual_seed(0)))
    assert [len(b["obs"]) for b in batches] == [3, 1]
    seen = torch.cat([b["obs"][:, 0, 0] for b in batches]) // 100
    assert sorted(seen.tolist()) == [0, 1, 2, 3]


def test_an_epoch_of_two_snippets_has_two_of_each() -> None:
    batches = demos = list(numbered(6, 9).epoch(3, 99, torch.Generator().manual_seed(0), snippets=2))
    assert sorted((batches[0]["obs"][:, 0, 0] // 100).tolist()) == [0, 0, 1, 1]
    assert len(demos) == 1


def test_padding_repeats_the_last_row_and_leading_the_first() -> None:
    demos = numbered(2, 4)
    assert demos.padded(4).whole()[0][0, :, 0].tolist() == [0, 1, 1, 1]
    led = demos.led(2)
    assert led.lengths.tolist() == [4, 6]
    assert led.obs[led.starts[1] :, 0].tolist() == [100, 100, 100, 101, 102, 103]


def test_trailed_snippets_begin_at_every_row_and_go_on_with_the_last() -> None:
    demos, rows = numbered(6, 2).trailed(3), torch.tensor([0, 1] * 100)
    obs, action = demos.snippets(rows, 4, torch.Generator().manual_seed(0))
    first, last = obs[:, 0, 0] - 100 * rows, torch.tensor([5, 101])[rows]
    assert torch.equal(obs[:, :, 0], torch.minimum(obs[:, :1, 0] + torch.arange(4), last[:, None]))
    assert torch.equal(action, -obs)
    for row, end in ((0, 5), (1, 1)):
        assert set(first[rows == row].tolist()) == set(range(end + 1))


def test_a_trail_outlasts_leading_and_leaves_scales_alone() -> None:
    demos = numbered(3, 2)
    trailed = demos.trailed(4)
    assert torch.equal(trailed.scales()[0].std, demos.scales()[0].std)
    led = trailed.led(1)
    led.check_length(6)  # 5 and one that leads
    obs, _ = led.snippets(torch.zeros(60, dtype=torch.long), 6, torch.Generator().manual_seed(0))
    assert {tuple(o) for o in obs[:, :, 0].tolist()} == {
        (0, 0, 1, 2, 2, 2), (0, 1, 2, 2, 2, 2), (1, 2, 2, 2, 2, 2),
    }  # fmt: skip


def test_an_epoch_tells_which_rows_were_recorded() -> None:
    demos = numbered(3)
    for made, shown in (
        (demos.trailed(4), {(0, 1, 2, 2, 2), (1, 2, 2, 2, 2), (2, 2, 2, 2, 2)}),
        (demos.padded(5), {(0, 1, 2, 2, 2)}),
        (demos.led(2), {(0, 0, 0, 1, 2)}),
        (demos.led(1).padded(5), {(0, 0, 1, 2, 2)}),
    ):
        batches = [next(made.epoch(5, 1, torch.Generator().manual_seed(i))) for i in range(30)]
        assert {tuple(b["obs"][0, :, 0].tolist()) for b in batches} == shown
        for batch in batches:
            rows = batch["obs"][0, :, 0].tolist()
            # A row is recorded once; of those led to the first one the last is, of those that trail the first.
            trail = [i > 0 and rows[i - 1] == 2 for i in range(5)]
            lead = [i < 4 and row == 0 and rows[i + 1] == 0 for i, row in enumerate(rows)]
            assert batch["recorded"][0].tolist() == [not (t or a) for t, a in zip(trail, lead, strict=True)]


def test_a_trail_too_short_for_a_snippet_is_refused_with_the_mend() -> None:
    with pytest.raises(ValueError, match=r"1 of 2.*padded\(8\) or trailed\(7\)"):
        numbered(6, 4).trailed(3).check_length(8)
    with pytest.raises(ValueError, match="at least 0"):
        numbered(6).trailed(-1)
