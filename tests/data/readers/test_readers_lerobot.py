"""LeRobotDataset v3 folders written here in its true layout, read back."""

from __future__ import annotations

import io
import json
import shutil
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from dreamgym.data.readers import ImportConfig, import_dataset, read, read_lerobot

av = pytest.importorskip("av")
pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

FPS = 10
TOP, WRIST = "observation.images.top", "observation.images.wrist"


def picture(episode: int, frame: int) -> np.ndarray:
    """A flat colour that says which frame it is, and survives video compression."""
    return np.full((48, 64, 3), (40 + 60 * (episode % 3), 30 + 12 * frame, 120), np.uint8)


def write_video(file: Path, frames: list[np.ndarray], codec: str = "libx264") -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(file), "w") as container:
        stream = container.add_stream(codec, rate=FPS, options={"g": "4", "crf": "10"})
        stream.width, stream.height, stream.pix_fmt, stream.time_base = 64, 48, "yuv420p", Fraction(1, FPS)
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="image2pipe") as container:
        stream = container.add_stream("png")
        stream.width, stream.height, stream.pix_fmt = image.shape[1], image.shape[0], "rgb24"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return buffer.getvalue()


def write_lerobot(folder: Path, files: list[list[int]], codec: str = "libx264", version: str = "v3.0") -> Path:
    """Episodes of the given lengths, one data file and one video file for each inner list.

    observation.state is (episode, frame, 0), action is frame / 100, next.done marks the last frame.
    """
    feature = {"dtype": "float32", "shape": [3], "names": None}
    scalar = {"shape": [1], "names": None}
    features = {
        "observation.state": feature,
        "action": {"dtype": "float32", "shape": [2], "names": ["x", "y"]},
        "next.done": {"dtype": "bool", **scalar},
        "instruction": {"dtype": "string", **scalar},
        "observation.images.depth": {"dtype": "video", "shape": [48, 64, 1], "info": {"is_depth_map": True}},
        TOP: {
            "dtype": "video",
            "shape": [48, 64, 3],
            "names": ["height", "width", "channels"],
            "info": {"video.fps": FPS},
        },
        WRIST: {"dtype": "image", "shape": [48, 64, 3], "names": ["height", "width", "channels"]},
        "timestamp": {"dtype": "float32", **scalar},
        **{name: {"dtype": "int64", **scalar} for name in ("frame_index", "episode_index", "index", "task_index")},
    }
    rows, episode, index = [], 0, 0
    for number, lengths in enumerate(files):
        columns: dict[str, list] = {name: [] for name, ft in features.items() if ft["dtype"] != "video"}
        video: list[np.ndarray] = []
        for length in lengths:
            rows.append(
                {
                    "episode_index": episode,
                    "tasks": ["open the drawer" if episode % 2 == 0 else "close the drawer"],
                    "length": length,
                    "data/chunk_index": 0,
                    "data/file_index": number,
                    "dataset_from_index": index,
                    "dataset_to_index": index + length,
                    f"videos/{TOP}/chunk_index": 0,
                    f"videos/{TOP}/file_index": number,
                    f"videos/{TOP}/from_timestamp": len(video) / FPS,
                    f"videos/{TOP}/to_timestamp": (len(video) + length) / FPS,
                    "stats/action/mean": [0.0, 0.0],
                    "meta/episodes/chunk_index": 0,
                    "meta/episodes/file_index": 0,
                }
            )
            for t in range(length):
                columns["observation.state"].append([episode, t, 0])
                columns["action"].append([t / 100, t / 100])
                columns["next.done"].append(t == length - 1)
                columns["instruction"].append("please")
                columns[WRIST].append({"bytes": png(picture(episode, t)), "path": f"frame-{t:06d}.png"})
                columns["timestamp"].append(t / FPS)
                columns["frame_index"].append(t)
                columns["episode_index"].append(episode)
                columns["index"].append(index)
                columns["task_index"].append(episode % 2)
                video.append(picture(episode, t))
                index += 1
            episode += 1
        schema = {"observation.state": pa.list_(pa.float32(), 3), "action": pa.list_(pa.float32(), 2)}
        table = pa.table({k: pa.array(v, schema.get(k)) for k, v in columns.items()})
        (folder / "data" / "chunk-000").mkdir(parents=True, exist_ok=True)
        pq.write_table(table, folder / "data" / "chunk-000" / f"file-{number:03d}.parquet")
        write_video(folder / "videos" / TOP / "chunk-000" / f"file-{number:03d}.mp4", video, codec)
    (folder / "meta" / "episodes" / "chunk-000").mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), folder / "meta" / "episodes" / "chunk-000" / "file-000.parquet")
    tasks = pa.table({"task_index": [0, 1], "task": ["open the drawer", "close the drawer"]})
    pq.write_table(tasks, folder / "meta" / "tasks.parquet")
    info = {
        "codebase_version": version,
        "robot_type": "panda",
        "total_episodes": episode,
        "total_frames": index,
        "total_tasks": 2,
        "chunks_size": 1000,
        "fps": FPS,
        "splits": {"train": f"0:{episode - 1}", "val": f"{episode - 1}:{episode}"},
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
        "features": features,
    }
    (folder / "meta" / "info.json").write_text(json.dumps(info))
    return folder


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_lerobot(tmp_path_factory.mktemp("lerobot") / "drawer", [[5, 9], [7]])


