"""CALVIN's folders: what a true one gives, and what a foreign, damaged or hostile one does."""

from __future__ import annotations

import os
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from dreamgym.data import EpisodeStore
from dreamgym.data.readers import CALVIN_KEYS, ImportConfig, import_dataset, read, read_calvin


def write_calvin(folder: Path, ranges: list[tuple[int, int]], skills: list[tuple[str, int, int]] | None = None) -> Path:
    """A dataset as CALVIN writes it: float64 vectors, 200x200 and 84x84 images, gaps between recordings."""
    folder.mkdir(parents=True)
    for first, last in ranges:
        for number in range(first, last + 1):
            np.savez_compressed(
                folder / f"episode_{number:07d}.npz",
                actions=np.full(7, number / 10),
                rel_actions=np.full(7, number / 100),
                robot_obs=np.full(15, float(number)),
                scene_obs=np.full(24, -float(number)),
                rgb_static=np.full((200, 200, 3), number % 256, np.uint8),
                rgb_gripper=np.full((84, 84, 3), 255 - number % 256, np.uint8),
                depth_static=np.zeros((200, 200), np.float32),
            )
    np.save(folder / "ep_start_end_ids.npy", np.array(ranges))
    np.save(folder / "ep_lens.npy", np.array([last - first + 1 for first, last in ranges]))
    if skills is not None:
        (folder / "lang_annotations").mkdir()
        annotations = {
            "language": {
                "ann": [f"please {task}" for task, _, _ in skills],
                "task": [task for task, _, _ in skills],
                "emb": np.zeros((len(skills), 1, 384), np.float32),
            },
            "info": {"episodes": [], "indx": [(begin, end) for _, begin, end in skills]},
        }
        np.save(folder / "lang_annotations" / "auto_lang_ann.npy", annotations)  # type: ignore[arg-type]
    return folder


def test_recordings_come_in_pieces_with_both_ends(tmp_path: Path) -> None:
    folder = write_calvin(tmp_path / "training", [(3, 12), (20, 22)])
    pieces = list(read_calvin(folder, max_length=6))
    assert [piece["robot_obs"][[0, -1], 0].tolist() for piece, _ in pieces] == [[3, 8], [9, 12], [20, 22]]
    piece, meta = pieces[0]
    assert {key: array.shape for key, array in piece.items()} == {
        "rel_actions": (6, 7),
        "robot_obs": (6, 15),
        "scene_obs": (6, 24),
        "rgb_static": (6, 200, 200, 3),
        "rgb_gripper": (6, 84, 84, 3),
    }
    np.testing.assert_array_equal(piece["rel_actions"][:, 0], piece["robot_obs"][:, 0] / 100)
    assert meta == {"source": f"calvin:{tmp_path.name}/training:3-8", "skills": []}


def test_annotations_become_skills(tmp_path: Path) -> None:
    skills = [("open_drawer", 4, 7), ("turn_on_led", 7, 10), ("lift_red_block_table", 20, 22)]
    folder = write_calvin(tmp_path / "training", [(3, 12), (20, 22)], skills)
    found = [meta["skills"] for _, meta in read_calvin(folder, max_length=6)]
    assert found == [
        [["open_drawer", 1, 5, True]],
        [["turn_on_led", 0, 2, True]],
        [["lift_red_block_table", 0, 3, True]],
    ]


def test_sentences_name_the_tasks(tmp_path: Path) -> None:
    folder = write_calvin(tmp_path / "training", [(3, 12)], [("open_drawer", 4, 7)])
    ((_, meta),) = read(f"calvin:{folder}", tasks_from="language_instruction")
    assert meta["skills"] == [["please open_drawer", 1, 5, True]]
    with pytest.raises(ValueError, match=r"one of \['language_instruction', 'task'\], got 'emb'"):
        read(f"calvin:{folder}", tasks_from="emb")


def test_what_the_data_set_says_of_itself(tmp_path: Path) -> None:
    write_calvin(tmp_path / "training", [(0, 3)])
    source = read(f"calvin:{tmp_path}")
    assert (source.frame_rate, source.suite, source.held_out, len(source)) == (30.0, "calvin", frozenset(), 1)
    assert source.suggested == {k: k for k in ("robot_obs", "scene_obs", "rgb_static", "rgb_gripper")}
    assert source.keys["rgb_static"] == (200, 200, 3)


def test_a_folder_of_both_splits(tmp_path: Path) -> None:
    write_calvin(tmp_path / "training", [(0, 3)])
    write_calvin(tmp_path / "validation", [(0, 2)])
    source = read_calvin(tmp_path)
    assert [(meta.get("split"), len(piece["robot_obs"])) for piece, meta in source] == [(None, 4), ("val", 3)]
    assert (source.held_out, len(source)) == ({"val"}, 2)


def test_only_the_keys_asked_for(tmp_path: Path) -> None:
    folder = write_calvin(tmp_path / "training", [(0, 2)])
    ((piece, _),) = read_calvin(folder, keys=["actions"])
    assert list(piece) == ["actions"]
    with pytest.raises(ValueError, match=r"has no \['rgb_tactile'\].*ask for other keys"):
        list(read_calvin(folder, keys=["rgb_tactile"]))


