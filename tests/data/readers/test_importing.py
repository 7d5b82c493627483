"""From foreign episodes to a store: names, sizes, resuming."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dreamgym.data import EpisodeStore
from dreamgym.data.readers import ImportConfig, Source, import_dataset, importing, resize_area


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


def test_an_existing_store_says_sizes_and_types(tmp_path: Path) -> None:
    rows = {"action": ((2,), "float32"), "p": ((10, 10, 3), "uint8"), "d": ((1,), "bool"), "s": ((1,), "float32")}
    store = EpisodeStore.create(tmp_path / "s", rows)
    keys = {"action": "act", "p": "pic", "d": "done", "s": "step"}
    import_dataset(foreign(2), store, ImportConfig(keys), progress=False)
    episode = store.episode(1)
    np.testing.assert_allclose(episode["action"], foreign(2)[1][0]["act"], rtol=1e-6)
    np.testing.assert_array_equal(episode["p"], resize_area(foreign(2)[1][0]["pic"], 10, 10))
    assert episode["d"][:, 0].tolist() == [False] * 4 + [True]
    assert episode["s"][:, 0].tolist() == [0, 1, 2, 3, 4]


def test_a_new_store_takes_its_keys_from_the_first_episode(tmp_path: Path) -> None:
    mapping = {"action": "act", "image": "pic", "success": "done"}
    store = import_dataset(foreign(1), tmp_path / "s", ImportConfig(mapping, image_size=16), progress=False)
    described = {name: (shape, dtype.name) for name, (shape, dtype) in store.keys.items()}
    assert described == {"action": ((2,), "float32"), "image": ((16, 16, 3), "uint8"), "success": ((), "bool")}


def splits(store: EpisodeStore) -> dict[str, list[int]]:
    return {split: [i for i, m in enumerate(store.metas) if m["split"] == split] for split in ("val", "test")}


def test_a_tenth_is_held_out_for_each_use_unless_the_meta_says(tmp_path: Path) -> None:
    pairs = foreign(33)
    pairs[3][1]["split"] = "val"
    store = import_dataset(pairs, tmp_path / "s", ImportConfig({"action": "act"}), progress=False)
    assert splits(store) == {"val": [1, 3, 12, 22, 32], "test": [2, 13, 23]}


def test_every_task_is_held_out_in_its_share(tmp_path: Path) -> None:
    pairs = foreign(60)
    for i, (_, meta) in enumerate(pairs):
        meta["task"] = "rare" if i % 20 < 2 else "often"
    config = ImportConfig({"action": "act"}, val_share=0.2, test_share=0)
    store = import_dataset(pairs, tmp_path / "s", config, progress=False)
    tasks = [store.metas[i]["task"] for i in splits(store)["val"]]
    assert (tasks.count("rare"), tasks.count("often")) == (1, 11)
    assert splits(store)["test"] == []


def source_of(count: int, stop: int | None = None, **facts: Any) -> Source:
    """A data set of which the reader dies after `stop` episodes."""

    def read(skip):
        for number, (episode, meta) in enumerate(foreign(count)):
            if number == stop:
                raise KeyboardInterrupt
            if meta["source"] not in skip:
                yield episode, meta

    return Source("foreign", {"act": (2,)}, read, count, **facts)


def test_a_killed_import_goes_on_to_the_same_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "SHARD_ROWS", 10)
    config = ImportConfig({"action": "act"}, val_share=0.3)
    whole = import_dataset(source_of(14), tmp_path / "whole", config, progress=False)
    with pytest.raises(KeyboardInterrupt):
        import_dataset(source_of(14, stop=7), tmp_path / "s", config, progress=False)
    store = import_dataset(source_of(14), tmp_path / "s", config, progress=False)
    assert 0 < len(EpisodeStore.open(tmp_path / "s")) == len(whole)
    assert store.metas == whole.metas


def test_a_data_set_that_holds_out_itself_lends_only_what_it_lacks(tmp_path: Path) -> None:
    source = source_of(20, held_out=frozenset({"val"}))
    store = import_dataset(source, tmp_path / "s", ImportConfig({"action": "act"}), progress=False)
    assert splits(store) == {"val": [], "test": [2, 12]}


def test_the_store_remembers_what_the_data_set_says(tmp_path: Path) -> None:
    bounds = {"low": [0.0, 0.0], "high": [1.0, 2.0], "binary": [], "hold": [0.0, 1.0]}
    source = source_of(3, frame_rate=20.0, action=bounds, suite="calvin")
    store = import_dataset(source, tmp_path / "s", ImportConfig({"action": "act"}), progress=False)
    assert (store.info["frame_rate"], store.info["action"], store.info["suite"]) == (20.0, bounds, "calvin")
    config = ImportConfig({"action": "act"}, suite="pusht", frame_rate=5.0)
    store = import_dataset(source, tmp_path / "t", config, progress=False)
    assert (store.info["frame_rate"], store.info["suite"]) == (5.0, "pusht")


@pytest.mark.parametrize(
    ("changed", "facts"),
    [
        ({"keys": {"action": "act", "x": "step"}}, {}),
        ({"success": "done"}, {}),
        ({"task": "other"}, {}),
        ({"frame_rate": 3.0}, {}),
        ({}, {"frame_rate": 7.0}),
    ],
)
def test_a_store_is_not_imported_in_two_ways(tmp_path: Path, changed: dict, facts: dict) -> None:
    settings: dict[str, Any] = {"keys": {"action": "act"}, "task": "push"}
    import_dataset(source_of(3), tmp_path / "s", ImportConfig(**settings), progress=False)
    with pytest.raises(ValueError, match=r"was imported with .*import into a store of its own, and `dreamgym join`"):
        import_dataset(source_of(5, **facts), tmp_path / "s", ImportConfig(**{**settings, **changed}), progress=False)
    assert len(EpisodeStore.open(tmp_path / "s")) == 3


def test_a_store_of_another_kind_is_not_mixed_with(tmp_path: Path) -> None:
    store = EpisodeStore.create(tmp_path / "s", {"action": ((2,), "float32")})
    store.append([({"action": np.zeros((3, 2), np.float32)}, {"split": "train"})])
    with pytest.raises(ValueError, match="was not made by an import, and has 1 episodes"):
        import_dataset(foreign(2), tmp_path / "s", ImportConfig({"action": "act"}), progress=False)


def test_an_episode_with_a_nan_is_left_out_and_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pairs = foreign(3)
    pairs[1][0]["act"][2, 1] = np.nan
    store = import_dataset(pairs, tmp_path / "s", ImportConfig({"action": "act"}), progress=False)
    assert [meta["source"] for meta in store.metas] == ["foreign:0", "foreign:2"]
    assert "foreign:1 is left out: 'action' has a NaN or an infinity at row 2" in caplog.text


def test_marks_and_the_name_of_the_task_are_stored(tmp_path: Path) -> None:
    pairs = foreign(2)
    pairs[0][1]["task"] = "lift"
    config = ImportConfig({"action": "act"}, success="step>=3", task="push")
    store = import_dataset(pairs, tmp_path / "s", config, progress=False)
    assert store.episode(1)["success"].tolist() == [False] * 3 + [True] * 2
    assert [(meta["task"], meta["success"]) for meta in store.metas] == [("lift", True), ("push", True)]


@pytest.mark.parametrize(
    "wrong",
    [{"keys": {"state": "obs"}}, {"val_share": 0.5, "test_share": 0.5}, {"test_share": -0.1}, {"frame_rate": 0.0}],
)
def test_settings_that_cannot_be_are_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match="got"):
        ImportConfig(**{"keys": {"action": "act"}, **wrong})


def test_short_episodes_share_a_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "SHARD_ROWS", 12)
    store = import_dataset(foreign(7), tmp_path / "s", ImportConfig({"action": "act"}), progress=False)
    assert len(list((store.path / "shards").iterdir())) == 3
    for i, (episode, meta) in enumerate(foreign(7)):
        np.testing.assert_allclose(store.episode(i)["action"], episode["act"], rtol=1e-6)
        assert store.metas[i]["source"] == meta["source"]


def test_called_again_it_adds_only_what_is_missing(tmp_path: Path) -> None:
    import_dataset(foreign(3), tmp_path / "s", ImportConfig({"action": "act"}), progress=False)
    store = import_dataset(foreign(5), tmp_path / "s", ImportConfig({"action": "act"}), progress=False)
    assert [meta["source"] for meta in store.metas] == [f"foreign:{i}" for i in range(5)]


def test_what_does_not_fit_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no key 'actions'; it has \['act', 'done', 'pic', 'step'\]"):
        import_dataset(foreign(1), tmp_path / "s", ImportConfig({"action": "actions"}), progress=False)
    store = EpisodeStore.create(tmp_path / "t", {"action": ((7,), "float32")})
    with pytest.raises(ValueError, match=r"'action' is float32 \[T, \(7,\)\], got float64 \(5, 2\)"):
        import_dataset(foreign(1), store, ImportConfig({"action": "act"}), progress=False)
    with pytest.raises(ValueError, match="nothing to import"):
        import_dataset([], tmp_path / "u", ImportConfig({"action": "act"}), progress=False)
