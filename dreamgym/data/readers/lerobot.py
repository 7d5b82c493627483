"""LeRobotDataset v3 and v2.1: parquet tables and video files, read with pyarrow and PyAV, without lerobot itself.

The layout of v3 (that of v2.1: see `lerobot_v2`)::

    meta/info.json                                codebase_version "v3.x", fps, features, the two path templates below
    meta/episodes/chunk-000/file-000.parquet      a row an episode: length, tasks, where its data and videos lie
    data/chunk-000/file-000.parquet               a row a frame, several episodes to a file
    videos/<key>/chunk-000/file-000.mp4           several episodes to a file, each from from_timestamp on
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
from collections.abc import Container, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dreamgym.data.readers import lerobot_v2
from dreamgym.data.readers.source import Pair, Source
from dreamgym.data.shards import Meta
from dreamgym.fields import parse_json

_log = logging.getLogger(__name__)
DATA_PATH = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO_PATH = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
OUTCOME = ("reward", "done", "terminated", "truncated")
"""What a row may tell of the one after it, as ``next.NAME``."""
_HELD_OUT = {"val": "val", "validation": "val", "test": "test"}
_MAX_DRIFT = 0.1  # of the time between two rows: beyond it, data are not what their frame rate says


def read_lerobot(path: str | os.PathLike[str], keys: Sequence[str] | None = None, tasks_from: str = "task") -> Source:
    """Read a LeRobotDataset of version 3 or 2.1 from a local folder.

    Args:
        path: The dataset's folder, the one that holds meta/info.json.
        keys: Which features to read, such as "action" or "observation.images.top"; all numeric ones and all cameras by
            default. A camera that is left out is not decoded.
        tasks_from: "task" (the first task of an episode), or a feature of text, whose first row names the task.

    Returns:
        The data set. Cameras uint8 [T, H, W, 3], all else in its own type, rows in the order of `frame_index`. Meta:
        `source`, `task` and `tasks` in words, `fps`, and `split` where info.json holds the episode out.

    Raises:
        ImportError: pyarrow or av is not installed.
        ValueError: No LeRobot dataset, another version, an unknown key, or a damaged file; rows or video frames that
            lie more than a tenth of a frame from where the frame rate puts them.
    """
    try:
        import av  # noqa: F401
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise ImportError(f'LeRobot datasets need pyarrow and av: pip install "dreamgym[lerobot]" ({error})') from error
    dataset = _Dataset(Path(path), keys, tasks_from)
    observed = [key for key in dataset.keys if key.startswith("observation.")]
    return Source(
        name=f"lerobot:{path}",
        keys={key: dataset.row_shape(key) for key in dataset.keys},
        open=dataset.episodes,
        num_episodes=len(dataset.rows),
        suggested={key.removeprefix("observation.").removeprefix("images.").replace(".", "_"): key for key in observed},
        outcome={name: f"next.{name}" for name in OUTCOME if dataset.is_number(f"next.{name}")},
        frame_rate=float(dataset.info["fps"]),
        next_row=frozenset(key for key in dataset.keys if key.startswith("next.")),
        held_out=frozenset(_HELD_OUT[name] for name in dataset.info.get("splits") or () if name in _HELD_OUT),
    )


class _Dataset:
    """An open dataset: its features, its rows of meta/episodes, and the data file read last."""

    def __init__(self, folder: Path, keys: Sequence[str] | None, tasks_from: str) -> None:
        self.folder = folder
        self.info = _read_info(folder)
        self.tasks_from = tasks_from
        features: dict[str, Any] = self.info["features"]
        readable = [name for name, feature in features.items() if _is_readable(feature)]
        self.keys = readable if keys is None else list(keys)
        if unknown := [key for key in self.keys if key not in readable]:
            raise ValueError(f"{folder} has no features {unknown}; it has {sorted(readable)}")
        self.videos = [key for key in self.keys if features[key]["dtype"] == "video"]
        self.columns = [key for key in self.keys if key not in self.videos]
        texts = sorted(name for name, feature in features.items() if feature["dtype"] == "string")
        if tasks_from != "task" and tasks_from not in texts:
            raise ValueError(f"{folder} has no feature of text {tasks_from!r}: tasks are named by 'task' or {texts}")
        self.is_v2 = str(self.info["codebase_version"]).startswith("v2.")
        self.rows = lerobot_v2.episode_rows(folder, self.videos) if self.is_v2 else self._episode_rows()
        self._table: tuple[Path, Any] | None = None

    def row_shape(self, key: str) -> tuple[int, ...]:
        """Shape of one row; () for single numbers."""
        shape = tuple(self.info["features"][key]["shape"])
        return () if shape == (1,) else shape

    def is_number(self, key: str) -> bool:
        """Whether a feature is read that has one number or boolean a row."""
        return key in self.columns and not self.row_shape(key)

    def episodes(self, skip: Container[str]) -> Iterator[Pair]:
        """Those whose `source` is not in ``skip``, in order; the others are not decoded."""
        return (self.episode(row) for row in self.rows if self.source(row) not in skip)

    def source(self, row: dict[str, Any]) -> str:
        """What tells an episode from all others."""
        return f"lerobot:{'/'.join(self.folder.resolve().parts[-2:])}:{int(row['episode_index'])}"

    def episode(self, row: dict[str, Any]) -> tuple[dict[str, np.ndarray], Meta]:
        """One episode, from its row of meta/episodes."""
        index, length = int(row["episode_index"]), int(row["length"])
        episode = self._columns_of(row, index)
        for key in self.videos:
            file = self._file("video_path", video_key=key, **self._place(row, f"videos/{key}"))
            episode[key] = read_video(file, float(row[f"videos/{key}/from_timestamp"]), length, float(self.info["fps"]))
        tasks = [str(task) for task in row.get("tasks") or []]
        if self.tasks_from != "task":
            tasks = [str(self._rows_of(row)[0].column(self.tasks_from)[0].as_py())]
        meta: Meta = {"source": self.source(row), "fps": self.info["fps"], "tasks": tasks}
        if tasks:
            meta["task"] = tasks[0]
        if (split := self._split(index)) is not None:
            meta["split"] = split
        return episode, meta

    def _columns_of(self, row: dict[str, Any], index: int) -> dict[str, np.ndarray]:
        part, file = self._rows_of(row)
        self._check_clock(part, file, index)
        return {key: self._array(key, part.column(key), f"{file}: episode {index}") for key in self.columns}

    def _rows_of(self, row: dict[str, Any]) -> tuple[Any, Path]:
        """The table of one episode, in the order of its frame_index, and its file."""
        file = self._file("data_path", **self._place(row, "data"))
        if self._table is None or self._table[0] != file:
            table = _read_table(file)
            texts = [] if self.tasks_from == "task" else [self.tasks_from]
            named = ("episode_index", *self.columns, *texts)
            if missing := [key for key in named if key not in table.column_names]:
                raise ValueError(f"{file} lacks {missing}, which meta/info.json names: download the dataset again")
            self._table = (file, table)
        table, index, length = self._table[1], int(row["episode_index"]), int(row["length"])
        rows = np.flatnonzero(table.column("episode_index").to_numpy() == index)
        if len(rows) != length:
            raise ValueError(f"{file} has {len(rows)} frames of episode {index}, meta says {length}: download it again")
        if "frame_index" in table.column_names:
            numbers = table.column("frame_index").to_numpy()[rows]
            order = np.argsort(numbers, kind="stable")
            if not np.array_equal(numbers[order], np.arange(length)):
                raise ValueError(
                    f"{file}: frame_index of episode {index} is not 0 to {length - 1}, each once: a frame is missing "
                    "or there twice; download it again, or leave the episode out"
                )
            if not np.array_equal(numbers, np.arange(length)):
                _log.warning("%s: the rows of episode %d are read in the order of their frame_index", file, index)
            rows = rows[order]
        wanted = {*self.columns, "timestamp", self.tasks_from}
        return table.select([name for name in table.column_names if name in wanted]).take(rows), file

    def _check_clock(self, part: Any, file: Path, index: int) -> None:
        """ValueError where timestamps leave the frame rate."""
        if "timestamp" not in part.column_names:
            return
        fps = float(self.info["fps"])
        late = np.abs(part.column("timestamp").to_numpy().astype(np.float64) - np.arange(part.num_rows) / fps)
        if part.num_rows and not late.max() <= _MAX_DRIFT / fps:
            frame = int(np.argmax(~(late <= _MAX_DRIFT / fps)))
            raise ValueError(
                f"{file}: frame {frame} of episode {index} lies {late[frame]:.4f} s from where {fps:g} frames a second "
                "put it: an episode is recorded at one rate; resample it, or correct fps in meta/info.json"
            )

    def _array(self, key: str, column: Any, name: str) -> np.ndarray:
        """The rows of a feature; ValueError, which begins with ``name``, where they are not what info.json says."""
        feature = self.info["features"][key]
        values, expected = column.to_pylist(), tuple(feature["shape"])
        if feature["dtype"] == "image":
            images = [_decode_image(value, self.folder) for value in values]
            shapes: list[tuple[int, ...] | None] = [image.shape for image in images]
            expected = images[0].shape
            if set(shapes) == {expected}:
                return np.stack(images)
        else:
            rows = () if expected == (1,) else expected
            with contextlib.suppress(ValueError, TypeError, OverflowError):
                return np.asarray(values, dtype=feature["dtype"]).reshape(len(values), *rows)
            shapes = [_shape_of(value) for value in values]
        fit = [expected, ()] if expected == (1,) else [expected]
        t, got = next(((t, s) for t, s in enumerate(shapes) if s not in fit), (0, shapes[0]))
        where = "its first row has" if feature["dtype"] == "image" else "meta/info.json says"
        raise ValueError(
            f"{name}: row {t} of {key!r} is {_words(got)}, {where} {feature['dtype']} {list(expected)}: correct "
            "info.json, or leave the episode out"
        )

    def _episode_rows(self) -> list[dict[str, Any]]:
        files = sorted((self.folder / "meta" / "episodes").glob("*/*.parquet"))
        if not files:
            if (self.folder / "meta" / "episodes.jsonl").exists():
                raise lerobot_v2.wrong_layout(self.folder, self.info["codebase_version"], "v2.1's meta/episodes.jsonl")
            raise ValueError(f"{self.folder}/meta/episodes has no parquet file: download the dataset again")
        needed = ["episode_index", "length", "data/chunk_index", "data/file_index"]
        needed += [
            f"videos/{key}/{name}" for key in self.videos for name in ("chunk_index", "file_index", "from_timestamp")
        ]
        rows: list[dict[str, Any]] = []
        for file in files:
            table = _read_table(file)
            if missing := [name for name in needed if name not in table.column_names]:
                raise ValueError(f"{file} lacks the columns {missing} of LeRobotDataset v3: download the dataset again")
            rows += table.select([name for name in (*needed, "tasks") if name in table.column_names]).to_pylist()
        if not rows:
            raise ValueError(f"{self.folder} has no episodes: record or download some first")
        return sorted(rows, key=lambda row: row["episode_index"])

    def _place(self, row: dict[str, Any], part: str) -> dict[str, int]:
        """What a path template is filled with, for the data or a video of an episode."""
        if self.is_v2:
            return lerobot_v2.place(row, self.info)
        return {name: row[f"{part}/{name}"] for name in ("chunk_index", "file_index")}

    def _file(self, template_name: str, **names: Any) -> Path:
        data, video = (lerobot_v2.DATA_PATH, lerobot_v2.VIDEO_PATH) if self.is_v2 else (DATA_PATH, VIDEO_PATH)
        default = data if template_name == "data_path" else video
        file = self.folder / str(self.info.get(template_name) or default).format(**names)
        if not file.resolve().is_relative_to(self.folder.resolve()):
            raise ValueError(f"{self.folder}/meta/info.json: {template_name} leads out of the dataset, to {file}")
        if not file.exists():
            raise ValueError(f"{file} is missing, though the dataset names it: download the dataset again")
        return file

    def _split(self, index: int) -> str | None:
        for name, span in (self.info.get("splits") or {}).items():
            start, _, stop = str(span).partition(":")
            if start.isdigit() and stop.isdigit() and int(start) <= index < int(stop):
                return _HELD_OUT.get(name)
        return None


def _shape_of(value: Any) -> tuple[int, ...] | None:
    """Shape of one row; None: ragged."""
    try:
        return np.shape(value)
    except ValueError:
        return None


def _words(shape: tuple[int, ...] | None) -> str:
    return "ragged" if shape is None else f"of shape {list(shape)}" if shape else "a single value or none"


def _is_feature(value: Any) -> bool:
    """Whether an entry of info.json's features has a dtype and, where it holds numbers or pictures, a shape."""
    if not isinstance(value, dict) or not isinstance(value.get("dtype"), str):
        return False
    if value["dtype"].startswith(("bool", "int", "uint", "float")):
        try:
            np.dtype(value["dtype"])
        except TypeError:
            return False
    elif value["dtype"] not in ("image", "video"):
        return True  # text, audio and what is to come: not read
    shape = value.get("shape")
    return isinstance(shape, list) and all(type(n) is int and 0 < n < 2**20 for n in shape)


