"""The tables of a LeRobotDataset v3: what its features are, rows, episodes and tasks as parquet."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import numpy as np

from dreamgym.data.readers.lerobot import OUTCOME

COUNTED = {
    "timestamp": "float32",
    "frame_index": "int64",
    "episode_index": "int64",
    "index": "int64",
    "task_index": "int64",
}
"""Columns that every data set has, with their types."""

RENAMED = {name: f"next.{name}" for name in OUTCOME}
"""Keys of a store that tell of the row after, by LeRobot's names."""


def feature_names(keys: Mapping[str, Any], pictures: Sequence[str], own: str | None) -> dict[str, str]:
    """What each key of a store is called in LeRobot's form.

    Args:
        keys: of the store.
        pictures: those of them that are cameras.
        own: the robot's own sensor, which LeRobot's policies read as ``observation.state``; None: none is. Another
            sensor that is called "state" is the environment's then.
    """
    out: dict[str, str] = {}
    for key in keys:
        if key in ("action", "success", "snapshot") or key in RENAMED:
            out[key] = RENAMED.get(key, key)
        elif key in pictures:
            out[key] = f"observation.images.{key}"
        else:
            name = "state" if key == own else "environment_state" if key == "state" else key
            out[key] = f"observation.{name}"
    return out


def described(shape: Sequence[int], dtype: str, names: Any = None) -> dict[str, Any]:
    """An entry of info.json's features."""
    return {"dtype": dtype, "shape": list(shape) or [1], "names": names}


def column(values: np.ndarray, is_picture: bool) -> Any:
    """An array as a parquet column: numbers, lists of a fixed length, or PNG files."""
    import pyarrow as pa

    if is_picture:
        kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        return pa.array([{"bytes": png(picture), "path": None} for picture in values], kind)
    if values.ndim == 1 or values.shape[1:] == (1,):
        return pa.array(values.reshape(-1))
    flat = pa.array(np.ascontiguousarray(values).reshape(-1))
    for size in reversed(values.shape[1:]):
        flat = pa.FixedSizeListArray.from_arrays(flat, size)
    return flat


def png(picture: np.ndarray) -> bytes:
    """uint8 [H, W, 3] as a PNG file, without loss."""
    import av

    stream = io.BytesIO()
    with av.open(stream, "w", format="image2pipe") as container:
        video = container.add_stream("png", rate=1)
        video.height, video.width, video.pix_fmt = *picture.shape[:2], "rgb24"
        container.mux(video.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")))
        container.mux(video.encode(None))
    return stream.getvalue()


class RowWriter:
    """Writes rows, an episode at a time, into files of a bounded size; an episode lies in one file.

    Args:
        file: (number of the file) -> its path.
        limit: bytes, before compression, from which on the next episode begins a new file.
    """

    def __init__(self, file: Any, limit: int) -> None:
        self._file, self._limit, self._number, self._bytes = file, limit, 0, 0
        self._writer: Any = None

    def open_next(self) -> int:
        """The number of the file that the next episode will lie in."""
        if self._writer is not None and self._bytes > self._limit:
            self.close()
            self._number, self._bytes = self._number + 1, 0
        return self._number

    def write(self, columns: Mapping[str, Any]) -> int:
        """Adds an episode; the number of the file that it lies in."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pa.table(dict(columns))
        self.open_next()
        if self._writer is None:
            self._file(self._number).parent.mkdir(parents=True, exist_ok=True)
            self._writer = pq.ParquetWriter(self._file(self._number), table.schema)
        self._writer.write_table(table)
        self._bytes += table.nbytes
        return self._number

    def close(self) -> None:
        """Finishes the file under way."""
        writer, self._writer = self._writer, None
        if writer is not None:
            try:
                writer.close()
            finally:
                writer.is_open = False  # its finaliser would try again, and print a traceback

    def __enter__(self) -> RowWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        """Closes; after an error what is under way is given up, in silence."""
        with nullcontext() if kind is None else suppress(OSError):
            self.close()


def write_tasks(file: Path, tasks: Sequence[str]) -> None:
    """meta/tasks.parquet: lerobot reads it with pandas, and expects the sentences to be the index."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    about = {
        "index_columns": ["task"],
        "column_indexes": [],
        "columns": [_pandas("task_index", "int64", "int64"), _pandas("task", "unicode", "object")],
        "creator": {"library": "pyarrow", "version": pa.__version__},
        "pandas_version": "2.2.0",
    }
    table = pa.table({"task_index": pa.array(range(len(tasks)), pa.int64()), "task": pa.array(tasks, pa.string())})
    pq.write_table(table.replace_schema_metadata({"pandas": json.dumps(about)}), file)


def _pandas(name: str, kind: str, dtype: str) -> dict[str, Any]:
    return {"name": name, "field_name": name, "pandas_type": kind, "numpy_type": dtype, "metadata": None}
