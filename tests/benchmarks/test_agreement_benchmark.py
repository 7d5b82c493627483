"""A result file of agreement can be taken together anew without evaluating anything."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from dreamgym.evaluation.policies.config import EvaluationConfig
from dreamgym.evaluation.policies.episodes import Episodes
from dreamgym.evaluation.policies.result import Evaluation
from dreamgym.evaluation.statistics.agreement import Score
from dreamgym.evaluation.statistics.study import rank_all, ranks_to_dict

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "agreement.py"
# The dream orders the policies of each task rightly but for one swap, and flatters the second task by 0.3.
PAIRS = {"open_drawer": [(0.2, 0.2), (0.5, 0.5), (0.8, 0.8)], "turn_on_led": [(0.1, 0.5), (0.2, 0.4), (0.6, 0.9)]}


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("agreement_benchmark", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def scores():
    return [Score(f"{t}_{i}", *p, 100, 100, task=t) for t, own in PAIRS.items() for i, p in enumerate(own)]


def test_again_adds_what_is_new_and_leaves_what_was_measured(script, tmp_path, capsys):
    ranks = ranks_to_dict(scores(), *rank_all(scores(), 3))
    before = {k: v for k, v in ranks.items() if "within" not in k}
    old = {"commit": "abc", "seed": 3, **before, "coverage_95": 0.94, "policies": [s.to_dict() for s in scores()]}
    file = tmp_path / "agreement.json"
    file.write_text(json.dumps(old))
    script.main(["--again", "--result", str(file)])
    new = json.loads(file.read_text())
    assert {k: v for k, v in new.items() if "within" not in k} == old
    assert new["mmrv_within_tasks"] == pytest.approx((0 + (0.1 + 0.1 + 0) / 3) / 2, abs=1e-6)
    assert '"mmrv_within_tasks"' in capsys.readouterr().out


def test_the_result_that_the_docs_quote_holds_both_ways_to_take_mmrv(script):
    told = json.loads(script.RESULT.read_text())
    mean = sum(t["mmrv"] for t in told["by_task"].values()) / len(told["by_task"])
    assert told["mmrv_within_tasks"] == pytest.approx(mean, abs=1e-6)


def test_evaluations_that_are_there_are_taken_as_they_are(script, tmp_path, capsys):
    done, zeros = np.arange(10) < 4, np.zeros(10, int)
    played = Episodes(np.arange(10), zeros, done, 5 + zeros, done * 1.0, done * 0.9, done, zeros * 0.1)
    for i, number in enumerate((10, 10, 20)):
        config = EvaluationConfig(episodes=number)
        made = Evaluation(f"run/{i}", "point", ("open_drawer",), config, played, played)
        made.save(tmp_path / "work" / f"run_{i}" / "evaluations" / f"{i}.json")
    result = tmp_path / "agreement.json"
    script.main(["--found", str(tmp_path / "work"), "--episodes", "10", "--num-real", "4", "--result", str(result)])
    told = json.loads(result.read_text())
    assert [p["name"] for p in told["policies"]] == ["run/0", "run/1"]  # the third has other episodes
    assert told["episodes"] == 10
    with pytest.raises(SystemExit):
        script.main(["--found", str(tmp_path / "work"), "--episodes", "50", "--result", str(result)])
