"""Fidelity, card and finish of families that no suite of ours knows: frames predicted jointly, two robots with five
actions a frame, instructions, and a store that names no suite."""

from dataclasses import replace

import pytest
import torch
from toy_stores import make_store, wander

from dreamgym.evaluation.making.card import write_card
from dreamgym.evaluation.making.fidelity import FidelityConfig, measure_fidelity
from dreamgym.evaluation.making.finish import finish_model
from dreamgym.evaluation.making.kept_parts import Parts
from dreamgym.evaluation.making.settings import FinishConfig
from dreamgym.testing.instructed_point import SENTENCES, InstructedPointModel
from dreamgym.testing.joint_point import JointPointModel
from dreamgym.testing.point_mass import PointMassEnv, PointMassModel
from dreamgym.testing.points import TASKS, PointConfig
from dreamgym.testing.two_robots import TwoRobotsEnv, TwoRobotsModel
from dreamgym.training.checkpoint import load

CONFIG = FidelityConfig(windows=8, steps=20, batch_size=4)
QUICK = FinishConfig(
    rewards={"epochs": 2, "batch_size": 8, "demo_passes": 1}, fidelity={"windows": 8, "steps": 10}, twin_per_task=0
)


def measure(model, store, config=CONFIG):
    return measure_fidelity(model, store.select(split="val"), store.select(split="train"), config)


def test_frames_that_are_predicted_jointly_cost_one_sampling_a_window(tmp_path):
    store = make_store(tmp_path / "s", PointMassEnv(), wander(3), {"suite": "joint_point"})
    calls = []

    class Counting(JointPointModel):
        def sample(self, state, actions, generator=None):
            calls.append(actions.shape[1])
            return super().sample(state, actions, generator)

    found = measure(Counting(), store, replace(CONFIG, openings=False))
    assert calls.count(20) == 2  # two batches of windows; the rest are single frames
    assert max(found.curves["position"].model) < 1e-5
    assert found.curves["lamp"].model == [1.0] * 20


@pytest.mark.parametrize("robot", ["cart", "crane"])
def test_a_robot_is_measured_by_its_own_actions_every_five_control_steps(robot, tmp_path):
    env = TwoRobotsEnv(robot=robot)
    info = {"suite": "two_robots", "robot": robot}
    store = make_store(tmp_path / "s", env, wander(env.action_space.shape[0]), info)
    found = measure(TwoRobotsModel(), store)
    assert found.actions_per_frame == 5
    assert found.curves["position"].steps == [5, 10, 15, 20]
    assert max(found.curves["position"].model) < 1e-5 < 0.01 < max(found.curves["position"].repeat)
    assert "| position error | **dream** | 0.00 cm | 0.00 cm | 0.00 cm |" in write_card(
        "toy", {"fidelity": found.to_dict()}
    )
    out = finish_model(TwoRobotsModel(), [store], tmp_path / "made", QUICK, parts=Parts(progress=False))
    opened = load(out)
    assert set(opened.spec.embodiments) == {"cart", "crane"}
    assert opened.spec.embodiment is None
    assert opened.starts["snapshot"].shape[0] > 0
    assert opened.metrics["fidelity"]["actions_per_frame"] == 5


