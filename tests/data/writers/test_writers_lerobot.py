"""A store as a LeRobotDataset v3, and back. lerobot-dataset 0.4.4 read such a folder too (see docs/lerobot.md)."""

import json

import numpy as np
import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("av")
import pyarrow.parquet as pq

from dreamgym import cli
from dreamgym.data import EpisodeStore
from dreamgym.data.readers import ImportConfig, import_dataset, read
from dreamgym.data.writers import ExportConfig, export_lerobot

KEYS = {
    "action": ((2,), "float32"),
    "robot_obs": ((3,), "float32"),
    "width": ((1,), "float32"),
    "rgb_static": ((24, 32, 3), "uint8"),
    "reward": ((), "float32"),
    "success": ((), "bool"),
}
SENSORS = ("robot_obs", "width", "rgb_static")
CONFIG = ExportConfig(10.0, own="robot_obs")


def episode(rng, rows):
    """Numbers without pattern; pictures that are smooth, as those of cameras are."""
    base = np.linspace(0, 200, 32)[None, None, :, None] + np.arange(rows)[:, None, None, None] * 5
    picture = np.broadcast_to(base + np.array([0, 20, 40]), (rows, 24, 32, 3)).clip(0, 255).astype(np.uint8)
    return {
        "action": rng.normal(size=(rows, 2)).astype(np.float32),
        "robot_obs": rng.normal(size=(rows, 3)).astype(np.float32),
        "width": rng.normal(size=(rows, 1)).astype(np.float32),
        "rgb_static": picture,
        "reward": rng.random(rows).astype(np.float32),
        "success": np.arange(rows) >= rows - 2,
    }


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    rng, made = (
        np.random.default_rng(0),
        EpisodeStore.create(tmp_path_factory.mktemp("store") / "s", KEYS, {"frame_rate": 10.0}),
    )
    splits = ["train", "val", "train", "test", "train", "val"]
    tasks = ["open_door", "open_door", "close_door", "close_door", "open_door", None]
    metas = [{"split": s, **({} if t is None else {"task": t})} for s, t in zip(splits, tasks, strict=True)]
    made.append([(episode(rng, 5 + i), meta) for i, meta in enumerate(metas)])
    return made


ORDER = [0, 2, 4, 1, 5, 3]
"""The store's episodes, split by split."""


def back(folder, where, keys=SENSORS):
    """The folder imported again, under the store's names."""
    names = {
        "robot_obs": "observation.state",
        "width": "observation.width",
        "rgb_static": "observation.images.rgb_static",
    }
    config = ImportConfig(
        {"action": "action", "reward": "next.reward", **{k: names[k] for k in keys}}, success="success"
    )
    made = EpisodeStore.create(where, {k: v for k, v in KEYS.items() if k in (*keys, "action", "reward", "success")})
    return import_dataset(read(f"lerobot:{folder}"), made, config, progress=False)


def test_every_number_comes_back_bit_for_bit(store, tmp_path):
    folder = export_lerobot(store, tmp_path / "out", CONFIG, progress=False)
    again = back(folder, tmp_path / "again")
    assert [m["split"] for m in again.metas] == ["train"] * 3 + ["val"] * 2 + ["test"]
    assert [m.get("task") for m in again.metas] == [store.metas[i].get("task") for i in ORDER]
    for number, i in enumerate(ORDER):
        before, after = store.episode(i), again.episode(number)
        for key in set(KEYS) - {"rgb_static"}:
            assert before[key].dtype == after[key].dtype
            assert np.array_equal(before[key], after[key]), key
        error = np.abs(before["rgb_static"].astype(int) - after["rgb_static"].astype(int))
        assert error.mean() < 3 and error.max() < 30  # H.264, with colours at half the resolution


def test_png_pictures_come_back_bit_for_bit(store, tmp_path):
    config = ExportConfig(10.0, own="robot_obs", pictures="png")
    again = back(export_lerobot(store, tmp_path / "out", config, progress=False), tmp_path / "again")
    for number, i in enumerate(ORDER):
        assert np.array_equal(store.episode(i)["rgb_static"], again.episode(number)["rgb_static"])
    assert json.loads((tmp_path / "out/meta/info.json").read_text())["video_path"] is None


@pytest.mark.parametrize("bounds", [{}, {"data_mb": 0.001, "video_mb": 0.001}])
def test_files_are_bounded_and_episodes_lie_in_one(store, tmp_path, bounds):
    config = ExportConfig(10.0, own="robot_obs", **bounds)
    folder = export_lerobot(store, tmp_path / "out", config, progress=False)
    files = len(list(folder.glob("data/*/*.parquet"))), len(list(folder.glob("videos/*/*/*.mp4")))
    assert files == (1, 1) if not bounds else min(files) > 1
    info = json.loads((folder / "meta/info.json").read_text())
    assert (info["data_files_size_in_mb"], info["video_files_size_in_mb"]) == (config.data_mb, config.video_mb)
    tables = sorted(folder.glob("meta/episodes/*/*.parquet"))
    told = [pq.read_table(file).to_pydict()["meta/episodes/file_index"] for file in tables]
    assert [set(numbers) for numbers in told] == [{number} for number in range(len(tables))]
    assert len(back(folder, tmp_path / "again")) == 6


