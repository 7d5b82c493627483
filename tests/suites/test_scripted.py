import numpy as np
import pytest

from dreamgym.suites import suite
from dreamgym.suites.scripted import ScriptedEpisodes


def test_an_unknown_operator_is_named():
    with pytest.raises(ValueError, match="operators: pusht has"):
        ScriptedEpisodes(suite("pusht"), operators=("better",))


def test_initial_states_are_of_benchmarks_that_have_them():
    with pytest.raises(ValueError, match="initial_states: pusht has none of its own"):
        ScriptedEpisodes(suite("pusht"), initial_states=True)
    with pytest.raises(ValueError, match="those of libero are the Panda's, and robot is 'Sawyer'"):
        ScriptedEpisodes(suite("libero"), robot="Sawyer", initial_states=True)
    assert ScriptedEpisodes(suite("libero"), robot="Panda", initial_states=True).initial_states


def test_random_walks_are_not_demonstrations_unless_asked_for():
    assert ScriptedEpisodes(suite("robosuite")).operators == ("better", "okay", "worse")


def test_a_push_is_kept_with_its_marks_and_snapshots():
    pytest.importorskip("gym_pusht")
    made = ScriptedEpisodes(suite("pusht"), linger=4)(0)
    episode, meta = made.episode(2)
    again, _ = ScriptedEpisodes(suite("pusht"), linger=4)(0).episode(2)
    assert all(np.array_equal(episode[k], again[k]) for k in episode)
    assert meta["success"]
    assert (meta["suite"], meta["task"], meta["operator"], meta["split"]) == ("pusht", "push_t", "pusher", "val")
    assert meta["instruction"] == "push t"
    first = int(np.flatnonzero(episode["success"])[0])
    assert len(episode["success"]) == first + 4
    assert episode["state"].dtype == np.float32
    # The action of a row leads from its state to the next.
    made.env.restore(episode["snapshot"][5])
    assert np.allclose(made.env.step(episode["action"][5])[0]["state"], episode["state"][6], atol=0.5)


def test_random_walks_are_kept_whatever_comes_of_them_and_held_out_evenly():
    pytest.importorskip("gym_pusht")
    made = ScriptedEpisodes(suite("pusht"), operators=("random",), max_steps=15)(0)
    episode, meta = made.episode(1)
    assert len(episode["action"]) == 15
    assert meta["split"] == "val"
    assert [made.entry(i)[2] for i in range(20)].count("val") == 2


def test_a_clumsy_pusher_misses_more_often_than_not_and_is_kept():
    pytest.importorskip("gym_pusht")
    made = ScriptedEpisodes(suite("pusht"), operators=("clumsy",))(0)
    episodes = [made.episode(i) for i in range(8)]
    done = [meta["success"] for _, meta in episodes]
    assert {meta["tries"] for _, meta in episodes} == {1}
    assert 0 < sum(done) < 6
    # It pushes all the same: no random walk comes so far.
    turned = [np.abs(np.diff(e["state"][:, 2:4], axis=0)).sum() for e, _ in episodes]
    assert min(turned) > 50


def test_whole_episodes_have_one_length():
    pytest.importorskip("gym_pusht")
    made = ScriptedEpisodes(suite("pusht"), linger=None)(0)
    assert {len(made.episode(i)[0]["action"]) for i in (1, 2)} == {300}


def test_metaworlds_experts_take_turns_with_noisy_ones():
    pytest.importorskip("metaworld")
    made = ScriptedEpisodes(suite("metaworld"), tasks=("reach",))(0)
    assert [made.entry(i)[:2] for i in range(3)] == [("reach", "expert"), ("reach", "noisy"), ("reach", "expert")]
    episode, meta = made.episode(0)
    assert meta["success"]
    assert meta["tries"] == 1
    assert episode["success"].any()


def test_a_stray_comes_to_success_and_leaves_it():
    pytest.importorskip("metaworld")
    made = ScriptedEpisodes(suite("metaworld"), ("reach",), ("stray",), max_steps=200, linger=None)(0)
    changes = 0
    for i in range(3):
        episode, meta = made.episode(i)
        assert meta["success"]
        changes += int(np.diff(episode["success"].astype(int)).clip(max=0).sum())
    assert changes <= -1


def test_a_clumsy_hand_misses_and_hits_and_both_are_kept():
    pytest.importorskip("metaworld")
    made = ScriptedEpisodes(suite("metaworld"), ("dial_turn",), ("clumsy",), max_steps=100, snapshots=False)(0)
    found = [made.episode(i) for i in range(6)]
    assert {meta["success"] for _, meta in found} == {False, True}
    assert all(meta["tries"] == 1 and meta["success"] == rows["success"].any() for rows, meta in found)


def test_a_clumsy_operator_closes_beside_the_cube_and_tries_again():
    pytest.importorskip("robosuite")
    made = ScriptedEpisodes(suite("robosuite"), ("lift",), ("clumsy",), snapshots=False)(0)
    closings = []
    for i in range(2):
        rows, meta = made.episode(i)
        assert meta["tries"] == 1
        closed = rows["action"][:, 6] > 0
        at = np.flatnonzero(np.diff(closed.astype(int)) == 1)
        closings += [np.linalg.norm(rows["state"][k, 20:23]) for k in at]
    assert len(closings) > 3
    assert max(closings) > 0.02
    assert min(closings) < 0.02


def test_strays_are_not_demonstrations_unless_asked_for():
    assert ScriptedEpisodes(suite("metaworld")).operators == ("expert", "noisy")


def test_tasks_and_arms_are_known_before_anything_is_collected():
    with pytest.raises(ValueError, match="pusht has a robot of its own, got 'Sawyer'"):
        ScriptedEpisodes(suite("pusht"), robot="Sawyer")
    with pytest.raises(ValueError, match=r"robosuite has \['Panda', .*got 'Baxter'"):
        ScriptedEpisodes(suite("robosuite"), robot="Baxter")
    with pytest.raises(ValueError, match=r"tasks: pusht has \['push_t'\], got \['fly'\]"):
        ScriptedEpisodes(suite("pusht"), ("fly",))
    with pytest.raises(ValueError, match=r"nearest \['libero_goal', .*got \['libero_gaol'\]") as caught:
        ScriptedEpisodes(suite("libero"), ("libero_gaol",))
    assert len(str(caught.value)) < 500
