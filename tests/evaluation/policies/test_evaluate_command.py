"""`dreamgym evaluate` and `dreamgym report`."""

import json

import pytest

pytest.importorskip("tyro")
pytest.importorskip("rich")

from dreamgym import cli
from dreamgym.testing import point_mass_checkpoint


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return str(point_mass_checkpoint(tmp_path_factory.mktemp("world") / "point"))


def test_policies_are_tabled_and_kept_and_make_a_report(world, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    out = str(tmp_path / "run" / "evaluations")
    words = ["--checkpoint", world, "--tasks", "reach_top", "--episodes", "4", "--imagined", "8", "--horizon", "6"]
    cli.main(["evaluate", "random", "hold", *words, "--out", out])
    shown = capsys.readouterr().out
    assert "twin, from both" in shown
    assert "0.0 (0 to 49)" in shown  # none of four, twice
    kept = json.loads((tmp_path / "run" / "evaluations" / "hold.reach_top.json").read_text())
    assert kept["dream"]["num_episodes"] == 8
    cli.main(["report", str(tmp_path / "run")])
    assert "report.html" in capsys.readouterr().out
    assert "<h2>The policies</h2>" in (tmp_path / "run" / "report.html").read_text()


POLICIES = """
import torch

class Pace:
    def __init__(self, pace):
        self.pace = pace

    def start(self, num_envs, generator):
        return None

    def act(self, obs, carry, fresh, generator):
        return torch.tensor([self.pace, 0.0, -1.0]).expand(len(fresh), 3), None

still, slow, middling, fast, faster = Pace(0.0), Pace(0.4), Pace(0.55), Pace(0.65), Pace(0.8)
same = Pace(0.0)
"""


def test_five_policies_say_how_far_the_dream_ranks_as_the_twin_does(world, tmp_path, capsys):
    (tmp_path / "own.py").write_text(POLICIES)
    names = [f"{tmp_path / 'own.py'}:{name}" for name in ("still", "slow", "faster", "fast", "middling", "same")]
    words = ["--checkpoint", world, "--tasks", "reach_right", "--episodes", "8", "--horizon", "10"]
    cli.main(["evaluate", *names[:2], *words])
    shown = capsys.readouterr().out
    assert "Pearson" not in shown
    assert "in points above" in shown
    assert "same starts" in shown
    cli.main(["evaluate", *names[:3], *words])
    assert "3 policies with 3 different results: too few to say how the dream ranks them" in capsys.readouterr().out
    cli.main(["evaluate", *names, *words, "--json", str(tmp_path / "study.json")])
    assert "real against imagined, 6 policies: Pearson r 1.00" in capsys.readouterr().out
    told = json.loads((tmp_path / "study.json").read_text())
    assert told["num_policies"] == 6
    assert {"mmrv", "mmrv_within_tasks", "drift", "reliability", "exploitation_gap"} <= set(told)


def test_the_dream_alone_can_be_asked(world, capsys):
    cli.main(["evaluate", "hold", "--checkpoint", world, "--episodes", "3", "--horizon", "2", "--no-twin"])
    shown = capsys.readouterr().out
    assert "3 tasks" in shown


def test_several_tasks_are_named_and_policies_may_follow_them(world, capsys):
    words = [
        "--tasks",
        "reach_right",
        "reach_top",
        "--checkpoint",
        world,
        "--episodes",
        "4",
        "--horizon",
        "2",
        "--no-twin",
    ]
    cli.main(["evaluate", *words, "hold"])
    assert "2 tasks" in capsys.readouterr().out
    with pytest.raises(SystemExit, match=r"unknown task \['fly'\]"):
        cli.main(["evaluate", "hold", "--checkpoint", world, "--tasks", "reach_top", "fly"])


def test_a_policy_that_is_none_ends_in_one_line(world):
    with pytest.raises(SystemExit, match="dreamgym: unknown policy 'dance'"):
        cli.main(["evaluate", "dance", "--checkpoint", world])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "no policy to evaluate: name at least one"),
        (["hold", "--threads", "0"], "--threads must be at least 1"),
        (["hold", "--device", "cuda:99"], "--device cuda:99 cannot be used here"),
        (["hold", "--device", "quantum"], "--device quantum cannot be used here"),
        (["hold", "--json", "{folder}"], "is a folder: name a file"),
        (["hold", "--json", "{folder}/file/x.json"], "file is a file, not a folder"),
        (["hold", "--json", "{folder}/x.json", "--no-twin"], "compares dream and twin"),
        (["hold", "--out", "{folder}/file"], "is a file, not a folder"),
    ],
)
def test_what_cannot_work_ends_in_one_line_before_anything_is_done(world, tmp_path, words, message, monkeypatch):
    from dreamgym.evaluation.policies import batch

    monkeypatch.setattr(batch, "evaluate", lambda *_, **__: pytest.fail("evaluated"))
    (tmp_path / "file").touch()
    words = [w.format(folder=tmp_path) for w in words]
    with pytest.raises(SystemExit, match=f"dreamgym: .*{message}"):
        cli.main(["evaluate", *words, "--checkpoint", world])


