from importlib.metadata import EntryPoint

import pytest
import torch
from fakes import FakeModel

from dreamgym.rewards import DecodedStateReward, build_reward, registry
from dreamgym.suites import suite

TASKS = suite("calvin").tasks


def at(**entries):
    scene = torch.zeros(1, 24)
    for name, value in entries.items():
        scene[0, {"slider": 0, "drawer": 1, "bulb": 4, "led": 5}[name]] = value
    return {"scene": scene, "robot": torch.zeros(1, 15), "unsure": torch.zeros(1)}


def score(reward, name, begin, now):
    model, task = FakeModel(), torch.tensor([TASKS.index(name)])
    return reward.probability(model, reward.start(model, begin, task), now, task).item()


def test_a_hard_reward_is_the_rule_on_the_decoded_scene():
    reward = DecodedStateReward("calvin", TASKS)
    assert score(reward, "open_drawer", at(drawer=0.05), at(drawer=0.18)) == 1
    assert score(reward, "open_drawer", at(drawer=0.05), at(drawer=0.16)) == 0
    assert score(reward, "turn_off_led", at(led=0.9), at(led=0.2)) == 1
    assert score(reward, "turn_off_led", at(led=0.1), at(led=0.2)) == 0


def test_a_soft_reward_rises_through_one_half_at_the_threshold():
    reward = DecodedStateReward("calvin", TASKS, softness=0.02)
    scores = [score(reward, "move_slider_left", at(), at(slider=x)) for x in (0.05, 0.15, 0.25)]
    assert scores == pytest.approx([0.0067, 0.5, 0.9933], abs=1e-3)


def test_a_model_that_cannot_decode_the_scene_is_refused():
    reward, model, task = DecodedStateReward("calvin", TASKS), FakeModel(scene=False), torch.zeros(1, dtype=torch.long)
    with pytest.raises(ValueError, match="scene_obs"):
        reward.start(model, at(), task)


def test_config_round_trip():
    again = build_reward("decoded", DecodedStateReward("calvin", TASKS[:2], softness=0.1).to_config())
    assert again.tasks == TASKS[:2]
    assert again.softness == 0.1
    assert again.to_config() == {"suite": "calvin", "tasks": list(TASKS[:2]), "softness": 0.1}


def test_a_config_of_before_suites_were_named_is_calvins():
    assert build_reward("decoded", {"tasks": list(TASKS), "softness": None}).suite == "calvin"


def test_a_suite_without_rules_and_a_task_without_one_are_refused():
    with pytest.raises(ValueError, match="'pusht' has no rules"):
        DecodedStateReward("pusht", ("push_t",))
    with pytest.raises(ValueError, match="fly"):
        DecodedStateReward("calvin", ("fly",))


def test_a_script_registers_its_reward_under_a_name_of_its_own(monkeypatch):
    monkeypatch.setattr(registry, "REWARDS", dict(registry.REWARDS))
    registry.register_reward("mine", DecodedStateReward.from_config)
    assert isinstance(build_reward("mine", DecodedStateReward("calvin", TASKS).to_config()), DecodedStateReward)
    with pytest.raises(ValueError, match="'success' comes with dreamgym; choose another name"):
        registry.register_reward("success", DecodedStateReward.from_config)


def test_an_installed_package_brings_its_reward(monkeypatch):
    entry = EntryPoint("mine", "dreamgym.rewards:DecodedStateReward.from_config", registry.GROUP)
    monkeypatch.setattr(registry, "REWARDS", dict(registry.REWARDS))
    monkeypatch.setattr(registry, "entry_points", lambda group, name: [entry] if name == "mine" else [])
    assert isinstance(build_reward("mine", DecodedStateReward("calvin", TASKS).to_config()), DecodedStateReward)
    with pytest.raises(ValueError, match="'theirs'.*entry point 'dreamgym.rewards'"):
        build_reward("theirs", {})
