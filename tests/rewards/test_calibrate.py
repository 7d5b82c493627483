"""Thresholds of a success classifier, and scores that no frame had a part in choosing the threshold of."""

import pytest
import torch

from dreamgym.rewards.calibrate import best_threshold, cross_fitted, curve, edges, f1_score, folds


def test_the_threshold_is_the_middle_of_the_best_plateau():
    probability, label = torch.tensor([0.1, 0.3, 0.7, 0.9]), torch.tensor([False, False, True, True])
    assert best_threshold([(probability, label)]) == pytest.approx(0.5, abs=0.03)
    sweep = curve(probability, label)
    assert sweep["recall"][0] == 1
    assert sweep["precision"][0] == pytest.approx(0.5)
    assert f1_score(probability > 0.2, label) == pytest.approx(0.8)


def test_a_single_false_frame_costs_a_threshold_the_episode_it_ends():
    # Episodes of ten frames: successes at 0.8, one true half at 0.6; failures whose one frame in ten says 0.65.
    probability = torch.cat([torch.full((10,), 0.8), torch.full((10,), 0.6), *[torch.zeros(10)] * 8])
    label = torch.arange(100) < 20
    probability[20::10] = 0.65
    group = torch.arange(100) // 10
    assert best_threshold([(probability, label)]) < 0.6  # eight wrong frames for ten right ones
    assert best_threshold([(probability, label, group)]) > 0.65  # but eight wrong episodes for one


def test_edges_are_the_frames_on_either_side_of_a_crossing():
    label = torch.tensor([0, 0, 1, 1, 1, 0, 0], dtype=torch.bool)
    group = torch.tensor([0, 0, 0, 0, 0, 1, 1])
    assert edges(label, group).tolist() == [False, True, True, False, False, False, False]


def episodes(kinds, length=4):
    """Frames of episodes that succeed in their second half (True) or never do: label and group [n]."""
    label = torch.cat([torch.arange(length) >= (length // 2 if kind else length) for kind in kinds])
    return label, torch.arange(len(kinds)).repeat_interleave(length)


@pytest.mark.parametrize("kinds", [[True, False] * 8, [True] * 3 + [False] * 9, [True, True, False, False]])
@pytest.mark.parametrize("seed", range(5))
def test_both_folds_have_episodes_of_either_kind_however_the_data_are_ordered(kinds, seed):
    label, group = episodes(kinds)
    fold = folds(label, group, seed)
    assert all(len(fold[group == e].unique()) == 1 for e in range(len(kinds)))  # an episode is not torn
    of_episode = fold[::4]
    kind = torch.tensor(kinds)
    for own in (0, 1):
        assert {True, False} == set(kind[of_episode == own].tolist())
    assert abs(int((of_episode == 0).sum()) - int((of_episode == 1).sum())) <= 1


def test_folds_are_random_and_repeat_under_their_seed():
    label, group = episodes([True, False] * 8)
    dealt = [tuple(folds(label, group, seed).tolist()) for seed in range(6)]
    assert len(set(dealt)) > 3
    assert tuple(folds(label, group, 2).tolist()) == dealt[2]


def test_an_episodes_frames_are_scored_by_the_threshold_of_the_other_fold():
    # The scores of one fold's successes are 0.9, of the other's 0.3: a threshold chosen on one misses the other's.
    label, group = episodes([True, True, True, True, False, False, False, False])
    fold = folds(label, group)
    probability = torch.where(label, torch.where(fold == 0, 0.9, 0.3), 0.05)
    predicted = cross_fitted(probability, label, group, [torch.ones_like(label)])
    assert predicted[fold == 0].equal(label[fold == 0])  # 0.9 is above what the 0.3s choose
    assert not predicted[fold == 1].any()  # 0.3 is below what the 0.9s choose
    together = best_threshold([(probability, label, group)])
    assert f1_score(probability >= together, label) == 1  # chosen on all frames it would have looked perfect


def test_a_fold_without_a_success_chooses_a_half():
    label, group = episodes([True, False, False])
    fold = folds(label, group)
    alone = fold[0]  # the fold of the one episode that succeeds
    probability = torch.where(label, 0.45, 0.1)
    predicted = cross_fitted(probability, label, group, [torch.ones_like(label)])
    assert not predicted[fold == alone].any()  # the other fold knows no success, so 0.45 is none
    probability = torch.where(label, 0.55, 0.1)
    assert cross_fitted(probability, label, group, [torch.ones_like(label)])[fold == alone].equal(label[fold == alone])