@pytest.fixture
def dataset(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "drawer"))


def test_columns_and_metas(written: Path) -> None:
    pairs = list(read_lerobot(written))
    said = [{"task": task, "tasks": [task], "fps": 10} for task in ("open the drawer", "close the drawer")]
    assert [meta for _, meta in pairs] == [
        {"source": f"lerobot:{written.parent.name}/drawer:{i}", **said[i % 2], **({"split": "val"} if i == 2 else {})}
        for i in range(3)
    ]
    episode = pairs[1][0]
    assert episode["observation.state"].tolist() == [[1, t, 0] for t in range(9)]
    np.testing.assert_allclose(episode["action"][:, 0], np.arange(9) / 100)
    assert (episode["action"].dtype, episode["next.done"].dtype) == (np.float32, np.bool_)
    assert episode["next.done"].tolist() == [False] * 8 + [True]
    assert not {"instruction", "observation.images.depth"} & set(episode)


def assert_frames(video: np.ndarray, episode: int) -> None:
    expected = np.stack([picture(episode, t) for t in range(len(video))])
    assert video.shape == expected.shape
    assert video.dtype == np.uint8
    assert np.abs(video.astype(int) - expected).max() < 6  # neighbouring frames differ by 12


def test_each_episode_gets_its_own_frames_of_a_shared_video(written: Path) -> None:
    for index, (episode, _) in enumerate(read_lerobot(written)):
        assert_frames(episode[TOP], index)


def test_embedded_images_are_decoded_exactly(written: Path) -> None:
    for index, (episode, _) in enumerate(read_lerobot(written, keys=[WRIST])):
        np.testing.assert_array_equal(episode[WRIST], [picture(index, t) for t in range(len(episode[WRIST]))])


def test_av1_as_lerobot_encodes_it(tmp_path: Path) -> None:
    if "libsvtav1" not in av.codecs_available:
        pytest.skip("this build of av has no libsvtav1")
    write_lerobot(tmp_path / "av1", [[6, 6]], codec="libsvtav1")
    for index, (episode, _) in enumerate(read_lerobot(tmp_path / "av1", keys=[TOP])):
        assert_frames(episode[TOP], index)


def test_only_the_keys_asked_for(dataset: Path) -> None:
    shutil.rmtree(dataset / "videos")
    assert [set(episode) for episode, _ in read_lerobot(dataset, keys=["action"])] == [{"action"}] * 3
    with pytest.raises(ValueError, match=r"no features \['depth'\]; it has \['action'"):
        read_lerobot(dataset, keys=["depth"])


def test_import(written: Path, tmp_path: Path) -> None:
    keys = {"action": "action", "rgb_static": TOP, "robot_obs": "observation.state"}
    store = import_dataset(read_lerobot(written), tmp_path / "store", ImportConfig(keys, image_size=16), progress=False)
    assert store.lengths.tolist() == [5, 9, 7]
    assert store.keys["rgb_static"] == ((16, 16, 3), np.dtype("uint8"))
    assert len(store.select(split="val", task="open the drawer")) == 1


def rewrite(folder: Path, **columns: Callable[[list], list]) -> None:
    """Changes columns of the first data file, each by a function of its values."""
    file = folder / DATA
    table = pq.read_table(file)
    for name, change in columns.items():
        at = table.column_names.index(name)
        table = table.set_column(
            at, table.field(at), pa.array(change(table.column(name).to_pylist()), table.field(at).type)
        )
    pq.write_table(table, file)