def _is_readable(feature: dict[str, Any]) -> bool:
    """Numbers, booleans and colour cameras; not text, audio, or depth packed into a video."""
    dtype = feature["dtype"]
    if dtype in ("image", "video"):
        details = {**(feature.get("video_info") or {}), **(feature.get("info") or {})}
        return not (details.get("is_depth_map") or details.get("video.is_depth_map"))
    return dtype == "bool" or dtype.startswith(("int", "uint", "float"))


def read_video(file: Path, start_s: float, length: int, fps: float) -> np.ndarray:
    """Frames start_s, start_s + 1 / fps, ... of a video file.

    Returns:
        uint8 [length, H, W, 3].

    Raises:
        ValueError: The file cannot be decoded, lacks one of these frames, or has one more than a tenth of a frame off.
    """
    import av

    frames: dict[int, np.ndarray] = {}
    try:
        with av.open(str(file), "r") as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            # To the key frame before the first one wanted; decoding starts there.
            container.seek(int(max(start_s - 0.5 / fps, 0) / (stream.time_base or 1)), stream=stream, backward=True)
            for frame in container.decode(stream):
                place = (frame.time - start_s) * fps
                number = round(place)
                if 0 <= number < length and number not in frames:
                    if abs(place - number) > _MAX_DRIFT:
                        raise ValueError(_drifted(file, number, start_s, frame.time, fps))
                    frames[number] = frame.to_ndarray(format="rgb24")
                if number >= length - 1:
                    break
    except (av.FFmpegError, OSError, IndexError, TypeError) as error:
        raise ValueError(f"{file} is damaged ({error}): download the dataset again") from error
    if missing := [number for number in range(length) if number not in frames]:
        at = start_s + missing[0] / fps
        raise ValueError(f"{file} has no frame at {at:.3f} s ({len(missing)} of {length} missing): download it again")
    return np.stack([frames[number] for number in range(length)])


