"""Minari datasets written by the minari package itself, read back."""

from __future__ import annotations

import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

from dreamgym.data.readers import ImportConfig, import_dataset, read, read_minari

minari = pytest.importorskip("minari")
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:minari")  # of descriptions that no test needs

ACTIONS = gym.spaces.Box(-1, 1, (2,), np.float32)


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    return tmp_path / "minari"


def write_minari(name: str, lengths: list[int], data_format: str = "hdf5", pictures: int = 40) -> None:
    """Episode e has poses e + t / 100, t = 0 .. T, pictures of value 50 e, and actions t / 100."""
    pose_space = gym.spaces.Box(-9, 99, (3,), np.float64)
    picture_space = gym.spaces.Box(0, 255, (pictures, pictures, 3), np.uint8)
    nested = gym.spaces.Dict({"arm": gym.spaces.Dict({"pose": pose_space}), "pixels": picture_space})
    buffers = []
    for e, length in enumerate(lengths):
        pose = e + np.arange(length + 1)[:, None].repeat(3, axis=1) / 100
        pixels = np.full((length + 1, pictures, pictures, 3), 50 * e, np.uint8)
        buffers.append(
            minari.data_collector.EpisodeBuffer(
                id=e,
                seed=100 + e,
                observations={"arm": {"pose": pose}, "pixels": pixels} if pictures else pose,
                actions=(np.arange(length)[:, None].repeat(2, axis=1) / 100).astype(np.float32),
                rewards=list(np.arange(length, dtype=float)),
                terminations=[False] * (length - 1) + [True],
                truncations=[False] * length,
                infos={"success": [t == length for t in range(length + 1)]},
            )
        )
    minari.create_dataset_from_buffers(
        name,
        buffers,
        observation_space=nested if pictures else pose_space,
        action_space=ACTIONS,
        algorithm_name="scripted",
        author="dreamgym",
        author_email="dreamgym@example.org",
        code_permalink="https://example.org",
        data_format=data_format,
    )


@pytest.mark.parametrize("data_format", ["hdf5", "arrow"])
def test_rows_are_observations_and_the_last_action_is_repeated(data_format: str) -> None:
    write_minari("test/reach-v0", [4, 6], data_format)
    pairs = list(read_minari("test/reach-v0"))
    assert [meta for _, meta in pairs] == [
        {"source": "minari:test/reach-v0:0", "seed": 100},
        {"source": "minari:test/reach-v0:1", "seed": 101},
    ]
    episode = pairs[1][0]
    np.testing.assert_allclose(episode["observation.arm.pose"][:, 0], 1 + np.arange(7) / 100)
    assert episode["observation.pixels"].shape == (7, 40, 40, 3)
    np.testing.assert_allclose(episode["action"][:, 0], np.array([0, 1, 2, 3, 4, 5, 5]) / 100)
    assert episode["reward"].tolist() == [0, 1, 2, 3, 4, 5, 0]
    assert episode["terminated"].tolist() == [False] * 5 + [True] * 2
    assert episode["info.success"].tolist() == [False] * 6 + [True]
    assert {len(array) for array in episode.values()} == {7}


def test_a_folder_is_read_like_an_id(root: Path) -> None:
    write_minari("test/box-v0", [3], pictures=0)
    for path in (root / "test" / "box-v0", root / "test" / "box-v0" / "data"):
        ((episode, _),) = read_minari(path)
        assert episode["observation"].shape == (4, 3)


def test_import(tmp_path: Path) -> None:
    write_minari("test/reach-v0", [4, 6])
    keys = {
        "action": "action",
        "rgb_static": "observation.pixels",
        "pose": "observation.arm.pose",
        "success": "info.success",
    }
    store = import_dataset(
        read_minari("test/reach-v0"), tmp_path / "store", ImportConfig(keys, image_size=4), progress=False
    )
    assert store.lengths.tolist() == [5, 7]
    assert np.abs(store.episode(1)["rgb_static"].astype(int) - 50).max() <= 2  # Minari keeps pictures as JPEG
    assert store.keys["success"] == ((), np.dtype(bool))


def test_what_the_data_set_says_of_itself() -> None:
    write_minari("test/reach-v0", [4, 6])
    source = read("minari:test/reach-v0")
    assert source.action == {"low": [-1, -1], "high": [1, 1], "binary": [], "hold": [0, 0]}
    assert source.suggested == {"arm_pose": "observation.arm.pose", "pixels": "observation.pixels"}
    assert (source.frame_rate, len(source), source.keys["action"]) == (None, 2, (2,))
    assert [meta["seed"] for _, meta in source.open({"minari:test/reach-v0:0"})] == [101]
    write_minari("test/box-v0", [3], pictures=0)
    assert read("minari:test/box-v0").suggested == {"state": "observation"}
    with pytest.raises(ValueError, match=r"has no keys \['depth'\]; it has \['action', 'info.success'"):
        read("minari:test/box-v0", ["depth"])
    with pytest.raises(ValueError, match="names no tasks"):
        read("minari:test/box-v0", tasks_from="task")


def test_pictures_that_minari_cannot_read_back_are_refused() -> None:
    write_minari("test/tiny-v0", [3], pictures=8)
    with pytest.raises(ValueError, match=r"observation.pixels has rows of shape .* its space says \(8, 8, 3\)"):
        list(read_minari("test/tiny-v0"))


def test_what_is_no_dataset(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"neither a folder nor a local Minari dataset.*minari download test/none-v0"):
        read_minari("test/none-v0")
    with pytest.raises(ValueError, match=r"is no Minari dataset: expected a folder with data/metadata.json"):
        read_minari(tmp_path)


@pytest.mark.parametrize("damage", ["metadata", "half metadata", "no data", "truncated data"])
def test_a_damaged_dataset_is_named(root: Path, damage: str) -> None:
    write_minari("test/box-v0", [3, 3], pictures=0)
    data = root / "test" / "box-v0" / "data"
    if damage == "metadata":
        (data / "metadata.json").write_text("{")
    elif damage == "half metadata":
        (data / "metadata.json").write_text('{"total_episodes": 2, "data_format": "hdf5"}')
    elif damage == "no data":
        (data / "main_data.hdf5").unlink()
    else:
        content = (data / "main_data.hdf5").read_bytes()
        (data / "main_data.hdf5").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"box-v0.* damaged"):
        list(read_minari(root / "test" / "box-v0"))


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "minari", None)
    with pytest.raises(ImportError, match=r'pip install "dreamgym\[minari\]"'):
        read_minari(tmp_path)
