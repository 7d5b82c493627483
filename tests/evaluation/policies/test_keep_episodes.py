import numpy as np
import pytest

from dreamgym import cli
from dreamgym.data import EpisodeStore
from dreamgym.evaluation.policies.evaluate import evaluate
from dreamgym.testing import point_mass_checkpoint, two_robots_checkpoint


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return str(point_mass_checkpoint(tmp_path_factory.mktemp("world") / "point"))


def test_the_twins_episodes_are_kept_as_they_went(world, tmp_path):
    result = evaluate(
        "random", world, "turn_on_lamp", episodes=5, simulators=2, horizon=6, record=tmp_path / "store", name="me"
    )
    store = EpisodeStore.open(tmp_path / "store")
    assert sorted(store.keys) == ["action", "rgb_static", "robot_obs", "success"]
    assert store.info["suite"] == "point_mass"
    assert [m["episode_index"] for m in store.metas] == list(range(5))
    for i, meta in enumerate(store.metas):
        episode, success = store.episode(i), bool(result.twin.success[i])
        assert meta["policy"] == "me"
        assert (meta["task"], meta["split"], meta["success"]) == ("turn_on_lamp", "val", success)
        done = int(result.twin.length[i])
        assert episode["success"].any() == success
        assert not success or int(np.argmax(episode["success"])) == done
        # What the simulator did: position t + 1 follows from action t, the last action is there twice.
        moved = (episode["robot_obs"][:-1, :2] + 0.1 * episode["action"][:-1, :2]).clip(-1, 1)
        assert np.allclose(moved, episode["robot_obs"][1:, :2], atol=1e-6)
        assert np.array_equal(episode["action"][-1], episode["action"][-2])


def test_recorded_episodes_are_exported_from_the_command_line(world, tmp_path, capsys):
    pytest.importorskip("pyarrow")
    pytest.importorskip("av")
    words = [
        "evaluate",
        "random",
        "hold",
        "--checkpoint",
        world,
        "--tasks",
        "reach_top",
        "--episodes",
        "2",
        "--horizon",
        "4",
    ]
    record = ["--record", str(tmp_path / "store"), "--out", str(tmp_path / "out")]
    for _ in range(2):  # with --record nothing is taken as it is
        cli.main([*words, *record])
    cli.main(["export", str(tmp_path / "store"), "--out", str(tmp_path / "set")])
    assert "8 episodes, 40 rows at 10 Hz" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="recorded in the twin"):
        cli.main([*words, *record, "--no-twin"])


def test_frames_of_several_actions_are_refused(tmp_path):
    world = str(two_robots_checkpoint(tmp_path / "two"))
    with pytest.raises(ValueError, match="recorded row by row"):
        evaluate("random", world, episodes=2, horizon=10, dream=False, record=tmp_path / "store")
    assert not (tmp_path / "store").exists()