def _drifted(file: Path, number: int, start_s: float, time_s: float, fps: float) -> str:
    return (
        f"{file}: frame {number} of the episode at {start_s:.3f} s lies {time_s - start_s - number / fps:+.4f} s from "
        f"where {fps:g} frames a second put it: re-encode the video at that rate, or correct fps in meta/info.json"
    )


def _decode_image(value: Any, folder: Path) -> np.ndarray:
    """One embedded picture, {"bytes", "path"} as the datasets library stores it."""
    import av

    if not isinstance(value, dict) or not value.get("bytes"):
        raise ValueError(f"{folder}: an image is not embedded in its parquet file: push the dataset with its images")
    try:
        with av.open(io.BytesIO(value["bytes"]), "r") as container:
            return next(container.decode(video=0)).to_ndarray(format="rgb24")
    except (av.FFmpegError, StopIteration, IndexError) as error:
        raise ValueError(f"{folder}: an embedded image is damaged ({error}): download the dataset again") from error


def _read_info(folder: Path) -> dict[str, Any]:
    expected = "expected a LeRobotDataset folder with meta/info.json, data/ and videos/"
    file = folder / "meta" / "info.json"
    try:
        info = parse_json(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ValueError(f"{folder} is no LeRobot dataset: {expected}; point at the folder that holds meta/") from error
    except (OSError, ValueError) as error:
        raise ValueError(f"{file} is damaged ({error}): {expected}; download it again") from error
    if not isinstance(info, dict) or not {"codebase_version", "fps", "features"} <= set(info):
        raise ValueError(f"{file} lacks codebase_version, fps or features: {expected}")
    fps, features = info["fps"], info["features"]
    if isinstance(fps, bool) or not isinstance(fps, int | float) or not 0 < fps < 1e6:
        raise ValueError(f"{file}: fps must be a number above 0, got {fps!r}: {expected}")
    wrong = [k for k, v in features.items() if not _is_feature(v)] if isinstance(features, dict) else features
    if wrong or not features:
        raise ValueError(f"{file}: features {wrong} lack a dtype that is known or a shape: {expected}")
    version = str(info["codebase_version"])
    if not version.startswith(("v3.", "v2.1")):
        mend = "convert it with lerobot's convert_dataset_v20_to_v21" if version < "v2.1" else "upgrade dreamgym"
        raise ValueError(f"{folder} is a LeRobotDataset {version}, this reads v3 and v2.1: {mend}")
    return info


def _read_table(file: Path) -> Any:
    import pyarrow
    import pyarrow.parquet

    try:
        return pyarrow.parquet.read_table(file)
    except (pyarrow.ArrowException, OSError) as error:
        told = " ".join(str(error).split())  # which may have several lines
        raise ValueError(f"{file} is damaged ({told}): download the dataset again") from error