def test_rows_are_read_in_the_order_of_their_frame_index(dataset: Path, caplog: pytest.LogCaptureFixture) -> None:
    table = pq.read_table(dataset / DATA)
    pq.write_table(table.take(list(range(table.num_rows))[::-1]), dataset / DATA)
    episode, _ = next(iter(read_lerobot(dataset)))
    assert episode["observation.state"][:, 1].tolist() == [0, 1, 2, 3, 4]
    assert_frames(episode[TOP], 0)
    assert "rows of episode 0 are read in the order of their frame_index" in caplog.text


@pytest.mark.parametrize("drift", [0.02, 1 / 29.97 * 30 - 1])
def test_drifting_rows_are_said(dataset: Path, drift: float) -> None:
    rewrite(dataset, timestamp=lambda times: [t * (1 + 20 * drift) for t in times])
    with pytest.raises(ValueError, match=r"frame \d of episode \d lies 0.0\d+ s from where 10 frames a second put it"):
        list(read_lerobot(dataset, keys=["action"]))


def test_a_drifting_video_is_said(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = [picture(0, t) for t in range(5)] + [picture(1, t) for t in range(9)]
    slow = Fraction(103, 1000)  # a frame each 0.103 s: 0.36 s late after 12 frames
    with av.open(str(dataset / VIDEO), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"g": "4", "crf": "10"})
        stream.width, stream.height, stream.pix_fmt, stream.time_base = 64, 48, "yuv420p", Fraction(1, 1000)
        stream.codec_context.time_base = Fraction(1, 1000)
        for t, frame in enumerate(frames):
            made = av.VideoFrame.from_ndarray(frame, format="rgb24")
            made.pts, made.time_base = int(t * slow * 1000), Fraction(1, 1000)
            container.mux(stream.encode(made))
        container.mux(stream.encode())
    with pytest.raises(ValueError, match=r"file-000.mp4: frame 4 .* lies \+0.012\d s from where 10 frames a second"):
        list(read_lerobot(dataset, keys=[TOP]))


@pytest.mark.parametrize("numbers", [[0, 1, 2, 4, 5], [0, 0, 1, 2, 3]])
def test_a_missing_or_repeated_frame_is_said(dataset: Path, numbers: list[int]) -> None:
    rewrite(dataset, frame_index=lambda column: numbers + column[5:])
    with pytest.raises(ValueError, match=r"frame_index of episode 0 is not 0 to 4, each once"):
        list(read_lerobot(dataset, keys=["action"]))


def test_what_the_data_set_says_of_itself(written: Path) -> None:
    source = read(f"lerobot:{written}")
    assert (source.frame_rate, len(source), source.held_out) == (10.0, 3, {"val"})
    assert source.suggested == {"state": "observation.state", "top": TOP, "wrist": WRIST}
    assert source.next_row == {"next.done"}
    assert (source.keys["action"], source.keys["next.done"], source.keys[TOP]) == ((2,), (), (48, 64, 3))
    first = next(iter(source))[1]["source"]
    assert [meta["source"] != first for _, meta in source.open({first})] == [True, True]


def test_a_feature_of_text_names_the_tasks(written: Path) -> None:
    source = read(f"lerobot:{written}", ["action"], tasks_from="instruction")
    assert {meta["task"] for _, meta in source} == {"please"}
    with pytest.raises(
        ValueError, match=r"no feature of text 'action': tasks are named by 'task' or \['instruction'\]"
    ):
        read(f"lerobot:{written}", tasks_from="action")


@pytest.mark.parametrize("name", ["rosbag:x", "lerobot", "lerobot:", "/a/folder"])
def test_a_name_is_a_kind_and_a_path(name: str) -> None:
    with pytest.raises(ValueError, match=r"named KIND:PATH with a kind of \['lerobot', 'minari', "):
        read(name)


def edit_info(folder: Path, **changes: object) -> None:
    file = folder / "meta" / "info.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def drop_frames(folder: Path) -> None:
    file = folder / "data" / "chunk-000" / "file-000.parquet"
    pq.write_table(pq.read_table(file).slice(2), file)


