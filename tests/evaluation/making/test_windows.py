import numpy as np
import pytest
import torch
from fakes import KEYS, FakeModel, Listener, episode

from dreamgym.data import EpisodeStore
from dreamgym.evaluation.making.windows import Windows, reachable, statistics, training_mean

SAID = ("two", "three", "one")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    rng = np.random.default_rng(0)
    made = EpisodeStore.create(tmp_path_factory.mktemp("windows"), KEYS)
    made.append(
        [(episode(rng, n), {"split": "train", "instruction": s}) for n, s in zip((30, 40, 60), SAID, strict=True)]
    )
    return made


def test_the_longest_horizon_that_some_episode_reaches(store):
    model = FakeModel()
    assert reachable(model, store, 2, 50) == 50
    assert reachable(model, store, 2, 33) == 33
    assert reachable(model, store, 20, 50) == 25
    assert reachable(model, store.select(lambda meta: True), 59, 50) == 1
    with pytest.raises(ValueError, match="62 rows are needed, the longest of 3 has 60"):
        reachable(model, store, 61, 50)


def test_every_episode_that_is_long_enough_is_as_likely(store):
    windows = Windows(FakeModel(), store, ("scene_obs",), 400, 2, 20, 64, 0)
    frames = [w.frames for w in windows.batches(torch.Generator().manual_seed(0))]
    assert sum(len(f["action"]) for f in frames) == 400
    assert frames[0]["action"].shape == (64, 21, 1, 7)
    assert frames[0]["scene_obs"].shape == (64, 22, 24)
    first = torch.cat([f["action"][:, 0, 0, 0] for f in frames])
    shares = [np.isin(first.numpy(), np.array(store.episode(i)["action"])[:, 0]).mean() for i in range(3)]
    assert all(0.25 < share < 0.42 for share in shares)


def test_openings_begin_with_an_episodes_first_frame(store):
    windows = Windows(FakeModel(), store, ("scene_obs",), 16, 2, 20, 16, 0, openings=True)
    (window,) = windows.batches(torch.Generator().manual_seed(0))
    starts = {float(store.episode(i)["action"][0, 0]) for i in range(3)}
    assert {float(a) for a in window.frames["action"][:, 0, 0, 0]} <= starts
    assert window.context == 1


@pytest.mark.parametrize("openings", [True, False])
def test_a_model_that_is_told_what_to_do_is_told_what_each_windows_episode_says(store, openings):
    model = Listener(SAID, history=3)
    windows = Windows(model, store, ("scene_obs",), 16, 4, 20, 8, 0, openings)
    for window in windows.batches(torch.Generator().manual_seed(0)):
        first = window.frames["action"][:, 0, 0, 0]
        owners = [[i for i in range(3) if a in np.array(store.episode(i)["action"])[:, 0]] for a in first.numpy()]
        assert window.told == [SAID[i] for (i,) in owners]
        assert model.heard[-8:] == list(window.told)
        assert all(v.shape[1] == 3 for k, v in model.begun[-1].items() if k != "action")
        assert model.begun[-1]["action"].shape == (8, 2, 7)


def test_statistics_are_of_every_step_and_of_no_step_across_episodes(store):
    std, change = statistics(store, ["scene_obs"])["scene_obs"]
    rows = [torch.from_numpy(np.array(store.episode(i)["scene_obs"])) for i in range(3)]
    torch.testing.assert_close(std[:2], torch.cat(rows).std(0)[:2])
    steps = torch.cat([r.diff(dim=0) for r in rows])
    torch.testing.assert_close(change[:2], steps.square().mean(0).sqrt()[:2])
    assert float(std[10]) == 1  # never moves


def test_the_mean_frame_is_the_mean(store):
    mean = training_mean(store, ["rgb_static", "scene_obs"], frames=4096)
    frames = np.concatenate([store.episode(i)["rgb_static"] for i in range(3)])
    assert mean["rgb_static"].shape == (3, 8, 8)
    np.testing.assert_allclose(mean["rgb_static"][:, 0, 0], frames[:, 0, 0].mean(0), atol=8)
