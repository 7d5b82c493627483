from pathlib import Path

import numpy as np
import pytest

from dreamgym.data import EpisodeStore, cut_clips
from dreamgym.data.shards import locked

HOLD = [0.0, 1.0]
INFO = {"action": {"low": [-1, -1], "high": [1, 1], "binary": [1], "hold": HOLD}, "tasks": ["push", "pull"]}
KEYS = {"rgb": ((2, 2, 3), "uint8"), "action": ((2,), "float32"), "snapshot": ((1,), "float64")}


def episode(rows: int) -> dict[str, np.ndarray]:
    return {
        "rgb": np.full((rows, 2, 2, 3), np.arange(rows)[:, None, None, None], np.uint8),
        "action": np.tile(np.array([[0.5, -1.0]], np.float32), (rows, 1)),
        "snapshot": np.zeros((rows, 1)),
    }


@pytest.fixture
def source(tmp_path: Path) -> EpisodeStore:
    store = EpisodeStore.create(tmp_path / "demonstrations", KEYS, INFO)
    kinds = [
        (4, "pull", True, "train"),
        (6, "push", True, "val"),
        (5, "push", False, "train"),
        (9, "push", True, "val"),
    ]
    store.append([(episode(n), {"task": t, "success": s, "split": p}) for n, t, s, p in kinds])
    return store


def test_a_clip_is_a_successful_episode_that_lingers_on_its_last_row(source: EpisodeStore, tmp_path: Path) -> None:
    clips = cut_clips(source, tmp_path / "clips", 6, progress=False)
    assert [(m["clip"], m["task"], m["split"], m["length"]) for m in clips.metas] == [
        (0, "pull", "train", 4),
        (1, "push", "val", 6),
    ]
    assert set(clips.keys) == {"rgb", "action", "task", "clip"}
    rows = clips.episode(0)
    assert rows["rgb"][:, 0, 0, 0].tolist() == [0, 1, 2, 3, 3, 3]
    assert rows["task"].tolist() == [1] * 6
    assert rows["action"][:3].tolist() == [[0.5, -1.0]] * 3
    assert rows["action"][3:].tolist() == [[0.0, -1.0]] * 3  # held, the gripper as it was
    assert clips.info["tasks"] == ["push", "pull"]


def test_cutting_goes_on_where_it_stopped(source: EpisodeStore, tmp_path: Path) -> None:
    cut_clips(source, tmp_path / "clips", 9, progress=False)
    source.append([(episode(3), {"task": "push", "success": True})])
    clips = cut_clips(source, tmp_path / "clips", 9, progress=False)
    assert [m["clip"] for m in clips.metas] == [0, 1, 3, 4]


def test_keys_can_be_chosen(source: EpisodeStore, tmp_path: Path) -> None:
    assert set(cut_clips(source, tmp_path / "clips", 9, ["rgb"], False).keys) == {"rgb", "action", "task", "clip"}
    with pytest.raises(ValueError, match=r"no key \['depth'\]"):
        cut_clips(source, tmp_path / "more", 9, ["depth"], False)


def test_a_source_that_moved_goes_on_and_another_one_does_not(source: EpisodeStore, tmp_path: Path) -> None:
    cut_clips(source, tmp_path / "clips", 9, progress=False)
    source.path.rename(tmp_path / "moved")
    assert len(cut_clips(EpisodeStore.open(tmp_path / "moved"), tmp_path / "clips", 9, progress=False)) == 3
    other = EpisodeStore.create(source.path, KEYS, INFO)  # where the first one lay
    other.append([(episode(5), {"task": "push", "success": True, "split": "train"})])
    with pytest.raises(ValueError, match="use another path"):
        cut_clips(other, tmp_path / "clips", 9, progress=False)


def test_what_could_not_be_cut_leaves_no_store(source: EpisodeStore, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no successful episode of a task within 3 rows: the shortest has 4"):
        cut_clips(source, tmp_path / "clips", 3, progress=False)
    source.append([(episode(3), {"task": "fly", "success": True})])
    with pytest.raises(ValueError, match=r"episodes of \['fly'\], and its info names only \['push', 'pull'\]"):
        cut_clips(source, tmp_path / "clips", 9, progress=False)
    narrow = EpisodeStore.create(tmp_path / "narrow", KEYS, {**INFO, "action": {"low": [-1], "high": [1]}})
    narrow.append([(episode(3), {"task": "push", "success": True})])
    with pytest.raises(ValueError, match=r"holds actions \(2,\), its info says 1 entries"):
        cut_clips(narrow, tmp_path / "clips", 9, progress=False)
    assert not (tmp_path / "clips").exists()


def test_two_cutters_do_not_share_a_store(source: EpisodeStore, tmp_path: Path) -> None:
    made = cut_clips(source, tmp_path / "clips", 6, progress=False)
    source.append([(episode(3), {"task": "push", "success": True})])
    lock = locked(made.path, exclusive=True, name=".collect.lock")
    with lock, pytest.raises(ValueError, match="another process is cutting clips"):
        cut_clips(source, tmp_path / "clips", 6, progress=False)
    assert len(cut_clips(source, tmp_path / "clips", 6, progress=False)) == 3


def test_what_cannot_be_cut_is_told(source: EpisodeStore, tmp_path: Path) -> None:
    cut_clips(source, tmp_path / "clips", 9, progress=False)
    with pytest.raises(ValueError, match=r"holds clips of .*'rows': 9.*asked for .*'rows': 5"):
        cut_clips(source, tmp_path / "clips", 5, progress=False)
    with pytest.raises(ValueError, match="at least 2 rows"):
        cut_clips(source, tmp_path / "short", 1, progress=False)
    nameless = EpisodeStore.create(tmp_path / "play", KEYS)
    with pytest.raises(ValueError, match="names no tasks"):
        cut_clips(nameless, tmp_path / "none", 5, progress=False)


def test_windows_follow_one_another_whatever_they_show(source: EpisodeStore, tmp_path: Path) -> None:
    clips = cut_clips(source, tmp_path / "clips", 4, progress=False, windows=True)
    places = [(m["clip"], m["of_episode"], m["from_row"], m["split"]) for m in clips.metas]
    assert places == [(0, 0, 0, "train"), (1, 1, 0, "val"), (2, 2, 0, "train"), (3, 3, 0, "val"), (4, 3, 3, "val")]
    assert set(clips.keys) == {"rgb", "action", "clip"}
    assert [clips.episode(i)["rgb"][:, 0, 0, 0].tolist() for i in (3, 4)] == [[0, 1, 2, 3], [3, 4, 5, 6]]


def test_windows_go_on_and_are_no_clips_of_tasks(source: EpisodeStore, tmp_path: Path) -> None:
    cut_clips(source, tmp_path / "clips", 4, progress=False, windows=True)
    source.append([(episode(7), {"task": "push", "success": True, "split": "train"})])
    assert len(cut_clips(source, tmp_path / "clips", 4, progress=False, windows=True)) == 7
    for wanted in ({"rows": 4}, {"rows": 5, "windows": True}):
        with pytest.raises(ValueError, match="use another path"):
            cut_clips(source, tmp_path / "clips", progress=False, **wanted)
    with pytest.raises(ValueError, match="no episode of 20 rows or more: the longest has 9"):
        cut_clips(source, tmp_path / "more", 20, progress=False, windows=True)
