import numpy as np
import pytest
import torch

from dreamgym.sims.calvin import scene_obs_success
from dreamgym.suites import suite

SUITE = suite("calvin")


def scenes(rng, count):
    scene = rng.uniform(0, 0.3, (count, 24)).astype(np.float32)
    scene[:, 4:6] = rng.integers(0, 2, (count, 2))
    return scene


def test_the_rules_agree_with_the_simulators_oracle_on_every_task():
    rng = np.random.default_rng(0)
    start, now = scenes(rng, 4000), scenes(rng, 4000)
    rules = SUITE.rules(SUITE.tasks, "cpu")
    tensors = [{"scene_obs": torch.from_numpy(x)} for x in (start, now)]
    for i, name in enumerate(SUITE.tasks):
        got = rules.progress(*tensors, torch.full((4000,), i)) > 0
        wanted = scene_obs_success(name, start, now)
        assert 0 < wanted.mean() < 1
        assert (got.numpy() == wanted).mean() > 0.9995, name  # float32 ties at the threshold
        np.testing.assert_array_equal(SUITE.succeeded(name, {"scene_obs": start}, {"scene_obs": now}), wanted)


def test_each_env_is_judged_by_its_own_task():
    start, now = torch.zeros(8, 24), torch.zeros(8, 24)
    start[:, 5] = 1.0  # LED on; the end has it off, and the drawer open
    now[:, 1] = 0.2
    done = SUITE.rules(SUITE.tasks, "cpu").progress({"scene_obs": start}, {"scene_obs": now}, torch.arange(8)) > 0
    assert [t for t, d in zip(SUITE.tasks, done, strict=True) if d] == ["open_drawer", "turn_off_led"]


def test_a_start_has_room_for_the_task():
    scene = np.zeros((1, 24))
    assert [t for t in SUITE.tasks if SUITE.startable(t, {"scene_obs": scene})[0]] == [
        "open_drawer",
        "move_slider_left",
        "turn_on_lightbulb",
        "turn_on_led",
    ]
    scene[0, [0, 1]] = 0.14, 0.12  # neither end has room
    assert not any(SUITE.startable(t, {"scene_obs": scene})[0] for t in SUITE.tasks[:4])


def test_an_unknown_task_is_named():
    with pytest.raises(ValueError, match="fly"):
        SUITE.rules(["open_drawer", "fly"], "cpu")


def test_the_simulator_of_a_recording_is_known_by_its_config():
    play = {"scene": "D", "image_size": 32, "visuals": "thin", "cameras": ["static"], "episode_steps": 9}
    wanted = {"scene": "D", "image_size": 32, "visuals": "thin", "cameras": ["static"]}
    assert SUITE.recorded_in({}, {"config": play}) == {"id": "calvin", "kwargs": wanted}
    assert SUITE.recorded_in({}, {"config": {"play": play}})["kwargs"] == wanted  # attempts
    assert SUITE.recorded_in({"scene": "A"}, {})["kwargs"] == {"scene": "A"}
    assert SUITE.recorded_in({}, {}) is None