def test_an_instruction_is_followed_for_one_clip(tmp_path):
    moves = ([0.5, 0, -1], [0, 0.5, -1], [0, 0, 1])
    store = make_store(
        tmp_path / "s", PointMassEnv(), lambda rng, i: lambda t: moves[i // 2 % 3], {"suite": "instructed_point"},
        episodes=12, length=21, metas=lambda i: {"task": TASKS[i // 2 % 3]},
    )  # fmt: skip
    found = measure(InstructedPointModel(), store)
    assert found.curves["position"].steps == [2, 4, 6, 8]  # four frames of two control actions
    assert max(found.curves["position"].model) < 1e-5 < 0.01 < max(found.curves["position"].repeat)
    assert "one_step_p50" not in found.uncertainty
    own = make_store(
        tmp_path / "own", PointMassEnv(), lambda rng, i: lambda t: moves[1], {"suite": "instructed_point"},
        metas=lambda i: {"instruction": SENTENCES[1]},
    )  # fmt: skip
    assert max(measure(InstructedPointModel(), own).curves["position"].model) < 1e-5  # the meta's own word wins
    nobody = make_store(
        tmp_path / "none", PointMassEnv(), wander(3), {"suite": "instructed_point"},
        metas=lambda i: {"task": "dance"},
    )  # fmt: skip
    with pytest.raises(ValueError, match="no episode follows an instruction of this model"):
        measure(InstructedPointModel(), nobody)
    with pytest.raises(ValueError, match="driven by instructions"):
        finish_model(InstructedPointModel(), [store], tmp_path / "made", QUICK)


def test_episodes_shorter_than_a_clip_are_predicted_as_far_as_they_go(tmp_path):
    store = make_store(
        tmp_path / "s", PointMassEnv(), lambda rng, i: lambda t: [0, 0.5, -1], {"suite": "instructed_point"},
        length=8, metas=lambda i: {"instruction": "go up"},
    )  # fmt: skip
    histories = []

    class Watched(InstructedPointModel):
        def start(self, history, generator=None, instruction=None):
            histories.append(history)
            return super().start(history, generator)

    found = measure(Watched(PointConfig(history=2)), store, replace(CONFIG, context=2, steps=8))
    assert found.curves["position"].steps == [2, 4]  # eight rows: two frames seen, two of the clip's four
    assert max(found.curves["position"].model) < 1e-5 < 0.01 < max(found.curves["position"].repeat)
    assert all(h["robot_obs"].shape[1] == 2 and h["action"].shape[1:] == (2, 3) for h in histories)
    seen = histories[0]
    assert bool((seen["action"][:, 0] == torch.tensor([0.0, 0.5, -1.0])).all())  # what the robot did in between
    moved = seen["robot_obs"][:, 1] - seen["robot_obs"][:, 0]
    assert torch.allclose(moved[:, 1], torch.tensor(0.1), atol=1e-5)
    longer = measure(Watched(PointConfig(history=1)), store, replace(CONFIG, context=3, steps=2))
    assert max(longer.curves["position"].model) < 1e-5
    assert histories[-1]["robot_obs"].shape[1] == 1


def test_a_store_without_a_suite_is_measured_in_standard_deviations_and_finished(tmp_path):
    info = {"action": {"low": [-1.0] * 3, "high": [1.0] * 3, "binary": [2], "hold": [0.0, 0.0, -1.0]}}
    store = make_store(tmp_path / "s", PointMassEnv(), wander(3), info)
    model = PointMassModel()
    with torch.no_grad():
        model.gain.mul_(0.8)
    found = measure(model, store)
    assert set(found.curves) == {"rgb_static", "robot_obs"}
    assert found.curves["robot_obs"].unit == "std"
    assert 0 < found.curves["robot_obs"].model[9] < found.curves["robot_obs"].repeat[9]
    assert not found.moving
    assert set(found.uncertainty) >= {"auroc_image", "auroc_vectors"}
    out = finish_model(model, [store], tmp_path / "made", QUICK, parts=Parts(progress=False))
    opened = load(out)
    assert opened.simulator is None
    assert set(opened.rewards) == {"success"}
    card = (out / "README.md").read_text()
    assert "| robot_obs, all entries that move | **dream** |" in card
    assert "## Twin rollouts" not in card


def test_histories_of_any_length_begin_an_opening(tmp_path):
    store = make_store(tmp_path / "s", PointMassEnv(), wander(3), {"suite": "joint_point"})
    for history in (1, 4):
        found = measure(JointPointModel(PointConfig(history=history)), store)
        assert max(found.openings["position"].model) < 1e-5
