"""Scoring by a benchmark's own protocol, in the simulator alone."""

import json
import os

import pytest
import torch

from dreamgym.data import EpisodeStore
from dreamgym.evaluation.policies.fingerprint import fingerprint
from dreamgym.evaluation.policies.protocol import ProtocolConfig, find_tasks, run_protocol
from dreamgym.suites import store_facts, suite
from dreamgym.testing import point_mass  # noqa: F401  registers its suite


class Pace:
    """Goes right at a pace; decides on ``chunk`` actions at a time where that is given."""

    obs = "dict"

    def __init__(self, pace=0.8, chunk=None):
        self.pace, self.seen = pace, []
        if chunk:
            self.chunk = chunk

    def start(self, num_envs, generator):
        return None

    def begin(self, carry, fresh, tasks):
        return tasks[0]

    def act(self, obs, carry, fresh, generator):
        self.seen.append((carry, obs))
        action = torch.tensor([[self.pace, 0.0, -1.0]])
        return (action[:, None].expand(1, self.chunk, 3) if hasattr(self, "chunk") else action), carry


def test_a_task_is_scored_by_the_simulators_verdict():
    result = run_protocol(Pace(), "point_mass", ["reach_right", "reach_top"], ProtocolConfig(rollouts=3, horizon=30))
    assert all(1 <= n <= 30 for n in result.steps["reach_right"])
    assert result.steps["reach_top"] == [None] * 3
    told = json.loads(json.dumps(result.to_dict()))
    assert told["success_rate"] == 0.5
    assert told["tasks"]["reach_right"]["interval_95"][0] > 0.3


def test_chunks_end_at_the_step_of_success():
    single = run_protocol(Pace(), "point_mass", ["reach_right"], ProtocolConfig(rollouts=2))
    chunked = run_protocol(Pace(chunk=7), "point_mass", ["reach_right"], ProtocolConfig(rollouts=2))
    assert single.steps == chunked.steps
    assert single.steps["reach_right"][0] % 7


def test_a_policy_is_shown_sensors_and_told_the_task():
    policy = Pace()
    run_protocol(policy, "point_mass", ["reach_top"], ProtocolConfig(rollouts=1, horizon=2))
    task, obs = policy.seen[0]
    assert task == "reach_top" and len(policy.seen) == 2
    assert obs["rgb_static"].dtype == torch.uint8 and obs["rgb_static"].shape[-1] == 3
    assert obs["proprioception"].shape[0] == 1 and obs["state"].shape[1] >= obs["proprioception"].shape[1]


def test_a_score_tells_which_policy_it_is_of():
    config = ProtocolConfig(rollouts=1, horizon=2)
    told = run_protocol("random", "point_mass", ["reach_top"], config).to_dict()["provenance"]["hashes"]
    assert told == {"policy": fingerprint("random")}
    assert run_protocol(Pace(), "point_mass", ["reach_top"], config).provenance["hashes"] == {}


def test_rollouts_repeat_under_a_seed():
    runs = [run_protocol("random", "point_mass", ["reach_right"], ProtocolConfig(4, 40, seed)) for seed in (0, 0, 1)]
    assert runs[0].steps == runs[1].steps != runs[2].steps


def test_processes_change_nothing():
    config = ProtocolConfig(3, 40)
    alone = run_protocol("random", "point_mass", ["reach_right", "reach_top"], config)
    assert (
        run_protocol("random", "point_mass", ["reach_right", "reach_top"], config, num_workers=2).steps == alone.steps
    )


def test_an_error_in_a_process_is_the_callers():
    with pytest.raises(ValueError, match="unknown operator 'nobody'; point_mass has"):
        run_protocol("operator:nobody", "point_mass", ["reach_top"], ProtocolConfig(1, 1), num_workers=1)
    policy = Pace()
    policy.act = lambda obs, carry, fresh, generator: None
    with pytest.raises(ValueError, match="cannot be sent to the processes"):
        run_protocol(policy, "point_mass", ["reach_top"], ProtocolConfig(1, 1), num_workers=1)