def test_a_report_of_nothing_ends_in_one_line(tmp_path):
    with pytest.raises(SystemExit, match="holds no run"):
        cli.main(["report", str(tmp_path)])


def test_ctrl_c_ends_in_one_line_and_keeps_what_is_done(world, tmp_path, capsys, monkeypatch):
    from dreamgym.evaluation.policies import batch

    real = batch.evaluate

    def interrupted(source, *args, **kwargs):
        if source == "hold":
            raise KeyboardInterrupt
        return real(source, *args, **kwargs)

    monkeypatch.setattr(batch, "evaluate", interrupted)
    words = ["--checkpoint", world, "--tasks", "reach_top", "--episodes", "2", "--horizon", "2"]
    with pytest.raises(SystemExit) as ended:
        cli.main(["evaluate", "random", "hold", *words, "--out", str(tmp_path)])
    assert ended.value.code == 130
    assert f"goes on after the evaluations that are in {tmp_path}" in capsys.readouterr().err
    assert [f.name for f in tmp_path.iterdir()] == ["random.reach_top.json"]


def test_ctrl_c_without_a_folder_claims_nothing(world, capsys, monkeypatch):
    from dreamgym.evaluation.policies import batch

    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(batch, "evaluate", interrupted)
    with pytest.raises(SystemExit) as ended:
        cli.main(["evaluate", "hold", "--checkpoint", world])
    assert ended.value.code == 130
    assert "nothing was kept" in capsys.readouterr().err


def test_a_missing_simulator_is_told_before_the_dreams_episodes(monkeypatch):
    monkeypatch.setattr("dreamgym.suites.base.find_spec", lambda name: None)
    monkeypatch.setattr("dreamgym.envs.make.make_core", None)  # would fail if it were called
    with pytest.raises(SystemExit, match=r'gym_pusht.*pip install "dreamgym\[pusht\]"'):
        cli.main(["evaluate", "random", "--checkpoint", "pusht"])


def test_a_suite_scores_without_a_world_model(tmp_path, capsys):
    words = ["--suite", "point_mass", "--tasks", "reach_right", "--rollouts", "3", "--horizon", "5"]
    cli.main(["evaluate", "random", "hold", *words, "--out", str(tmp_path)])
    assert "mean of point_mass" in capsys.readouterr().out
    kept = json.loads((tmp_path / "hold.point_mass.json").read_text())
    assert kept["success_rate"] == 0 and kept["tasks"]["reach_right"]["steps"] == [None] * 3
    assert kept["provenance"]["commit"] is not None


def test_a_suite_takes_no_world_model():
    with pytest.raises(SystemExit, match="leave --checkpoint"):
        cli.main(["evaluate", "random", "--suite", "point_mass", "--checkpoint", "playtable"])
    with pytest.raises(SystemExit, match="--simulator: '{bad' is no JSON"):
        cli.main(["evaluate", "random", "--suite", "point_mass", "--simulator", "{bad"])


def test_what_would_have_no_effect_is_refused():
    words = ["evaluate", "random", "--checkpoint", "pusht", "--episodes", "1", "--horizon", "2"]
    with pytest.raises(SystemExit, match="give --out FOLDER"):
        cli.main([*words, "--clips", "2"])
    with pytest.raises(SystemExit, match="this model takes control actions: leave it out"):
        cli.main([*words, "--executor", "random"])
