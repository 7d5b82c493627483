"""What LeRobotDataset v2.1 has instead of meta/episodes/: a line of JSON an episode, and files of its own for each.

meta/episodes.jsonl                                   {"episode_index", "tasks", "length"} a line
data/chunk-000/episode_000000.parquet                 a row a frame
videos/chunk-000/<key>/episode_000000.mp4
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

DATA_PATH = "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet"
VIDEO_PATH = "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4"


def episode_rows(folder: Path, videos: Sequence[str]) -> list[dict[str, Any]]:
    """Rows as version 3 keeps them in meta/episodes, in order; each episode begins its own files.

    Args:
        folder: the data set's.
        videos: keys of the cameras that are read.

    Raises:
        ValueError: meta/episodes.jsonl is missing or damaged.
    """
    file = folder / "meta" / "episodes.jsonl"
    if not file.exists() and (folder / "meta" / "episodes").is_dir():
        raise wrong_layout(folder, "v2.1", "v3's meta/episodes/")
    expected = "expected a line a episode with episode_index, length and tasks: download the dataset again"
    try:
        said = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
        rows = [
            {
                "episode_index": _count(line, "episode_index", 0),
                "length": _count(line, "length", 1),
                "tasks": [str(task) for task in line.get("tasks") or []],
                **{f"videos/{key}/from_timestamp": 0.0 for key in videos},
            }
            for line in said
        ]
    except (OSError, ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        raise ValueError(f"{file} is missing or damaged ({error}): {expected}") from error
    if not rows:
        raise ValueError(f"{folder} has no episodes: record or download some first")
    if len({row["episode_index"] for row in rows}) < len(rows):
        raise ValueError(f"{file} names an episode twice: {expected}")
    return sorted(rows, key=lambda row: row["episode_index"])


def wrong_layout(folder: Path, said: str, found: str) -> ValueError:
    """The error of a folder whose info.json says one version and whose files are another's."""
    return ValueError(
        f"{folder}: meta/info.json says LeRobotDataset {said}, but the folder has {found}: correct codebase_version, "
        "or download the dataset again"
    )


def _count(line: Mapping[str, Any], name: str, least: int) -> int:
    value = line[name]
    if type(value) is not int or not least <= value < 2**40:
        raise ValueError(f"{name} is {value!r}")
    return value


def place(row: Mapping[str, Any], info: Mapping[str, Any]) -> dict[str, int]:
    """What the path templates of info.json are filled with, for an episode.

    Raises:
        ValueError: info.json's chunks_size is no count.
    """
    size = info.get("chunks_size", 1000)
    if type(size) is not int or size < 1:
        raise ValueError(f"meta/info.json: chunks_size must be a whole number from 1, got {size!r}")
    index = int(row["episode_index"])
    return {"episode_chunk": index // size, "episode_index": index}