def test_the_success_of_a_row_is_told_one_row_before_it(store, tmp_path):
    folder = export_lerobot(store, tmp_path / "out", CONFIG, progress=False)
    table = pq.read_table(folder / "data/chunk-000/file-000.parquet").to_pydict()
    first = slice(0, 5)
    assert table["success"][first] == [False, False, False, True, True]
    assert table["next.success"][first] == [False, False, True, True, True]
    again = import_dataset(
        read(f"lerobot:{folder}", ["action", "observation.state", "next.success"]), tmp_path / "again",
        ImportConfig({"action": "action", "state": "observation.state"}, success="next.success"), progress=False,
    )  # fmt: skip
    assert again.episode(0)["success"].tolist() == [False, False, False, True, True]


def test_what_lerobot_reads_beside_the_rows(store, tmp_path):
    folder = export_lerobot(store, tmp_path / "out", CONFIG, progress=False)
    info = json.loads((folder / "meta/info.json").read_text())
    assert info["codebase_version"] == "v3.0"
    assert (info["total_episodes"], info["total_frames"], info["total_tasks"], info["fps"]) == (6, 45, 3, 10)
    assert info["splits"] == {"train": "0:3", "val": "3:5", "test": "5:6"}
    assert info["features"]["observation.images.rgb_static"]["shape"] == [24, 32, 3]
    tasks = pq.read_table(folder / "meta/tasks.parquet")
    assert tasks.to_pydict() == {"task_index": [0, 1, 2], "task": ["open_door", "close_door", ""]}
    assert json.loads(tasks.schema.metadata[b"pandas"])["index_columns"] == ["task"]
    rows = pq.read_table(folder / "meta/episodes/chunk-000/file-000.parquet").to_pylist()
    assert [row["dataset_to_index"] for row in rows] == list(np.cumsum([5, 7, 9, 6, 10, 8]))
    camera = "videos/observation.images.rgb_static"
    assert [row[f"{camera}/from_timestamp"] for row in rows] == pytest.approx([0, 0.5, 1.2, 2.1, 2.7, 3.7])
    stats = json.loads((folder / "meta/stats.json").read_text())
    actions = np.concatenate([store.episode(i)["action"] for i in range(6)]).astype(np.float64)
    for name in ("min", "max", "mean", "std"):
        assert stats["action"][name] == pytest.approx(getattr(actions, name)(0).tolist(), abs=1e-9)
    assert stats["action"]["count"] == [45]
    assert np.shape(stats["observation.images.rgb_static"]["mean"]) == (3, 1, 1)
    assert rows[0]["stats/action/q50"] == pytest.approx(np.median(store.episode(0)["action"], 0).tolist())


def test_the_command_takes_a_part_and_says_what_is_wrong(store, tmp_path, capsys):
    words = ["export", str(store.path), "--out", str(tmp_path / "out")]
    cli.main([*words, "--split", "train", "--task", "open_door", "--sentences"])
    assert "2 episodes, 14 rows at 10 Hz" in capsys.readouterr().out
    assert pq.read_table(tmp_path / "out/meta/tasks.parquet")["task"].to_pylist() == ["open door"]
    for wrong, told in (
        ([], "is there already"),
        (["--out", str(tmp_path / "x"), "--task", "dance"], r"no episode of .*dance.*its tasks are \['close_d"),
        (["--out", str(tmp_path / "x"), "--state", "nose"], "no sensor 'nose'; it has (?!.*success)"),
        (["--out", str(tmp_path / "x"), "--crf", "77"], "--crf must be at least 0 and at most 51, got 77"),
    ):
        with pytest.raises(SystemExit, match=told):
            cli.main([*words, *wrong])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out"]
    with pytest.raises(SystemExit, match="info.json"):
        cli.main(["export", str(tmp_path), "--out", str(tmp_path / "x")])


def test_a_second_state_is_the_environments_and_pictures_of_one_channel_are_numbers(tmp_path):
    keys = {
        "action": ((1,), "float32"),
        "state": ((2,), "float32"),
        "arm": ((3,), "float32"),
        "depth": ((4, 5, 1), "uint8"),
    }
    store, rng = EpisodeStore.create(tmp_path / "s", keys), np.random.default_rng(2)
    made = {k: (9 * rng.random((6, *shape))).astype(dtype) for k, (shape, dtype) in keys.items()}
    store.append([(made, {})])
    folder = export_lerobot(store, tmp_path / "out", ExportConfig(5.0, own="arm"), progress=False)
    ((found, meta),) = read(f"lerobot:{folder}")
    names = {"state": "observation.environment_state", "arm": "observation.state", "depth": "observation.depth"}
    for key, name in names.items():
        assert np.array_equal(found[name], made[key])
    assert "task" not in meta


def test_odd_sizes_and_rates_that_are_no_whole_number(tmp_path):
    rng, keys = np.random.default_rng(1), {"action": ((1,), "float32"), "top": ((17, 15, 3), "uint8")}
    store = EpisodeStore.create(tmp_path / "s", keys)
    grey = np.repeat(np.arange(6, dtype=np.uint8) * 40, 17 * 15 * 3).reshape(6, 17, 15, 3)
    store.append([({"action": rng.normal(size=(6, 1)).astype(np.float32), "top": grey}, {"task": "t"})] * 3)
    folder = export_lerobot(store, tmp_path / "out", ExportConfig(29.97), progress=False)
    for found, _ in read(f"lerobot:{folder}"):
        assert np.abs(found["observation.images.top"].astype(int) - grey).max() < 8
