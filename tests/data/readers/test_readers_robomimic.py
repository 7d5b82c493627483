"""Files of robomimic written here in their documented layout, read back."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from dreamgym import cli
from dreamgym.data import EpisodeStore
from dreamgym.data.readers import ImportConfig, import_dataset, read, read_robomimic

h5py = pytest.importorskip("h5py")

LENGTHS = (6, 4, 5)


def write_robomimic(file: Path, after: bool = True, masks: bool = True, rate: object = 20) -> Path:
    """Row t: what was seen before action t, and what followed from it."""
    with h5py.File(file, "w") as content:
        data = content.create_group("data")
        data.attrs["env_args"] = json.dumps({"env_name": "Lift", "type": 1, "env_kwargs": {"control_freq": rate}})
        for number, length in enumerate(LENGTHS):
            demo, steps = data.create_group(f"demo_{number}"), np.arange(length, dtype=float)
            demo.attrs["num_samples"] = length
            demo["actions"] = np.repeat(steps[:, None], 3, axis=1)
            demo["states"] = np.repeat(steps[:, None], 8, axis=1)
            demo["rewards"] = demo["dones"] = (steps == length - 1).astype(float)
            for name, first in (("obs", 0), ("next_obs", 1)) if after else (("obs", 0),):
                demo[f"{name}/robot0_eef_pos"] = np.repeat(steps[:, None] + first, 3, axis=1)
                demo[f"{name}/robot0_joint_pos"] = np.repeat(steps[:, None] + first, 7, axis=1)
                images = (
                    np.zeros((length, 8, 8, 3), np.uint8) + (10 * (steps + first)).astype(np.uint8)[:, None, None, None]
                )
                demo[f"{name}/agentview_image"] = images
        if masks:
            content["mask/train"] = np.array([b"demo_0", b"demo_2"])
            content["mask/valid"] = np.array([b"demo_1"])
    return file


def test_an_episode_ends_with_what_its_last_action_led_to(tmp_path: Path) -> None:
    source = read(f"robomimic:{write_robomimic(tmp_path / 'lift.hdf5')}")
    assert (len(source), source.frame_rate, source.held_out) == (3, 20.0, {"val"})
    assert set(source.suggested.items()) == {
        ("agentview_image", "obs.agentview_image"),
        ("robot0_eef_pos", "obs.robot0_eef_pos"),
    }
    (episode, meta), (_, held) = list(source)[:2]
    assert meta["task"] == "Lift" and "split" not in meta and held["split"] == "val"
    assert episode["action"][:, 0].tolist() == [0, 1, 2, 3, 4, 5, 5]
    assert episode["obs.robot0_eef_pos"][:, 0].tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert episode["obs.agentview_image"][:, 0, 0, 0].tolist() == [0, 10, 20, 30, 40, 50, 60]
    assert episode["reward"].tolist() == [0, 0, 0, 0, 0, 1, 0]


def test_without_next_obs_there_is_a_row_an_action(tmp_path: Path) -> None:
    (episode, _), *_ = read_robomimic(
        write_robomimic(tmp_path / "lift.hdf5", after=False), ["action", "obs.robot0_eef_pos"]
    )
    assert set(episode) == {"action", "obs.robot0_eef_pos"}
    assert {len(array) for array in episode.values()} == {6}


def test_a_reward_marks_the_row_that_it_led_to(tmp_path: Path) -> None:
    for after, marks in ((True, [0, 0, 0, 0, 0, 0, 1]), (False, [0, 0, 0, 0, 0, 1])):
        file = write_robomimic(tmp_path / f"{after}.hdf5", after)
        config = ImportConfig({"action": "action", "state": "obs.robot0_eef_pos"}, success="reward>=0.5")
        made = import_dataset(read_robomimic(file), tmp_path / f"store_{after}", config, progress=False)
        assert made.episode(0)["success"].astype(int).tolist() == marks
        assert [m["success"] for m in made.metas] == [True] * 3


def test_the_command_makes_a_store_with_the_files_own_split(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write_robomimic(tmp_path / "lift.hdf5")
    cli.main(
        ["import", f"robomimic:{file}", "--store", str(tmp_path / "s"), "--success", "reward>=0.5", "--test-share", "0"]
    )
    assert "3 episodes (2 train, 1 val, 0 test), 18 rows at 20 Hz" in capsys.readouterr().out
    store = EpisodeStore.open(tmp_path / "s")
    assert sorted(store.keys) == ["action", "agentview_image", "done", "reward", "robot0_eef_pos", "success"]
    with pytest.raises(SystemExit, match="name their task in one way"):
        cli.main(["import", f"robomimic:{file}", "--store", str(tmp_path / "t"), "--tasks-from", "task"])


def test_a_rate_that_is_none_is_asked_for(tmp_path: Path) -> None:
    file = write_robomimic(tmp_path / "lift.hdf5", rate="fast")
    with pytest.raises(SystemExit, match="--frame-rate"):
        cli.main(["import", f"robomimic:{file}", "--store", str(tmp_path / "s")])


def test_half_a_file_wrong_names_and_rows_that_do_not_fit(tmp_path: Path) -> None:
    file = write_robomimic(tmp_path / "lift.hdf5")
    with pytest.raises(ValueError, match=r"has no \['obs.nose'\]; it has \['action'"):
        read_robomimic(file, ["obs.nose"])
    half = tmp_path / "half.hdf5"
    half.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(ValueError, match="or damaged"):
        list(read_robomimic(half))
    with pytest.raises(ValueError, match="is no file"):
        read_robomimic(tmp_path)
    with h5py.File(file, "a") as content:
        del content["data/demo_1/rewards"]
        content["data/demo_1/rewards"] = np.zeros(2)
    with pytest.raises(ValueError, match="demo_1 has arrays of different lengths"):
        list(read_robomimic(file))
    with h5py.File(file, "a") as content:
        del content["data/demo_1/actions"]
        content["data/demo_1/actions"] = np.zeros((4, 5))
    with pytest.raises(
        ValueError, match=r"demo_1 has rows of .*'action': \(5,\).* of demo_0 are of .*'action': \(3,\)"
    ):
        list(read_robomimic(file, ["action"]))
    with h5py.File(file, "a") as content:
        del content["data/demo_1/actions"]
    with pytest.raises(ValueError, match=r"demo_1 has no \['action'\], which demo_0 has"):
        list(read_robomimic(file, ["action"]))
    with h5py.File(file, "a") as content:
        for number in range(3):
            del content[f"data/demo_{number}/obs"]
    with pytest.raises(ValueError, match="dataset_states_to_obs"):
        read_robomimic(file)


def test_rows_that_are_nan_leave_their_episode_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = write_robomimic(tmp_path / "lift.hdf5")
    with h5py.File(file, "a") as content:
        content["data/demo_2/actions"][3] = np.nan
    config = ImportConfig({"action": "action", "state": "obs.robot0_eef_pos"})
    made = import_dataset(read_robomimic(file), tmp_path / "s", config, progress=False)
    assert len(made) == 2
    assert "demo_2 is left out: 'action' has a NaN or an infinity at row 3" in caplog.text


def test_without_h5py_the_mend_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ImportError, match=r"dreamgym\[robomimic\]"):
        read_robomimic(tmp_path / "lift.hdf5")
