"""`dreamgym collect`."""

from pathlib import Path

import pytest

from dreamgym import cli
from dreamgym.data import EpisodeStore
from dreamgym.data.collect import Collected
from dreamgym.suites import collection, suite


def test_collect_fills_a_store_and_continues_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pybullet")
    words = ["collect", "--store", str(tmp_path / "play"), "--image-size", "16", "--episode-steps", "8", "--steps"]
    cli.main([*words, "8"])
    assert "1 episodes (0 held out), 8 steps, 1 new" in capsys.readouterr().out
    cli.main([*words, "16"])
    assert "2 episodes (1 held out), 16 steps, 1 new" in capsys.readouterr().out


def test_collect_runs_any_suite_and_splits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("gym_pusht")
    words = ["collect", "--store", str(tmp_path / "s"), "--suite", "pusht", "--operators", "random", "clumsy"]
    cli.main([*words, "--max-steps", "5", "--episodes", "4", "--split", "test"])
    assert "4 episodes (4 held out), 20 steps, 4 new" in capsys.readouterr().out
    metas = EpisodeStore.open(tmp_path / "s").metas
    assert {(meta["operator"], meta["split"]) for meta in metas} == {("random", "test"), ("clumsy", "test")}


def test_an_option_of_another_kind_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="dreamgym: demonstrations of pusht takes tasks, .*; got scene"):
        cli.main(["collect", "--store", str(tmp_path / "s"), "--suite", "pusht", "--scene", "D"])
    with pytest.raises(SystemExit, match="dreamgym: play of calvin takes scene, .*; got num_train"):
        cli.main(["collect", "--store", str(tmp_path / "s"), "--num-train", "3"])


@pytest.mark.parametrize("kind", ["demonstrations", "play"])
def test_pictures_that_nobody_can_draw_are_refused_before_anything_is_made(tmp_path: Path, kind: str) -> None:
    words = ["collect", "--store", str(tmp_path / "s"), "--suite", "libero", "--kind", kind, "--episodes", "1"]
    with pytest.raises(SystemExit, match="--image-size must be at least 0 and at most 4096, got 100000"):
        cli.main([*words, "--image-size", "100000"])
    with pytest.raises(ValueError, match="image_size: expected at most 4096 pixels, got 100000"):
        suite("libero").collector("demonstrations", image_size=100_000)
    with pytest.raises(SystemExit, match="robot: .*Panda.*got 'Pandas'"):
        cli.main([*words, "--robot", "Pandas"])
    assert not (tmp_path / "s").exists()


def test_a_collection_that_was_stopped_does_not_exit_with_0(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store = EpisodeStore.create(tmp_path / "s", {"action": ((2,), "float32")})
    stopped = Collected(store, new_episodes=0, failed={}, stopped=True)
    monkeypatch.setattr(collection, "collect", lambda *args, **kwargs: stopped)
    with pytest.raises(SystemExit) as ended:
        cli.main(["collect", "--store", str(tmp_path / "s"), "--suite", "pusht", "--episodes", "2"])
    assert ended.value.code == 130
    assert "the same command goes on" in capsys.readouterr().err


def test_a_collection_that_ends_short_does_not_exit_with_0(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Episodes that failed twice are missing: one line says how many, and why the last."""
    store = EpisodeStore.create(tmp_path / "s", {"action": ((2,), "float32")})
    failed = {3: "Traceback\nRuntimeError: a", 1: "Traceback\nRuntimeError: it fell off"}
    monkeypatch.setattr(collection, "collect", lambda *args, **kwargs: Collected(store, 4, failed, stopped=False))
    words = ["collect", "--store", str(tmp_path / "s"), "--suite", "pusht"]
    with pytest.raises(SystemExit, match=r"dreamgym: 2 of 6 episodes .*\(1, 3; the last: RuntimeError: it fell off\)"):
        cli.main([*words, "--episodes", "6"])
    assert "0 episodes" in capsys.readouterr().out
    cli.main([*words, "--steps", "6"])  # whose rows were made up for by further episodes
