"""Files of LIBERO's demonstrations written here in their true layout, read back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dreamgym.data.readers import ImportConfig, import_dataset, read, read_libero

h5py = pytest.importorskip("h5py")

TASK = "put_the_bowl_on_the_plate"
LENGTHS = (6, 4)


def picture(t: int) -> np.ndarray:
    """The upper half says which step was seen."""
    image = np.zeros((8, 8, 3), np.uint8)
    image[:4] = 10 * t
    return image


def write_libero(file: Path, convention: str = "opengl", words: bool = True) -> Path:
    """As create_dataset.py writes it: row t has action t, the state before it, and what was seen after it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    sentence = "put the bowl on the plate"
    with h5py.File(file, "w") as content:
        data = content.create_group("data")
        data.attrs["problem_info"] = json.dumps({"language_instruction": sentence.split() if words else sentence})
        data.attrs["macros_image_convention"] = convention
        for number, length in enumerate(LENGTHS):
            demo = data.create_group(f"demo_{number}")
            steps = np.arange(length, dtype=float)
            demo["actions"] = np.repeat(steps[:, None], 7, axis=1)
            demo["states"] = np.stack([steps, steps], axis=1)
            demo["robot_states"] = np.repeat(steps[:, None] + 1, 9, axis=1)
            demo["rewards"] = demo["dones"] = (steps == length - 1).astype(np.uint8)
            seen = np.stack([picture(t + 1) for t in range(length)])
            obs = demo.create_group("obs")
            obs["agentview_rgb"] = obs["eye_in_hand_rgb"] = seen[:, ::-1] if convention == "opengl" else seen
            obs["joint_states"] = np.repeat(steps[:, None] + 1, 7, axis=1)
    return file


@pytest.mark.parametrize("convention", ["opengl", "opencv"])
def test_rows_have_the_action_taken_from_what_is_seen_and_upright_images(tmp_path: Path, convention: str) -> None:
    file = write_libero(tmp_path / "libero_goal" / f"{TASK}_demo.hdf5", convention)
    source = read_libero(file)
    assert (len(source), source.frame_rate, source.suite) == (2, 20.0, "libero")
    episode, meta = next(iter(source))
    assert meta["task"] == f"libero_goal/{TASK}"
    assert meta["instruction"] == "put the bowl on the plate"
    np.testing.assert_array_equal(episode["obs.agentview_rgb"][2], picture(3))
    np.testing.assert_array_equal(episode["obs.joint_states"][:, 0], [1, 2, 3, 4, 5, 6])
    np.testing.assert_array_equal(episode["states"][:, 0], [1, 2, 3, 4, 5, 5])
    np.testing.assert_array_equal(episode["action"][:, 0], [1, 2, 3, 4, 5, 5])
    np.testing.assert_array_equal(episode["reward"], [0, 0, 0, 0, 0, 1])


def test_a_folder_is_imported_and_goes_on(tmp_path: Path) -> None:
    write_libero(tmp_path / "libero_goal" / f"{TASK}_demo.hdf5", words=False)
    write_libero(tmp_path / "mine" / "wave_demo.hdf5")
    source = read(f"libero:{tmp_path}")
    config = ImportConfig({**source.suggested, "action": "action"}, image_size=8, success="reward>=0.5")
    read_again = read(f"libero:{tmp_path}", [*config.keys.values(), "reward"])
    store = import_dataset(read_again, tmp_path / "store", config, progress=False)
    assert store.lengths.tolist() == [6, 4, 6, 4]
    assert {meta["task"] for meta in store.metas} == {f"libero_goal/{TASK}", "wave"}
    assert all(meta["success"] for meta in store.metas)
    assert store.keys["rgb_gripper"][0] == (8, 8, 3)
    assert len(import_dataset(read_again, tmp_path / "store", config, progress=False)) == 4


def test_damage_is_named(tmp_path: Path) -> None:
    file = write_libero(tmp_path / f"{TASK}_demo.hdf5")
    with pytest.raises(ValueError, match="no HDF5 files"):
        read_libero(tmp_path / "nothing")
    with pytest.raises(ValueError, match=r"no \['obs.depth'\]; it has \['action'"):
        read_libero(file, ["obs.depth"])
    with pytest.raises(ValueError, match="leave tasks_from out"):
        read(f"libero:{file}", tasks_from="task")
    with h5py.File(file, "a") as content:
        del content["data/demo_0/actions"]
        content["data/demo_0/actions"] = np.zeros((3, 7))
    with pytest.raises(ValueError, match="different lengths"):
        next(iter(read_libero(file)))
    with h5py.File(file, "a") as content:
        del content["data/demo_1/actions"]
    with pytest.raises(ValueError, match=r"demo_1 has no \['action'\], which the demonstrations before it have"):
        list(read_libero(file, ["action"]))
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(ValueError, match="damaged"):
        read_libero(file)
