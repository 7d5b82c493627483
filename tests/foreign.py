"""Foreign data sets written in their true layout, small."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np


def write_lerobot_table(
    folder: Path, episodes: Sequence[dict[str, np.ndarray]], tasks: Sequence[str], fps: float
) -> Path:
    """A LeRobotDataset v3 of vectors and numbers, without cameras, in one data file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    lengths = [len(next(iter(episode.values()))) for episode in episodes]
    first = np.concatenate([[0], np.cumsum(lengths)])
    columns = {key: np.concatenate([episode[key] for episode in episodes]) for key in episodes[0]}
    frame = np.concatenate([np.arange(length) for length in lengths])
    columns |= {"frame_index": frame, "timestamp": (frame / fps).astype(np.float32)}
    columns |= {"episode_index": np.repeat(np.arange(len(episodes)), lengths), "index": np.arange(first[-1])}
    rows = [
        {
            "episode_index": i,
            "tasks": [tasks[i]],
            "length": lengths[i],
            "data/chunk_index": 0,
            "data/file_index": 0,
            "dataset_from_index": int(first[i]),
            "dataset_to_index": int(first[i + 1]),
        }
        for i in range(len(episodes))
    ]
    features = {
        key: {"dtype": str(value.dtype), "shape": list(value.shape[1:]) or [1], "names": None}
        for key, value in columns.items()
    }
    for place in ("meta/episodes/chunk-000", "data/chunk-000"):
        (folder / place).mkdir(parents=True)
    pq.write_table(pa.table({k: v.tolist() for k, v in columns.items()}), folder / "data/chunk-000/file-000.parquet")
    pq.write_table(pa.Table.from_pylist(rows), folder / "meta/episodes/chunk-000/file-000.parquet")
    info = {"codebase_version": "v3.0", "fps": fps, "features": features, "splits": {"train": f"0:{len(episodes)}"}}
    (folder / "meta/info.json").write_text(json.dumps(info))
    return folder
