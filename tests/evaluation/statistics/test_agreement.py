import numpy as np
import pytest

from dreamgym.evaluation.statistics.agreement import (
    Score,
    exploitation_gap,
    mmrv,
    noise_floor,
    pearson,
    rank_agreement,
    ranks,
    spearman,
)
from dreamgym.evaluation.statistics.study import rank_all, ranks_to_dict

REAL = [0.1, 0.5, 0.9]


def test_mmrv_of_a_swap_is_what_choosing_wrongly_would_lose():
    # The dream swaps the first two: violations of 0.4 for each of them, none for the third.
    assert mmrv(REAL, [0.5, 0.1, 0.9]) == pytest.approx((0.4 + 0.4 + 0) / 3)


def test_mmrv_takes_the_worst_violation_of_each_policy():
    # Reversed order: policy 1 is violated by 0.4 and 0.8, policy 2 by 0.4 twice, policy 3 by 0.8 and 0.4.
    assert mmrv(REAL, REAL[::-1]) == pytest.approx((0.8 + 0.4 + 0.8) / 3)


def test_mmrv_by_brute_force():
    rng = np.random.default_rng(0)
    y, f = rng.random(8), rng.random(8)
    worst = [max(abs(y[i] - y[j]) * ((f[i] < f[j]) != (y[i] < y[j])) for j in range(8)) for i in range(8)]
    assert mmrv(y, f) == pytest.approx(np.mean(worst))


def test_the_order_alone_counts_for_mmrv_and_spearman():
    assert mmrv(REAL, np.square(REAL)) == 0
    assert spearman(REAL, np.square(REAL)) == pytest.approx(1)
    assert pearson(REAL, np.square(REAL)) < 1


def test_correlations_are_those_of_numpy():
    rng = np.random.default_rng(1)
    y, f = rng.random(20), rng.random(20)
    assert pearson(y, f) == pytest.approx(np.corrcoef(y, f)[0, 1])
    places = [np.argsort(np.argsort(x)) for x in (y, f)]
    assert spearman(y, f) == pytest.approx(np.corrcoef(*places)[0, 1])


def test_ties_share_their_rank():
    assert ranks([0.3, 0.1, 0.3, 0.2]).tolist() == [3.5, 1, 3.5, 2]


def test_what_never_varies_has_no_correlation():
    assert np.isnan(pearson([0.5, 0.5], [0, 1]))


def test_values_that_do_not_match_are_refused():
    with pytest.raises(ValueError, match="2 policies or more"):
        mmrv([0.1], [0.1])
    with pytest.raises(ValueError, match="finite"):
        mmrv([0.1, np.nan], [0.1, 0.2])


def test_the_noise_floor_falls_with_the_number_of_episodes():
    rates = np.linspace(0.05, 0.95, 20)
    few, many = (noise_floor(rates, n, n, rounds=300) for n in (50, 200))
    assert many.mmrv < few.mmrv
    # The measured fact behind 200 episodes a policy: a perfect dream of 20 policies then passes 0.05 nearly always.
    assert many.mmrv_95 < 0.06 < few.mmrv_95
    assert few.pearson < many.pearson < 1


def test_the_noise_floor_of_two_policies_by_hand():
    # Rates 0 and 1 are never measured otherwise: no noise, no floor.
    floor = noise_floor([0, 1], 10, 10, rounds=50)
    assert (floor.mmrv, floor.pearson) == (0, 1)


def scores(real, imagined, steps=None, episodes=100):
    steps = [None] * len(real) if steps is None else steps
    return [
        Score(f"p{i}", *rates, episodes, episodes, s)
        for i, (*rates, s) in enumerate(zip(real, imagined, steps, strict=True))
    ]