def test_import_makes_a_store_of_our_keys(tmp_path: Path) -> None:
    write_calvin(tmp_path / "training", [(0, 9)])
    write_calvin(tmp_path / "validation", [(5, 7)])
    store = import_dataset(
        read_calvin(tmp_path, max_length=4), tmp_path / "store", ImportConfig(CALVIN_KEYS), progress=False
    )
    assert store.lengths.tolist() == [4, 4, 2, 3]
    assert {name: (shape, dtype.name) for name, (shape, dtype) in store.keys.items()} == {
        "action": ((7,), "float32"),
        "robot_obs": ((15,), "float32"),
        "scene_obs": ((24,), "float32"),
        "rgb_static": ((64, 64, 3), "uint8"),
        "rgb_gripper": ((64, 64, 3), "uint8"),
    }
    val = store.select(split="val").episode(0)
    assert val["robot_obs"][:, 0].tolist() == [5, 6, 7]
    np.testing.assert_allclose(val["action"][:, 0], [0.05, 0.06, 0.07])
    assert val["rgb_static"][1].tolist() == np.full((64, 64, 3), 6).tolist()
    assert (val["rgb_gripper"][1] == 249).all()


def test_a_killed_import_goes_on(tmp_path: Path) -> None:
    folder = write_calvin(tmp_path / "training", [(0, 9)])
    keys = {"action": "rel_actions"}
    source = read_calvin(folder, max_length=4)
    import_dataset(
        replace(source, open=lambda skip: islice(source.open(skip), 1)),
        tmp_path / "store",
        ImportConfig(keys),
        progress=False,
    )
    store = import_dataset(read_calvin(folder, max_length=4), tmp_path / "store", ImportConfig(keys), progress=False)
    assert store.lengths.tolist() == [4, 4, 2]
    assert [meta["source"].split(":")[-1] for meta in store.metas] == ["0-3", "4-7", "8-9"]
    assert len(EpisodeStore.open(store.path)) == 3


def test_a_foreign_folder_is_refused_at_once(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(ValueError, match=r"is no CALVIN dataset: expected .*ep_start_end_ids.npy.*point at"):
            read_calvin(folder)


@pytest.mark.parametrize("ranges", [np.zeros((0, 2), int), np.zeros((3, 2)), np.zeros(4, int), np.array([[5, 2]])])
def test_ranges_that_are_none(tmp_path: Path, ranges: np.ndarray) -> None:
    np.save(tmp_path / "ep_start_end_ids.npy", ranges)
    with pytest.raises(ValueError, match=r"ep_start_end_ids.npy (holds|has the range)"):
        read_calvin(tmp_path)


def test_ranges_cut_short(tmp_path: Path) -> None:
    write_calvin(tmp_path / "training", [(0, 2)])
    file = tmp_path / "training" / "ep_start_end_ids.npy"
    file.write_bytes(file.read_bytes()[:-4])
    with pytest.raises(ValueError, match=r"ep_start_end_ids.npy is damaged"):
        read_calvin(tmp_path)


@pytest.mark.parametrize("damage", ["missing", "truncated", "empty"])
def test_a_damaged_step_is_named(tmp_path: Path, damage: str) -> None:
    folder = write_calvin(tmp_path / "training", [(0, 3)])
    file = folder / "episode_0000002.npz"
    content = file.read_bytes()
    file.unlink()
    if damage != "missing":
        file.write_bytes(content[: len(content) // 2] if damage == "truncated" else b"")
    with pytest.raises(ValueError, match=r"episode_0000002.npz is missing or damaged.*again"):
        list(read_calvin(folder))


class Hostile:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (f"touch {self.target}",)


@pytest.mark.parametrize(
    "wrap", [lambda x: x, lambda x: {"language": {"task": [x]}}, lambda x: {"info": np.array(x, object)}]
)
def test_a_hostile_pickle_does_not_run(tmp_path: Path, wrap) -> None:
    folder = write_calvin(tmp_path / "training", [(0, 2)], skills=[])
    target = tmp_path / "ran"
    np.save(folder / "lang_annotations" / "auto_lang_ann.npy", np.array(wrap(Hostile(target)), dtype=object))
    with pytest.raises(ValueError, match=r"auto_lang_ann.npy is refused: it names (posix|nt).system"):
        read_calvin(folder)
    assert not target.exists()


@pytest.mark.parametrize("damage", ["truncated", "no pickle", "other dict", "lengths differ"])
def test_damaged_annotations_are_named(tmp_path: Path, damage: str) -> None:
    folder = write_calvin(tmp_path / "training", [(0, 2)], skills=[("open_drawer", 0, 2)])
    file = folder / "lang_annotations" / "auto_lang_ann.npy"
    if damage == "truncated":
        file.write_bytes(file.read_bytes()[:-30])
    elif damage == "no pickle":
        np.save(file, np.zeros(3))
    else:
        wrong = (
            {"language": {"task": ["a", "b"]}, "info": {"indx": [(0, 1)]}} if damage == "lengths differ" else {"x": 1}
        )
        np.save(file, wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"auto_lang_ann.npy is (refused|not what CALVIN writes)"):
        read_calvin(folder)
