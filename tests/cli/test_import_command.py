"""`dreamgym import`: from a data set's folder to a store that the other commands take."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tyro")
pytest.importorskip("av")
pytest.importorskip("pyarrow")

from foreign import write_lerobot_table

from dreamgym import cli
from dreamgym.data import EpisodeStore
from dreamgym.suites import store_facts


@pytest.fixture
def pushes(tmp_path: Path) -> str:
    """Twenty short episodes of two tasks, at 5 Hz; the last row of every other one is success."""
    rng = np.random.default_rng(0)
    episodes = []
    for i in range(20):
        action = rng.uniform(-0.3, 0.3, (8, 2)).astype(np.float32)
        episodes.append(
            {
                "observation.state": np.cumsum(action, 0),
                "action": action,
                "next.success": (np.arange(8) == 7) & (i % 2 == 0),
                "next.reward": np.linspace(0, 1, 8, dtype=np.float32),
            }
        )
    tasks = ["push left" if i < 10 else "push right" for i in range(20)]
    return f"lerobot:{write_lerobot_table(tmp_path / 'pushes', episodes, tasks, fps=5)}"


def run(source: str, store: Path, *words: str) -> EpisodeStore:
    cli.main(["import", source, "--store", str(store), *words])
    return EpisodeStore.open(store)


def test_a_data_set_becomes_a_store(pushes: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = run(pushes, tmp_path / "s", "--success", "next.success")
    shown = capsys.readouterr().out
    assert "state=observation.state, reward=next.reward, action=action" in shown
    assert "20 episodes (16 train, 2 val, 2 test), 160 rows at 5 Hz" in shown
    assert "task 'push left': 10 episodes, 5 with success" in shown
    facts = store_facts(store)
    assert (facts.frame_rate, facts.tasks) == (5.0, ("push left", "push right"))
    assert 0.3 < facts.action.high[0] < 0.35
    assert facts.sensors["state"].shape == (2,)
    assert [len(store.select(task="push right", split=split)) for split in ("val", "test")] == [1, 1]
    assert store.episode(0)["success"].tolist() == [False] * 7 + [True]


def test_a_task_that_no_episode_lacked_is_told_of(
    pushes: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(pushes, tmp_path / "s", "--task", "lift")
    assert "--task lift: no effect" in capsys.readouterr().out


def test_a_data_set_of_nothing_but_nan_is_told_of(tmp_path: Path) -> None:
    rows = np.full((8, 2), np.nan, np.float32)
    folder = write_lerobot_table(tmp_path / "nan", [{"observation.state": rows, "action": rows * 0}] * 2, ["t"] * 2, 5)
    with pytest.raises(SystemExit, match="every episode was left out, each with a NaN or an infinity"):
        run(f"lerobot:{folder}", tmp_path / "s")


def test_called_again_it_adds_nothing(pushes: str, tmp_path: Path) -> None:
    first = run(pushes, tmp_path / "s").metas
    assert run(pushes, tmp_path / "s").metas == first


def test_keys_names_and_marks_are_the_users(pushes: str, tmp_path: Path) -> None:
    (tmp_path / "own_rule.py").write_text("def far(episode):\n    return episode['position'][:, 0] > 0.1\n")
    words = ["--map", "position=observation.state", "paid=next.reward", "--import", str(tmp_path / "own_rule.py")]
    store = run(pushes, tmp_path / "s", *words, "--success", "own_rule:far", "--val-share", "0.2", "--test-share", "0")
    assert store.keys["paid"][0] == (1,)
    episode = store.episode(3)
    assert (episode["success"] == (episode["position"][:, 0] > 0.1)).all()
    assert len(store.select(split="val")) == 4
    threshold = run(pushes, tmp_path / "t", "--success", "next.reward>=0.5")
    assert threshold.episode(1)["success"].tolist() == [False] * 5 + [True] * 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--map", "position=observation.pose"], r"no features \['observation.pose'\]; it has \['action', .*state'"),
        (["--success", "success"], r"no features \['success'\]; it has"),
        (["--map", "position"], "--map takes SENSOR=KEY"),
        (["--map", "action=action"], "'action' is no sensor; the action has --action"),
        (["--map", "a=action", "a=observation.state"], "names 'a' twice"),
        (["--suite", "chess"], "unknown suite 'chess'"),
        (["--suite", "calvin"], r"actions of \d+ entries, and the suite 'calvin' takes 7: leave --suite out"),
        (["--success", "next.reward>=most"], "by a threshold is KEY>=NUMBER .*, got 'next.reward>=most'"),
        (["--suite", "libero"], r"actions of \d+ entries, and the suite 'libero' takes 7: leave --suite out"),
        (["--image-size", "100000"], "--image-size must be at least 1 and at most 4096, got 100000"),
        (["--val-share", "1"], "below 1 together"),
        (["--action", "torque"], r"no features \['torque'\]"),
    ],
)
def test_what_is_missing_or_wrong_is_named(pushes: str, tmp_path: Path, words: list[str], message: str) -> None:
    with pytest.raises(SystemExit, match=message):
        run(pushes, tmp_path / "s", *words)
    assert not (tmp_path / "s").exists()


def test_a_data_set_without_a_frame_rate_asks_for_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    minari = pytest.importorskip("minari")
    import gymnasium as gym

    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    buffers = [
        minari.data_collector.EpisodeBuffer(
            id=i,
            observations=np.full((7, 3), i, np.float64),
            actions=np.zeros((6, 1), np.float32),
            rewards=[0.0] * 5 + [1.0],
            terminations=[False] * 5 + [True],
            truncations=[False] * 6,
        )
        for i in range(3)
    ]
    minari.create_dataset_from_buffers(
        "test/swing-v0",
        buffers,
        observation_space=gym.spaces.Box(-9, 99, (3,), np.float64),
        action_space=gym.spaces.Box(-2, 2, (1,), np.float32),
        algorithm_name="still",
        author="dreamgym",
        author_email="dreamgym@example.org",
        code_permalink="https://example.org",
    )
    with pytest.raises(SystemExit, match="add --frame-rate HZ"):
        run("minari:test/swing-v0", tmp_path / "s")
    words = ["--frame-rate", "20", "--success", "reward>=1", "--task", "stand"]
    store = run("minari:test/swing-v0", tmp_path / "s", *words)
    facts = store_facts(store)
    assert (facts.frame_rate, facts.tasks, facts.action.low) == (20.0, ("stand",), (-2.0,))
    assert store.episode(2)["success"].tolist() == [False] * 6 + [True]
    assert store.episode(2)["reward"][:, 0].tolist() == [0] * 5 + [1, 0]
    assert store.episode(2)["terminated"].tolist() == [False] * 5 + [True] * 2
    assert not store.episode(2)["truncated"].any()
    assert [meta["split"] for meta in store.metas] == ["train", "val", "test"]


def test_recorded_rewards_and_ends_are_kept_unless_told_otherwise(pushes: str, tmp_path: Path) -> None:
    store = run(pushes, tmp_path / "s")
    assert store.episode(0)["reward"][:, 0].tolist() == np.linspace(0, 1, 8, dtype=np.float32).tolist()
    assert "reward" not in store_facts(store).sensors
    assert "reward" not in run(pushes, tmp_path / "t", "--no-outcome").keys