def test_a_set_of_policies_is_summed_up():
    real = np.linspace(0.1, 0.9, 9)
    found = rank_agreement(scores(real, real + 0.05), rounds=200).to_dict()
    assert found["num_policies"] == 9
    assert found["pearson"] == pytest.approx(1)
    assert found["mean_gap"] == pytest.approx(0.05)
    assert found["mmrv"] == 0 < found["mmrv_floor"] < found["mmrv_floor_95"]


def test_the_gap_is_averaged_over_seeds_and_ordered_by_step():
    gaps = exploitation_gap(scores([0.5, 0.3, 0.4, 0.2], [0.9, 0.4, 0.6, 0.9], [200, 100, 100, None]))
    assert [g["step"] for g in gaps] == [100, 200]
    assert gaps[0]["gap"] == pytest.approx((0.1 + 0.2) / 2)
    assert gaps[1]["gap_low"] < 0.4 < gaps[1]["gap_high"]
    # Two policies at one step are surer than one.
    assert gaps[0]["gap_high"] - gaps[0]["gap_low"] < gaps[1]["gap_high"] - gaps[1]["gap_low"]


def test_the_gap_does_not_jump_where_a_task_drops_out():
    made = [Score("a", 0.5, 0.6, 100, 100, step, "easy") for step in (1, 2, 3)]
    made += [Score("b", 0.2, 0.7, 100, 100, step, "hard") for step in (1, 3)]
    gaps = exploitation_gap(made)
    assert [g["step"] for g in gaps] == [1, 3]
    assert gaps[0]["gap"] == pytest.approx(0.3)


def test_a_score_comes_back_from_its_dictionary():
    score = Score("p", 0.25, 0.5, 100, 200, 7.0, "open_drawer")
    assert Score.from_dict(score.to_dict()) == score


def taken(pairs):
    """What `study` says of the order of policies, {task: (real, imagined) of each}."""
    made = [Score(f"{t}{i}", *p, 100, 100, task=t) for t, own in pairs.items() for i, p in enumerate(own)]
    return ranks_to_dict(made, *rank_all(made))


def test_a_dream_that_flatters_one_task_keeps_its_order_within_tasks():
    # Each task is in order; the policies of "b" are called 0.5 better than they are, above those of "a" that beat them.
    told = taken({"a": [(0.3, 0.3), (0.4, 0.4), (0.5, 0.5)], "b": [(0.1, 0.6), (0.2, 0.7), (0.25, 0.75)]})
    assert told["mmrv_within_tasks"] == 0
    # The worst pair of each: (0.3, 0.1), (0.4, 0.1), (0.5, 0.1) and back (0.1, 0.5), (0.2, 0.5), (0.25, 0.5).
    assert told["mmrv"] == pytest.approx((0.2 + 0.3 + 0.4 + 0.4 + 0.3 + 0.25) / 6, abs=1e-6)


def test_within_tasks_is_the_mean_of_the_tasks_mmrv_and_so_is_its_floor():
    told = taken({"a": [(0.2, 0.3), (0.3, 0.2), (0.9, 0.9)], "b": [(0.1, 0.1), (0.2, 0.2), (0.3, 0.3)], "c": [(0, 1)]})
    assert told["mmrv_within_tasks"] == pytest.approx((0.1 + 0.1 + 0) / 3 / 2, abs=1e-6)
    floors = [told["by_task"][t]["mmrv_floor"] for t in ("a", "b")]
    assert told["mmrv_within_tasks_floor"] == pytest.approx(np.mean(floors), abs=1e-6)


def test_of_one_task_both_ways_to_take_mmrv_are_the_same():
    told = taken({"a": [(0.2, 0.3), (0.3, 0.2), (0.9, 0.9)]})
    assert told["mmrv_within_tasks"] == told["mmrv"] > 0
    assert told["mmrv_within_tasks_floor"] == told["mmrv_floor"]


def test_tasks_of_one_policy_each_have_no_order_within_them():
    told = taken({"a": [(0.2, 0.3)], "b": [(0.3, 0.2)]})
    assert "mmrv_within_tasks" not in told
    assert told["mmrv"] > 0
