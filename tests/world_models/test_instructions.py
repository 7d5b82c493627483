import numpy as np
import pytest
import torch
from fakes import KEYS, FakeModel, Listener, episode

from dreamgym.data import EpisodeStore, SequenceSampler
from dreamgym.suites.facts import store_facts
from dreamgym.testing import InstructedPointModel
from dreamgym.training.train import evaluation
from dreamgym.world_models.instructions import as_action, following, sentence, told, told_of

SPEC = Listener(("open the drawer", "turn on led", "lift_red")).spec
SUITE = {"open_drawer": "open the drawer"}


def test_an_episodes_own_words_count_first_then_its_tasks():
    assert sentence(SPEC, {"instruction": "turn on led", "task": "open_drawer"}, SUITE) == "turn on led"
    assert sentence(SPEC, {"instruction": "pull it", "task": "open_drawer"}, SUITE) == "open the drawer"
    assert sentence(SPEC, {"task": "turn_on_led"}, {}) == "turn on led"
    assert sentence(SPEC, {"task": "lift_red"}, {}) == "lift_red"
    assert sentence(SPEC, {"task": "open_drawer"}, {}) is None
    assert sentence(SPEC, {}, SUITE) is None


def test_what_a_model_does_not_know_is_refused_with_what_it_knows():
    with pytest.raises(ValueError, match=r"no instruction for \['an episode without a task', 'dance'\].*turn on led"):
        told(SPEC, [{"task": "open_drawer"}, {"task": "dance"}, {}], SUITE)


def test_a_model_that_takes_no_instruction_is_told_nothing():
    assert told(FakeModel().spec, [{"task": "anything"}], {}) is None


def test_sentences_of_a_model_that_they_drive_are_its_actions():
    spec = InstructedPointModel().spec
    assert told(spec, [{"task": "go_up"}], {}) == ["go up"]
    assert as_action(spec, ["light the lamp", "go right"], "cpu").tolist() == [2, 0]
    with pytest.raises(ValueError, match="recorded control actions are none"):
        as_action(spec, None, "cpu")
    assert as_action(SPEC, None, "cpu") is None


@pytest.fixture
def store(tmp_path):
    rng = np.random.default_rng(0)
    made = EpisodeStore.create(tmp_path / "store", KEYS)
    tasks = ("turn_on_led", None, "lift_red", "dance")
    made.append([(episode(rng, 30 + i), {"split": "val", "task": t}) for i, t in enumerate(tasks)])
    return made


def test_episodes_that_say_what_the_model_must_be_told(store):
    assert [m["task"] for m in following(SPEC, store).metas] == ["turn_on_led", "lift_red"]
    assert len(following(FakeModel().spec, store)) == 4
    assert told_of(SPEC, store, [2, 0]) == ["lift_red", "turn on led"]


def test_the_look_at_a_model_in_training_tells_each_window_what_its_episode_says(store):
    model = Listener(("turn on led", "lift_red"), history=2)
    look = evaluation(model, store_facts(store), store, list(model.spec.observations) + ["action"])
    look(model, 0)
    sampler = SequenceSampler(following(model.spec, store), 22, 16, seed=1)
    metas = following(model.spec, store).metas
    assert model.heard == [metas[i]["task"].replace("n_l", "n l").replace("n_on", "n on") for i in sampler.episodes(0)]
    assert len(set(model.heard)) == 2
    assert torch.equal(model.begun[0]["action"], sampler.batch(0)["action"][:, :1].clamp(-1, 1))
