"""From foreign episodes to a store: names, sizes, resuming."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamgym.data import EpisodeStore
from dreamgym.data.readers import import_dataset, importing, resize_area


def foreign(count: int, length: int = 5) -> list[tuple[dict[str, np.ndarray], dict]]:
    rng = np.random.default_rng(0)
    return [
        (
            {
                "act": rng.random((length, 2)),
                "pic": rng.integers(0, 256, (length, 20, 30, 3), dtype=np.uint8),
                "done": np.arange(length) == length - 1,
                "step": np.arange(length),
            },
            {"source": f"foreign:{i}"},
        )
        for i in range(count)
    ]


def test_halving_averages_four_pixels() -> None:
    image = np.random.default_rng(0).integers(0, 256, (3, 8, 6, 3), dtype=np.uint8)
    expected = image.reshape(3, 4, 2, 3, 2, 3).astype(float).mean(axis=(2, 4))
    assert np.abs(resize_area(image, 4, 3) - expected).max() <= 0.5


def test_fractions_of_pixels_count() -> None:
    image = np.array([0, 90, 240], np.uint8)[None, :, None].repeat(3, axis=-1)
    # 3 pixels to 2: the middle one lies half in each.
    assert resize_area(image, 1, 2)[0, :, 0].tolist() == [30, 190]


@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 20), st.integers(1, 20), st.integers(0, 255))
def test_a_flat_image_stays_flat(height: int, width: int, new_height: int, new_width: int, value: int) -> None:
    resized = resize_area(np.full((height, width, 3), value, np.uint8), new_height, new_width)
    assert resized.shape == (new_height, new_width, 3)
    assert (resized == value).all()


def test_the_same_size_is_untouched() -> None:
    image = np.zeros((2, 64, 64, 3), np.uint8)
    assert resize_area(image, 64, 64) is image


def test_an_existing_store_says_sizes_and_types(tmp_path: Path) -> None:
    keys = {"a": ((2,), "float32"), "p": ((10, 10, 3), "uint8"), "d": ((1,), "bool"), "s": ((1,), "float32")}
    store = EpisodeStore.create(tmp_path / "s", keys)
    import_dataset(foreign(2), store, {"a": "act", "p": "pic", "d": "done", "s": "step"}, progress=False)
    episode = store.episode(1)
    np.testing.assert_allclose(episode["a"], foreign(2)[1][0]["act"], rtol=1e-6)
    np.testing.assert_array_equal(episode["p"], resize_area(foreign(2)[1][0]["pic"], 10, 10))
    assert episode["d"][:, 0].tolist() == [False] * 4 + [True]
    assert episode["s"][:, 0].tolist() == [0, 1, 2, 3, 4]


def test_a_new_store_takes_its_keys_from_the_first_episode(tmp_path: Path) -> None:
    mapping = {"action": "act", "image": "pic", "success": "done"}
    store = import_dataset(foreign(1), tmp_path / "s", mapping, image_size=16, progress=False)
    described = {name: (shape, dtype.name) for name, (shape, dtype) in store.keys.items()}
    assert described == {"action": ((2,), "float32"), "image": ((16, 16, 3), "uint8"), "success": ((), "bool")}


def test_every_twentieth_episode_is_held_out_unless_the_meta_says(tmp_path: Path) -> None:
    pairs = foreign(45)
    pairs[3][1]["split"] = "val"
    store = import_dataset(pairs, tmp_path / "s", {"action": "act"}, progress=False)
    assert [i for i, meta in enumerate(store.metas) if meta["split"] == "val"] == [3, 19, 39]


def test_short_episodes_share_a_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "SHARD_ROWS", 12)
    store = import_dataset(foreign(7), tmp_path / "s", {"action": "act"}, progress=False)
    assert len(list((store.path / "shards").iterdir())) == 3
    for i, (episode, meta) in enumerate(foreign(7)):
        np.testing.assert_allclose(store.episode(i)["action"], episode["act"], rtol=1e-6)
        assert store.metas[i]["source"] == meta["source"]


def test_called_again_it_adds_only_what_is_missing(tmp_path: Path) -> None:
    import_dataset(foreign(3), tmp_path / "s", {"action": "act"}, progress=False)
    store = import_dataset(foreign(5), tmp_path / "s", {"action": "act"}, progress=False)
    assert [meta["source"] for meta in store.metas] == [f"foreign:{i}" for i in range(5)]


def test_what_does_not_fit_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no key 'actions'; it has \['act', 'done', 'pic', 'step'\]"):
        import_dataset(foreign(1), tmp_path / "s", {"action": "actions"}, progress=False)
    store = EpisodeStore.create(tmp_path / "t", {"action": ((7,), "float32")})
    with pytest.raises(ValueError, match=r"'action' is float32 \[T, \(7,\)\], got float64 \(5, 2\)"):
        import_dataset(foreign(1), store, {"action": "act"}, progress=False)
    with pytest.raises(ValueError, match="nothing to import"):
        import_dataset([], tmp_path / "u", {"action": "act"}, progress=False)