DATA, VIDEO = "data/chunk-000/file-000.parquet", f"videos/{TOP}/chunk-000/file-000.mp4"
EPISODES = "meta/episodes/chunk-000/file-000.parquet"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "meta" / "info.json").unlink(), r"is no LeRobot dataset: expected .*point at the folder"),
        (lambda f: truncate(f / "meta" / "info.json"), r"info.json is damaged"),
        (lambda f: (f / "meta" / "info.json").write_text("[]"), r"lacks codebase_version"),
        (lambda f: edit_info(f, fps="ten"), r"fps must be a number above 0, got 'ten'"),
        (
            lambda f: edit_info(f, features={"action": {"dtype": "float22", "shape": [2]}}),
            r"features \['action'\] lack",
        ),
        (lambda f: edit_info(f, features=[1]), r"features \[1\] lack"),
        (lambda f: edit_info(f, codebase_version="v2.0"), r"is a LeRobotDataset v2.0, this reads v3 and v2.1: convert"),
        (lambda f: edit_info(f, codebase_version="v4.0"), r"v4.0, this reads v3 and v2.1: upgrade dreamgym"),
        (lambda f: edit_info(f, data_path="../../{chunk_index}-{file_index}"), r"data_path leads out of the dataset"),
        (lambda f: (f / EPISODES).unlink(), r"has no parquet file"),
        (lambda f: truncate(f / EPISODES), r"file-000.parquet is damaged"),
        (lambda f: pq.write_table(pq.read_table(f / EPISODES).slice(0, 0), f / EPISODES), r"has no episodes"),
        (lambda f: pq.write_table(pq.read_table(f / EPISODES).drop(["length"]), f / EPISODES), r"lacks the columns"),
        (lambda f: (f / DATA).unlink(), r"file-000.parquet is missing"),
        (lambda f: truncate(f / DATA), r"file-000.parquet is damaged"),
        (drop_frames, r"has 3 frames of episode 0, meta says 5"),
        (lambda f: pq.write_table(pq.read_table(f / DATA).drop(["action"]), f / DATA), r"lacks \['action'\]"),
        (lambda f: (f / VIDEO).unlink(), r"file-000.mp4 is missing"),
        (lambda f: truncate(f / VIDEO), r"file-000.mp4 (is damaged|has no frame at)"),
        (lambda f: write_video(f / VIDEO, [picture(0, 0)] * 8), r"file-000.mp4 has no frame at 0.8"),
    ],
)
def test_what_is_foreign_or_damaged_is_named(dataset: Path, damage: Callable[[Path], object], message: str) -> None:
    damage(dataset)
    with pytest.raises(ValueError, match=message):
        list(read_lerobot(dataset))


def retyped(folder: Path, name: str, values: list) -> None:
    """Another column in the place of one of the first data file, in a type of its own; its last value goes on."""
    table = pq.read_table(folder / DATA)
    column = pa.array(values + values[-1:] * (table.num_rows - len(values)))
    pq.write_table(table.set_column(table.column_names.index(name), name, column), folder / DATA)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([[0.0, 0.0, 0.0]], r"row 0 of 'action' is of shape \[3\], meta/info.json says float32 \[2\]"),
        ([[0.0, 0.0]] * 3 + [[0.0]], r"row 3 of 'action' is of shape \[1\], .* says float32 \[2\]"),
        ([None], r"row 0 of 'action' is a single value or none, .*float32 \[2\]"),
        (["left"], r"row 0 of 'action' is a single value or none"),
    ],
)
def test_rows_that_are_not_what_info_says_are_named(dataset: Path, values: list, told: str) -> None:
    retyped(dataset, "action", values)
    with pytest.raises(ValueError, match=rf"file-000.parquet: episode 0: {told}"):
        list(read_lerobot(dataset, ["action"]))


def test_pictures_of_several_sizes_are_named(dataset: Path) -> None:
    small = {"bytes": png(np.zeros((24, 32, 3), np.uint8)), "path": ""}
    rewrite(dataset, **{WRIST: lambda values: [*values[:2], small, *values[3:]]})
    with pytest.raises(ValueError, match=rf"row 2 of '{WRIST}' is of shape \[24, 32, 3\], .*image \[48, 64, 3\]"):
        list(read_lerobot(dataset, [WRIST]))


@pytest.mark.parametrize("package", ["av", "pyarrow"])
def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, written: Path, package: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=r'pip install "dreamgym\[lerobot\]"'):
        read_lerobot(written)