def test_a_suites_operator_is_scored_as_a_policy_is():
    pytest.importorskip("gym_pusht")
    one, other = (run_protocol("operator:pusher", "pusht", config=ProtocolConfig(2, 200, 0)) for _ in range(2))
    assert one.policy == "operator:pusher" and one.success_rate > 0
    assert one.provenance["hashes"] == {}  # the commit tells
    assert one.steps == other.steps


def test_rollouts_are_kept_with_what_was_seen_and_done(tmp_path):
    config = ProtocolConfig(rollouts=2, horizon=30)
    result = run_protocol(Pace(), "point_mass", ["reach_right", "reach_top"], config, record=tmp_path / "store")
    store = EpisodeStore.open(tmp_path / "store")
    facts = store_facts(store)
    assert facts.suite is suite("point_mass") and facts.tasks == ("reach_right", "reach_top")
    assert [meta["task"] for meta in store.metas] == ["reach_right"] * 2 + ["reach_top"] * 2
    assert [meta["success"] for meta in store.metas] == [True, True, False, False]
    assert {meta["policy"] for meta in store.metas} == {"Pace"}
    assert store.lengths.tolist() == [*(n + 1 for n in result.steps["reach_right"]), 31, 31]
    first = store.episode(0)
    assert first["success"].tolist() == [False] * (len(first["action"]) - 1) + [True]
    assert first["action"][0].tolist() == pytest.approx([0.8, 0.0, -1.0])
    assert first["rgb_static"].dtype == "uint8"


def test_what_only_a_world_model_can_show_is_refused():
    policy = Pace()
    policy.obs = "features"
    with pytest.raises(ValueError, match="obs='dict'"):
        run_protocol(policy, "point_mass", config=ProtocolConfig(1, 1))
    planner = Pace()
    planner.bind = lambda core: None
    with pytest.raises(ValueError, match="--checkpoint"):
        run_protocol(planner, "point_mass", config=ProtocolConfig(1, 1))


def test_suites_and_sets_of_tasks_are_found_by_name():
    found, tasks = find_tasks("libero_goal")
    assert found is suite("libero") and len(tasks) == 10 and all(t.startswith("libero_goal/") for t in tasks)
    with pytest.raises(ValueError, match="libero_10"):
        find_tasks("libero_11")
    with pytest.raises(ValueError, match="fly"):
        find_tasks("point_mass", ["fly"])


def test_no_more_rollouts_than_initial_states():
    with pytest.raises(ValueError, match="50"):
        run_protocol("random", "libero_goal", config=ProtocolConfig(rollouts=51))


@pytest.mark.skipif("DREAMGYM_LIBERO_ASSETS" not in os.environ, reason="needs LIBERO's assets")
def test_libero_begins_at_its_own_initial_states():
    pytest.importorskip("robosuite")
    policy = Pace()
    policy.act = lambda obs, carry, fresh, generator: (policy.seen.append(obs), torch.zeros(1, 7))[1:] + (carry,)
    config = ProtocolConfig(2, 1, simulator={"image_size": 32})
    run_protocol(policy, "libero_goal", ["libero_goal/turn_on_the_stove"], config)
    env = suite("libero").make(task="libero_goal/turn_on_the_stove")
    for index, seen in enumerate(policy.seen):
        hanging, _ = env.reset(options={"init_state": index})
        obs, _ = suite("libero").begin(env, 0, {"init_state": index})
        assert (obs["scene_obs"][2:72:9] <= hanging["scene_obs"][2:72:9] + 1e-3).all()
        assert obs["scene_obs"][2] < hanging["scene_obs"][2] - 0.03  # the first thing has fallen
        assert torch.equal(seen["scene_obs"][0], torch.from_numpy(obs["scene_obs"]))
        assert seen["rgb_gripper"].shape == (1, 32, 32, 3)
    env.close()
