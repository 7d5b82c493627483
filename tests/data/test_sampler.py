"""Windows of T steps: within one episode, aligned, and the same for the same seed and step."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_episodes import KEYS, make_episode
from hypothesis import given, settings
from hypothesis import strategies as st

from dreamgym.data import EpisodeStore, SequenceSampler


def make_store(path: Path, lengths: list[int], per_shard: int = 2, metas: list[dict] | None = None) -> EpisodeStore:
    store = EpisodeStore.create(path, KEYS)
    episodes = [(make_episode(i, n), metas[i] if metas else {}) for i, n in enumerate(lengths)]
    for start in range(0, len(episodes), per_shard):
        store.append(episodes[start : start + per_shard])
    return store


@pytest.fixture
def store(tmp_path: Path) -> EpisodeStore:
    return make_store(tmp_path / "store", [30, 12, 50, 8])


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def test_shapes_and_dtypes(store: EpisodeStore) -> None:
    batch = SequenceSampler(store, length=8, batch_size=5).batch(0)
    described = {key: (tuple(value.shape), value.dtype) for key, value in batch.items()}
    assert described == {
        "action": ((5, 8, 7), torch.float32),
        "rgb_static": ((5, 8, 3, 4, 6), torch.uint8),
        "robot_obs": ((5, 8, 15), torch.float32),
        "is_first": ((5, 8), torch.bool),
    }


def test_images_are_permuted_not_reshaped(store: EpisodeStore) -> None:
    image = SequenceSampler(store, length=4, batch_size=3).batch(0)["rgb_static"]
    assert torch.equal(image[0, 0, 2], torch.arange(6, dtype=torch.uint8).expand(4, 6))  # channel 2 counts the columns
    assert (image[:, :, 0] == image[:, :1, 0, :1, :1]).all()  # channel 0 is the episode's number


def test_a_share_of_windows_begins_with_the_episode(store: EpisodeStore) -> None:
    some, none, each = (SequenceSampler(store, 4, 200, ["robot_obs"], openings=o) for o in (0.3, 0.0, 1.0))
    assert each.batch(0)["is_first"][:, 0].all()
    shares = [float(s.batch(1)["is_first"][:, 0].float().mean()) for s in (none, some)]
    assert shares[1] - shares[0] == pytest.approx(0.3 * (1 - shares[0]), abs=0.08)
    with pytest.raises(ValueError, match="openings is a share"):
        SequenceSampler(store, 4, 2, openings=2)


def test_only_the_keys_asked_for(store: EpisodeStore) -> None:
    assert set(SequenceSampler(store, 8, 5, keys=["action"]).batch(0)) == {"action", "is_first"}
    with pytest.raises(ValueError, match="no key"):
        SequenceSampler(store, 8, 5, keys=["depth"])


@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 20), min_size=1, max_size=6),
    length=st.integers(1, 12),
    per_shard=st.integers(1, 3),
    seed=st.integers(0, 2**32),
    step=st.integers(0, 2**40),
)
def test_windows_are_consecutive_rows_of_one_episode(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], length: int, per_shard: int, seed: int, step: int
) -> None:
    store = make_store(tmp_path_factory.mktemp("store") / "s", lengths, per_shard)
    if max(lengths) < length:
        with pytest.raises(ValueError, match="none of"):
            SequenceSampler(store, length)
        return
    batch = SequenceSampler(store, length, batch_size=16, seed=seed).batch(step)
    number, row = batch["robot_obs"][..., 0], batch["robot_obs"][..., 1]
    assert (number == number[:, :1]).all()
    assert (row == row[:, :1] + torch.arange(length)).all()
    assert (row[:, -1] < torch.tensor(lengths)[number[:, 0].long()]).all()
    assert torch.equal(batch["action"][..., 0], number + (row + 1) / 1024)  # the action that leads to the next row
    assert torch.equal(batch["is_first"], row == 0)
    assert torch.equal(batch["rgb_static"][:, :, 1, 0, 0].float(), row % 256)


def test_every_window_is_drawn_equally_often(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", [6, 4, 9, 2])  # 4 + 2 + 7 windows of 3 rows, none of the last
    rows = SequenceSampler(store, 3, 20_000, keys=["robot_obs"]).batch(0)["robot_obs"][:, 0, :2].numpy()
    _, counts = np.unique(rows, axis=0, return_counts=True)
    assert len(counts) == 13
    assert np.abs(counts / 20_000 - 1 / 13).max() < 0.01


def test_batches_depend_on_seed_and_step_alone(store: EpisodeStore) -> None:
    sampler = SequenceSampler(store, 8, 5, seed=3)
    first = [sampler.batch(step) for step in range(4)]
    resumed = SequenceSampler(EpisodeStore.open(store.path), 8, 5, seed=3)
    assert equal(resumed.batch(3), first[3])
    assert equal(resumed.batch(2), first[2])
    assert not equal(first[2], first[3])
    assert not equal(SequenceSampler(store, 8, 5, seed=4).batch(3), first[3])


def test_batches_do_not_depend_on_the_order_in_which_workers_finished(tmp_path: Path) -> None:
    episodes = [(make_episode(i, 10 + i), {"episode_index": i}) for i in range(4)]
    stores = []
    for name, order in (("a", [0, 1, 2, 3]), ("b", [2, 0, 3, 1])):
        stores.append(EpisodeStore.create(tmp_path / name, KEYS))
        stores[-1].append([episodes[i] for i in order])
    assert equal(*[SequenceSampler(store, 6, 20).batch(7) for store in stores])


@pytest.mark.parametrize("num_workers", [1, 3])
def test_prefetch_gives_the_same_batches_in_order(store: EpisodeStore, num_workers: int) -> None:
    sampler = SequenceSampler(store, 8, 5)
    ahead = sampler.prefetch(start_step=11, num_workers=num_workers)
    for step, batch in enumerate(itertools.islice(ahead, 9), start=11):
        assert equal(batch, sampler.batch(step))
    ahead.close()


def test_prefetch_passes_an_error_on(store: EpisodeStore) -> None:
    sampler = SequenceSampler(store, 8, 5)
    (store.path / "shards" / "00000001" / "action.npy").unlink()
    with pytest.raises(ValueError, match="damaged"):
        list(itertools.islice(sampler.prefetch(), 20))


def test_a_view_is_sampled_alone(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", [9] * 4, metas=[{"split": s} for s in ("train", "val", "train", "val")])
    batch = SequenceSampler(store.select(split="val"), 3, 200).batch(0)
    assert set(batch["robot_obs"][:, 0, 0].tolist()) == {1, 3}


def test_short_episodes_are_skipped_with_one_warning(store: EpisodeStore, caplog: pytest.LogCaptureFixture) -> None:
    batch = SequenceSampler(store, 13, 100).batch(0)
    assert set(batch["robot_obs"][:, 0, 0].tolist()) == {0, 2}
    assert len(caplog.records) == 1
    assert "2 of 4 episodes are shorter than 13 rows" in caplog.text


def test_no_episode_long_enough(store: EpisodeStore, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"none of 4 episodes has 51 rows \(longest 50\): collect longer"):
        SequenceSampler(store, 51)
    with pytest.raises(ValueError, match="none of 0 episodes"):
        SequenceSampler(EpisodeStore.create(tmp_path / "empty", KEYS))


def share(batch: dict[str, torch.Tensor], numbers: list[int]) -> float:
    return torch.isin(batch["robot_obs"][:, 0, 0], torch.tensor(numbers, dtype=torch.float32)).float().mean().item()


def test_balance_by_episode(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", [100, 10])
    assert share(SequenceSampler(store, 10, 4000).batch(0), [1]) == pytest.approx(1 / 92, abs=0.01)
    assert share(SequenceSampler(store, 10, 4000, balance="episode").batch(0), [1]) == pytest.approx(1 / 2, abs=0.03)


def test_balance_by_a_meta_entry(tmp_path: Path) -> None:
    tasks = ["open", "open", "open", "close"]
    store = make_store(tmp_path / "store", [40, 60, 20, 15], metas=[{"task": task} for task in tasks])
    batch = SequenceSampler(store, 10, 4000, balance="task").batch(0)
    assert share(batch, [3]) == pytest.approx(1 / 2, abs=0.03)
    assert share(batch, [1]) == pytest.approx(51 / 93 / 2, abs=0.03)  # by windows within one value
    with pytest.raises(ValueError, match="meta of episode 0 has no such entry"):
        SequenceSampler(store, 10, balance="colour")


@pytest.mark.parametrize("arguments", [{"length": 0}, {"batch_size": 0}, {"seed": -1}])
def test_arguments_out_of_range(store: EpisodeStore, arguments: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"length, batch_size >= 1 and seed >= 0"):
        SequenceSampler(store, **arguments)


def test_the_episodes_of_a_batch_are_those_that_its_windows_are_of(store: EpisodeStore) -> None:
    sampler = SequenceSampler(store, length=8, batch_size=20, balance="episode", openings=0.3)
    batch, episodes = sampler.batch(3), sampler.episodes(3)
    assert set(episodes.tolist()) == {0, 1, 2, 3}
    for row, i in zip(batch["robot_obs"].numpy(), episodes, strict=True):
        recorded = store.episode(int(i), ["robot_obs"])["robot_obs"]
        assert any(np.array_equal(row, recorded[t : t + 8]) for t in range(len(recorded) - 7))
