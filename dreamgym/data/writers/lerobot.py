"""Episode stores as LeRobotDataset v3, in the layout of lerobot 0.6.2 (see `dreamgym.data.readers.lerobot`)."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from dreamgym.bars import progress_bar
from dreamgym.data.readers.lerobot import DATA_PATH, VIDEO_PATH
from dreamgym.data.store import EpisodeView
from dreamgym.data.writers import statistics, tables
from dreamgym.data.writers.videos import VideoWriter, pixel_format
from dreamgym.places import check_place
from dreamgym.types import SPLITS

CHUNKS_SIZE = 1000  # files a folder, as lerobot has it
DATA_MB, VIDEO_MB = 100, 200  # bounds of a file, lerobot's too
EPISODES_PATH = "meta/episodes/" + DATA_PATH.removeprefix("data/")


@dataclass(frozen=True)
class ExportConfig:
    """How a store is exported.

    Attributes:
        frame_rate: rows a second, Hz.
        pictures: "video" (H.264, with loss) or "png" (embedded in the tables, without).
        crf: constant rate factor of the videos, 0 (best) to 51.
        own: the sensor that becomes ``observation.state``; None: the one called "state", where there is one.
        sentences: task -> how LeRobot's policies are told it; None: the task's name.
        axes: names of the action's entries.
        robot: what info.json calls the robot.
        data_mb, video_mb: bounds of a file, megabytes.
    """

    frame_rate: float
    pictures: Literal["video", "png"] = "video"
    crf: int = 18
    own: str | None = None
    sentences: Mapping[str, str] | None = None
    axes: tuple[str, ...] = ()
    robot: str | None = None
    data_mb: float = DATA_MB
    video_mb: float = VIDEO_MB

    def __post_init__(self) -> None:
        if not 0 <= self.crf <= 51:
            raise ValueError(f"crf, of the videos, runs from 0 (best) to 51, got {self.crf}")
        if not self.frame_rate > 0 or min(self.data_mb, self.video_mb) <= 0:
            told = f"{self.frame_rate}, {self.data_mb}, {self.video_mb}"
            raise ValueError(f"frame_rate, data_mb and video_mb must be above 0, got {told}")
        if self.pictures not in ("video", "png"):
            raise ValueError(f"pictures are 'video' or 'png', got {self.pictures!r}")


def export_lerobot(view: EpisodeView, out: str | os.PathLike[str], config: ExportConfig, progress: bool = True) -> Path:
    """Writes episodes as a LeRobotDataset v3.

    Episodes are ordered by split, so that info.json can state the splits as ranges. Arrays are written as they are;
    ``success`` is there twice: by row, as it is stored, and as ``next.success``, row t of which tells of the
    observation at t + 1. The folder appears when it is complete.

    Args:
        view: a store, or a part of one.
        out: the folder to make.
        config: see `ExportConfig`.
        progress: whether to show a bar of the episodes.

    Raises:
        ImportError: pyarrow or av is not installed.
        ValueError: nothing to export, or a folder that is there already or cannot be written.
    """
    try:
        import av  # noqa: F401
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise ImportError(f'LeRobot datasets need pyarrow and av: pip install "dreamgym[lerobot]" ({error})') from error
    target = check_place(out)
    if not len(view):
        raise ValueError(f"{view.path} has none of these episodes: nothing to export")
    if target.exists():
        raise ValueError(f"{target} is there already: name a new folder")
    if config.own is not None and config.own not in view.keys:
        raise ValueError(f"{view.path} has no sensor {config.own!r}; it has {sorted(view.keys)}")
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        _Export(view, temporary, config).write(progress)
        temporary.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target


@dataclass
class _Export:
    """One data set under way."""

    view: EpisodeView
    folder: Path
    config: ExportConfig
    tasks: dict[str, int] = field(default_factory=dict)
    rows: int = 0

    def __post_init__(self) -> None:
        shapes = self.view.keys
        self.pictures = [k for k, (shape, dtype) in shapes.items() if dtype == np.uint8 and len(shape) == 3 == shape[2]]
        own = self.config.own or ("state" if "state" in shapes else None)
        self.names = tables.feature_names(shapes, self.pictures, own)
        self.videos = {
            self.names[key]: VideoWriter(self._file(VIDEO_PATH, video_key=self.names[key]), *self._video_settings())
            for key in self.pictures
            if self.config.pictures == "video"
        }

    def _video_settings(self) -> tuple[float, int, int]:
        return self.config.frame_rate, self.config.crf, int(self.config.video_mb * 1e6)

    def _file(self, template: str, **names: Any) -> Any:
        return lambda number: (
            self.folder / template.format(chunk_index=number // CHUNKS_SIZE, file_index=number % CHUNKS_SIZE, **names)
        )

    def write(self, progress: bool) -> None:
        """All files."""
        limit = int(self.config.data_mb * 1e6)
        ranges: dict[str, list[int]] = {}
        stats: list[dict[str, Any]] = []
        bar = progress_bar(total=len(self.view), unit="episode", desc="export", shown=progress, leave=True)
        with (
            bar,
            tables.RowWriter(self._file(DATA_PATH), limit) as data,
            tables.RowWriter(self._file(EPISODES_PATH), limit) as episodes,
        ):
            for index, (number, split) in enumerate(self._ordered()):
                row, found = self._episode(index, number, data)
                place = _placed({"file_index": episodes.open_next()})
                row |= {f"meta/episodes/{name}": value for name, value in place.items()}
                episodes.write(_as_columns(row, found))
                stats.append(found)
                ranges.setdefault(split, [index, index])[1] = index + 1
                bar.update()
        for video in self.videos.values():
            video.close()
        tables.write_tasks(self.folder / "meta/tasks.parquet", list(self.tasks))
        merged = {key: statistics.merged([part[key] for part in stats]) for key in stats[0]}
        (self.folder / "meta/stats.json").write_text(json.dumps(merged, indent=4))
        (self.folder / "meta/info.json").write_text(json.dumps(self._info(ranges), indent=4))

    def _ordered(self) -> Iterator[tuple[int, str]]:
        """Numbers of the episodes in the view, split by split, and their splits."""
        splits = [str(meta.get("split", "train")) for meta in self.view.metas]
        for split in sorted(set(splits), key=lambda s: (SPLITS.index(s) if s in SPLITS else len(SPLITS), s)):
            yield from ((number, split) for number, own in enumerate(splits) if own == split)

    def _episode(self, index: int, number: int, data: tables.RowWriter) -> tuple[dict[str, Any], dict[str, Any]]:
        """Writes the rows and pictures of an episode.

        Returns:
            Its row of meta/episodes, and its statistics by feature.
        """
        episode = self.view.episode(number)
        length, task = len(episode["action"]), self._task(self.view.metas[number])
        counted = self._counted(index, length, self.tasks[task])
        columns = {self.names[key]: np.asarray(values) for key, values in episode.items()}
        if "success" in columns:
            columns["next.success"] = np.append(columns["success"][1:], columns["success"][-1:])
        pictures = {self.names[key] for key in self.pictures}
        row: dict[str, Any] = {"episode_index": index, "tasks": [task] if task else [], "length": length}
        for key, video in self.videos.items():
            row |= {f"videos/{key}/{name}": value for name, value in _placed(video.write(columns[key])).items()}
        rows = {k: tables.column(v, k in pictures) for k, v in (columns | counted).items() if k not in self.videos}
        row |= {f"data/{name}": value for name, value in _placed({"file_index": data.write(rows)}).items()}
        row |= {"dataset_from_index": self.rows, "dataset_to_index": self.rows + length}
        self.rows += length
        found = {
            key: statistics.of_pictures(v) if key in pictures else statistics.of_numbers(v)
            for key, v in (columns | counted).items()
        }
        return row, found

    def _task(self, meta: Mapping[str, Any]) -> str:
        name = str(meta.get("task") or "")
        told = name if self.config.sentences is None else self.config.sentences.get(name, name)
        self.tasks.setdefault(told, len(self.tasks))
        return told

    def _counted(self, index: int, length: int, task: int) -> dict[str, np.ndarray]:
        frames = np.arange(length)
        values = {
            "timestamp": frames / self.config.frame_rate, "frame_index": frames, "index": self.rows + frames,
            "episode_index": np.full(length, index), "task_index": np.full(length, task),
        }  # fmt: skip
        return {name: values[name].astype(dtype) for name, dtype in tables.COUNTED.items()}

    def _info(self, ranges: Mapping[str, list[int]]) -> dict[str, Any]:
        rate = self.config.frame_rate
        features = {self.names[key]: self._feature(key, *spec) for key, spec in self.view.keys.items()}
        if "success" in self.view.keys:
            features["next.success"] = tables.described((1,), "bool")
        features |= {name: tables.described((1,), dtype) for name, dtype in tables.COUNTED.items()}
        return {
            "codebase_version": "v3.0",
            "robot_type": self.config.robot,
            "total_episodes": len(self.view),
            "total_frames": self.rows,
            "total_tasks": len(self.tasks),
            "chunks_size": CHUNKS_SIZE,
            "data_files_size_in_mb": self.config.data_mb,
            "video_files_size_in_mb": self.config.video_mb,
            "fps": int(rate) if float(rate).is_integer() else rate,
            "splits": {split: f"{first}:{last}" for split, (first, last) in ranges.items()},
            "data_path": DATA_PATH,
            "video_path": VIDEO_PATH if self.videos else None,
            "features": features,
        }

    def _feature(self, key: str, shape: tuple[int, ...], dtype: np.dtype) -> dict[str, Any]:
        if key not in self.pictures:
            return tables.described(shape, dtype.name, list(self.config.axes) or None if key == "action" else None)
        axes = ["height", "width", "channels"]
        if not self.videos:
            return tables.described(shape, "image", axes)
        about = {"height": shape[0], "width": shape[1], "codec": "h264", "pix_fmt": pixel_format(*shape[:2])}
        about |= {"fps": self.config.frame_rate, "channels": shape[2], "crf": self.config.crf, "g": 2}
        told = {f"video.{name}": value for name, value in about.items()} | {"is_depth_map": False, "has_audio": False}
        return tables.described(shape, "video", axes) | {"info": told}


def _placed(place: Mapping[str, Any]) -> dict[str, Any]:
    """With the number of a file as its chunk and its number there."""
    number = place["file_index"]
    return {**place, "chunk_index": number // CHUNKS_SIZE, "file_index": number % CHUNKS_SIZE}


def _as_columns(row: Mapping[str, Any], found: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """A row of meta/episodes as columns of one entry, with the episode's statistics as ``stats/FEATURE/NAME``."""
    import pyarrow as pa

    flat = {f"stats/{key}/{name}": value for key, part in found.items() for name, value in part.items()}
    columns = {name: pa.array([value]) for name, value in {**row, **flat}.items()}
    return columns | {"tasks": pa.array([row["tasks"]], pa.list_(pa.string()))}  # of no task too
