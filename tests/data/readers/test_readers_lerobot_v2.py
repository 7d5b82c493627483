"""LeRobotDataset v2.1 folders, made of v3 ones of the same episodes, read back alike."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from test_readers_lerobot import TOP, edit_info, picture, pq, write_lerobot, write_video

from dreamgym.data.readers import read_lerobot

LENGTHS = (5, 9, 7)


def write_v2(folder: Path, chunks_size: int = 2) -> Path:
    """The episodes of `write_lerobot`, each in files of its own, two episodes a chunk."""
    old = write_lerobot(folder / "v3", [list(LENGTHS)])
    table = pq.read_table(old / "data" / "chunk-000" / "file-000.parquet")
    info = json.loads((old / "meta" / "info.json").read_text())
    new = folder / "drawer"
    (new / "meta").mkdir(parents=True)
    lines = []
    for index, length in enumerate(LENGTHS):
        chunk = f"chunk-{index // chunks_size:03d}"
        (new / "data" / chunk).mkdir(parents=True, exist_ok=True)
        rows = np.flatnonzero(table.column("episode_index").to_numpy() == index)
        pq.write_table(table.take(rows), new / "data" / chunk / f"episode_{index:06d}.parquet")
        video = new / "videos" / chunk / TOP / f"episode_{index:06d}.mp4"
        write_video(video, [picture(index, t) for t in range(length)])
        lines.append(json.dumps({"episode_index": index, "tasks": ["open the drawer"], "length": length}))
    (new / "meta" / "episodes.jsonl").write_text("\n".join(reversed(lines)) + "\n")
    about = {
        "codebase_version": "v2.1",
        "chunks_size": chunks_size,
        "data_path": "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet",
        "video_path": "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4",
    }
    (new / "meta" / "info.json").write_text(json.dumps({**info, **about}))
    return new


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return write_v2(tmp_path)


def test_it_reads_as_version_3_does(dataset: Path) -> None:
    pairs, same = list(read_lerobot(dataset)), list(read_lerobot(dataset.parent / "v3"))
    assert [len(episode["action"]) for episode, _ in pairs] == list(LENGTHS)
    for (episode, meta), (other, _) in zip(pairs, same, strict=True):
        for key in ("action", "observation.state", "next.done"):
            np.testing.assert_array_equal(episode[key], other[key])
        assert np.abs(episode[TOP].astype(int) - other[TOP]).max() < 6
        assert meta["task"] == "open the drawer"


def test_a_camera_that_is_left_out_needs_no_files(dataset: Path) -> None:
    for video in (dataset / "videos").rglob("*.mp4"):
        video.unlink()
    assert len(list(read_lerobot(dataset, keys=["action"]))) == 3
    with pytest.raises(ValueError, match=r"episode_000000.mp4 is missing"):
        next(iter(read_lerobot(dataset, keys=[TOP])))


def edited(line: str) -> Callable[[Path], None]:
    return lambda folder: (folder / "meta" / "episodes.jsonl").write_text(line)


@pytest.mark.parametrize(
    ("harm", "what"),
    [
        (lambda folder: (folder / "meta" / "episodes.jsonl").unlink(), "episodes.jsonl is missing"),
        (edited(""), "no episodes"),
        (edited('{"episode_index": 0}'), "length"),
        (edited('{"episode_index": 0, "length": "five"}'), "length is 'five'"),
        (edited('{"episode_index": 0, "length": 5}\n{"episode_index": 0, "length": 5}'), "twice"),
        (edited('{"episode_index": 0, "length": 6}'), "5 frames of episode 0"),
    ],
)
def test_damage_is_named(dataset: Path, harm: Callable[[Path], None], what: str) -> None:
    harm(dataset)
    with pytest.raises(ValueError, match=what):
        list(read_lerobot(dataset, keys=["action"]))


def test_a_version_and_a_layout_that_differ_are_both_named(dataset: Path, tmp_path: Path) -> None:
    edit_info(dataset, codebase_version="v3.0")
    with pytest.raises(ValueError, match=r"says LeRobotDataset v3.0, but the folder has v2.1's meta/episodes.jsonl"):
        read_lerobot(dataset)
    newer = write_lerobot(tmp_path / "newer", [[3]], version="v2.1")
    with pytest.raises(ValueError, match=r"says LeRobotDataset v2.1, but the folder has v3's meta/episodes/"):
        read_lerobot(newer)
