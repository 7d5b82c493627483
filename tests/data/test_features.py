"""Features computed once: kept, known by their weights, resumed, refused where they are of something else."""

from pathlib import Path

import numpy as np
import pytest

from dreamgym.data import EpisodeStore, SequenceSampler
from dreamgym.data.features import Feature, FeatureView


@pytest.fixture
def store(tmp_path: Path) -> EpisodeStore:
    made = EpisodeStore.create(tmp_path / "store", {"x": ((2,), "float32"), "action": ((1,), "float32")})
    rng = np.random.default_rng(0)
    for i in range(3):
        rows = {"x": rng.normal(size=(5 + i, 2)).astype(np.float32), "action": np.zeros((5 + i, 1), np.float32)}
        made.append([(rows, {"split": "train" if i else "val"})])
    return made


class Doubling:
    def __init__(self) -> None:
        self.rows = 0

    def __call__(self, rows: dict[str, np.ndarray]) -> np.ndarray:
        self.rows += len(rows["x"])
        return 2 * rows["x"]


def doubled(encode: Doubling, digest: str = "one", shape: tuple[int, ...] = (2,)) -> Feature:
    return Feature("twice", digest, ("x",), shape, encode)


def test_features_are_computed_once(store: EpisodeStore, tmp_path: Path) -> None:
    encode = Doubling()
    view = FeatureView(store, [doubled(encode)], tmp_path / "cache", rows=2).prepare()
    assert encode.rows == store.num_steps
    rows = view.episode(1, ["x", "twice"], 1, 4)
    assert np.allclose(rows["twice"], 2 * rows["x"], atol=1e-2) and rows["twice"].shape == (3, 2)
    again = Doubling()
    assert np.array_equal(
        FeatureView(store, [doubled(again)], tmp_path / "cache").episode(2)["twice"], view.episode(2)["twice"]
    )
    assert again.rows == 0


def test_a_cut_short_cache_is_completed(store: EpisodeStore, tmp_path: Path) -> None:
    FeatureView(store, [doubled(Doubling())], tmp_path / "cache").prepare()
    next((tmp_path / "cache").rglob("*.npy")).unlink()
    encode = Doubling()
    FeatureView(store, [doubled(encode)], tmp_path / "cache").prepare()
    assert 0 < encode.rows < store.num_steps


def test_other_weights_have_a_cache_of_their_own(store: EpisodeStore, tmp_path: Path) -> None:
    FeatureView(store, [doubled(Doubling())], tmp_path / "cache").prepare()
    encode = Doubling()
    FeatureView(store, [doubled(encode, "two")], tmp_path / "cache").prepare()
    assert encode.rows == store.num_steps


def test_a_cache_of_something_else_is_refused(store: EpisodeStore, tmp_path: Path) -> None:
    FeatureView(store, [doubled(Doubling())], tmp_path / "cache").prepare()
    with pytest.raises(ValueError, match="of other weights"):
        FeatureView(store, [doubled(Doubling(), shape=(3,))], tmp_path / "cache").episode(0)
    for file in (tmp_path / "cache").rglob("*.npy"):
        file.write_bytes(b"damaged")
    with pytest.raises(ValueError, match="is damaged"):
        FeatureView(store, [doubled(Doubling())], tmp_path / "cache").episode(0)


def test_samplers_and_selections_see_them(store: EpisodeStore, tmp_path: Path) -> None:
    view = FeatureView(store, [doubled(Doubling())], tmp_path / "cache")
    batch = SequenceSampler(view.select(split="train").first(1), 3, 4, ["x", "twice"]).batch(0)
    assert np.allclose(batch["twice"].float(), 2 * batch["x"], atol=1e-2)
