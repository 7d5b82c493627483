import numpy as np
import pytest
import torch
from fakes import FEATURES, KEYS, FakeModel, episode

from dreamgym.data import EpisodeStore
from dreamgym.rewards import SuccessConfig
from dreamgym.rewards.encode import encode
from dreamgym.rewards.fit import SuccessFitConfig, fit_success
from dreamgym.sims.calvin import scene_obs_success

TASKS = ("open_drawer", "turn_on_led")


def demonstration(rng, task, expert):
    action = np.zeros((24, 7), np.float32)
    action[:, 4:] = rng.uniform(-1, 1, 3)
    if task == "open_drawer":
        action[rng.integers(2, 6) :, 1] = rng.uniform(0.8, 1) if expert else 0.2
    else:
        action[rng.integers(4, 14) :, 3] = 1 if expert else 0.3
    scene = np.zeros(24)
    scene[0], scene[4] = rng.uniform(0, 0.28), rng.integers(2)
    made = episode(rng, 24, scene, action)
    return made | {"success": scene_obs_success(task, made["scene_obs"][:1], made["scene_obs"])}


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    rng, path = np.random.default_rng(0), tmp_path_factory.mktemp("rewards")
    demos = EpisodeStore.create(path / "demos", KEYS | {"success": ((), "bool")})
    for i in range(64):
        task, expert = TASKS[i % 2], i % 4 < 2
        meta = {"task": task, "split": "val" if i >= 48 else "train", "success": expert}
        demos.append([(demonstration(rng, task, expert), meta)])
    play = EpisodeStore.create(path / "play", KEYS)
    play.append([(episode(rng, 200), {"split": "train"}) for _ in range(4)])
    return demos, play


FIT = SuccessFitConfig(epochs=15, batch_size=32, learning_rate=3e-3, play_windows=32, play_steps=24)


@pytest.mark.parametrize("compare_start", [False, True])
def test_a_classifier_learns_the_tasks_and_says_how_well(stores, compare_start):
    config = SuccessConfig(TASKS, FEATURES, (32, 32), (16,), compare_start=compare_start)
    classifier, metrics = fit_success(FakeModel(), *stores, config, FIT)
    for name in TASKS:
        assert metrics["tasks"][name]["f1"] > 0.9, metrics["tasks"][name]
        assert metrics["tasks"][name]["f1_imagined"] > 0.9
        assert metrics["tasks"][name]["episode_f1"] == 1.0
        assert metrics["tasks"][name]["num_episodes"] == 8
    assert classifier.thresholds.tolist() == pytest.approx([metrics["tasks"][t]["threshold"] for t in TASKS])


def near_miss(rng):
    """The hand's path of a success, but the button is pressed short of the point where it gives."""
    action = np.zeros((24, 7), np.float32)
    action[:, 4:] = rng.uniform(-1, 1, 3)
    action[rng.integers(4, 14) :, 3] = 0.8
    made = episode(rng, 24, np.zeros(24), action)
    return made | {"success": scene_obs_success("turn_on_led", made["scene_obs"][:1], made["scene_obs"])}


def test_attempts_count_in_training_and_in_the_scores(stores, tmp_path):
    rng = np.random.default_rng(1)
    attempts = EpisodeStore.create(tmp_path / "attempts", KEYS | {"success": ((), "bool")})
    for i in range(12):
        meta = {"task": "turn_on_led", "split": "val" if i >= 8 else "train", "success": False}
        attempts.append([(near_miss(rng), meta)])
    config = SuccessConfig(TASKS, FEATURES, (8,), (8,))
    fit = SuccessFitConfig(epochs=1, batch_size=8, learning_rate=1e-3, demo_passes=1, play_windows=8, play_steps=16)
    without, with_ = (fit_success(FakeModel(), *stores, config, fit, attempts=a)[1] for a in (None, attempts))
    seen = 8 * (24 + 20)  # the training split, filtered, and imagined after four rows
    assert with_["frames"] - without["frames"] == seen
    counts = [m["tasks"]["turn_on_led"]["num_episodes"] for m in (without, with_)]
    assert counts == [8, 12]


def test_the_fit_repeats_under_its_seed(stores):
    config = SuccessConfig(TASKS, FEATURES, (8,), (8,))
    fit = SuccessFitConfig(epochs=1, batch_size=8, learning_rate=1e-3, play_windows=8, play_steps=16)
    a, b = (fit_success(FakeModel(noise=0.01), *stores, config, fit)[0].state_dict() for _ in range(2))
    assert all(torch.equal(a[k], b[k]) for k in a)


def test_demonstrations_without_a_success_are_refused(stores):
    demos = stores[0].select(lambda m: not m["success"])
    with pytest.raises(ValueError, match="no success of 'open_drawer'"):
        fit_success(FakeModel(), demos, None, SuccessConfig(TASKS, FEATURES), FIT)


def test_play_alone_is_no_demonstration(stores):
    with pytest.raises(ValueError, match=r"no frame of .open_drawer"):
        fit_success(FakeModel(), stores[1], None, SuccessConfig(TASKS, FEATURES), FIT)


def test_a_classifier_that_cannot_tell_is_warned_of(stores, caplog):
    demos, _ = stores
    fit = SuccessFitConfig(epochs=1, batch_size=4, learning_rate=1e-9, play_windows=0)
    _, metrics = fit_success(FakeModel(), demos, None, SuccessConfig(TASKS, FEATURES, (4,), (4,)), fit)
    bad = [t for t, m in metrics["tasks"].items() if min(m["f1"], m["f1_imagined"]) < 0.5]
    warned = [r.message for r in caplog.records if r.levelname == "WARNING"]
    assert bad
    assert all(any(f"cannot be trusted with {task!r}" in told for told in warned) for task in bad)


def test_paper_is_table_s4():
    fit = SuccessFitConfig.paper()
    assert (fit.epochs, fit.batch_size, fit.learning_rate) == (100, 32, 1e-6)


def test_an_exact_model_imagines_what_it_filters():
    made = episode(np.random.default_rng(1), 20)
    batch = {k: torch.from_numpy(v)[None] for k, v in made.items()}
    batch["rgb_static"] = batch["rgb_static"].movedim(-1, 2)
    for history in (1, 2):
        encoded = encode(FakeModel(history=history), batch, 5)
        assert encoded.posterior.shape == (1, 20, FEATURES)
        torch.testing.assert_close(encoded.prior, encoded.posterior[:, 5:])
    off = encode(FakeModel(slip=0.5), batch, 5)
    assert not torch.allclose(off.prior, off.posterior[:, 5:], atol=1e-3)


def test_a_mix_without_a_source_is_refused():
    with pytest.raises(ValueError, match="mix"):
        SuccessFitConfig(mix=(1.0, 1.0, 1.0, 0.0))
