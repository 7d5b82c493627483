import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from fakes import KEYS, FakeModel, episode

from dreamgym.data import EpisodeStore
from dreamgym.evaluation.making.fidelity import FidelityConfig, measure_fidelity

CONFIG = FidelityConfig(windows=24, context=2, steps=20, batch_size=16)
MEASURES = {"drawer", "slider", "tcp", "bulb", "led"}
VECTORS = {"robot_obs", "scene_obs"}


@pytest.fixture(scope="module")
def play(tmp_path_factory):
    rng = np.random.default_rng(0)
    store = EpisodeStore.create(tmp_path_factory.mktemp("play"), KEYS)
    store.append([(episode(rng, 120), {"split": "val" if i > 3 else "train"}) for i in range(6)])
    return store


def measure(model, play, **kwargs):
    return measure_fidelity(model, play.select(split="val"), play.select(split="train"), CONFIG, **kwargs)


def test_an_exact_model_makes_no_error_and_beats_both_baselines(play):
    result = measure(FakeModel(), play)
    assert set(result.curves) == set(result.openings) == {"rgb_static"} | MEASURES | VECTORS
    assert set(result.moving) == MEASURES
    assert result.state_source == "decoded"
    for name, curve in result.curves.items():
        assert len(curve.model) == len(curve.repeat) == len(curve.mean) == 20
        held = {} if name == "rgb_static" else {"held": True}
        assert curve.beats() == {"repeat": True, "mean": True, **held}, name
    assert max(result.curves["drawer"].model) < 1e-6
    assert min(result.curves["bulb"].model) == 1
    assert min(result.curves["rgb_static"].model) == pytest.approx(60, abs=1)


def test_a_wrong_model_drifts(play):
    curve = measure(FakeModel(slip=0.5), play).curves["tcp"]
    assert curve.model[0] < curve.model[9] < curve.model[19]


def test_what_an_exact_model_reads_and_holds_is_the_repeated_state(play):
    curves = measure(FakeModel(), play).curves
    for name in ("drawer", "slider", "tcp", "bulb", "led"):
        np.testing.assert_allclose(curves[name].held, curves[name].repeat, atol=1e-6)


def test_a_model_that_misreads_holds_what_it_misread(play):
    class Misreading(FakeModel):
        def decode(self, state, keys=None):
            out = super().decode(state, keys)
            return {k: v + 0.3 if k == "scene_obs" else v for k, v in out.items()}

    wrong, exact = measure(Misreading(), play).curves["drawer"], measure(FakeModel(), play).curves["drawer"]
    assert wrong.held[0] > exact.held[0] + 0.2
    assert wrong.repeat == exact.repeat


def test_the_baselines_do_not_depend_on_the_model(play):
    a, b = (measure(FakeModel(slip=s), play).curves for s in (0.0, 0.5))
    for name in a:
        assert a[name].repeat == b[name].repeat
        assert a[name].mean == b[name].mean


def test_moving_frames_alone_are_harder_for_the_repeated_state(play):
    result = measure(FakeModel(), play)
    assert np.nanmean(result.moving["drawer"].repeat) > np.mean(result.curves["drawer"].repeat)
    assert np.nanmax(result.moving["led"].repeat) == 0  # a light that has changed is never as it was


def test_uncertainty_that_grows_with_the_error_is_recognised(play):
    uncertainty = measure(FakeModel(slip=0.5), play).uncertainty
    assert uncertainty["auroc_state"] > 0.6
    assert uncertainty["one_step_auroc_state"] > 0.6
    assert 0 < uncertainty["p50"] < uncertainty["p99"]


def test_a_seed_repeats_the_measurement(play):
    a, b = (measure(FakeModel(noise=0.05), play).to_dict() for _ in range(2))
    assert json.dumps(a) == json.dumps(b)


def test_steps_at_which_nothing_moved_are_null_in_json(play):
    text = json.dumps(measure(FakeModel(), play).to_dict(), allow_nan=False)
    assert json.loads(text)["windows"] == 24


def test_a_probe_states_the_drift_of_a_model_without_a_state_head(play):
    def probe(features):
        scene = torch.zeros(len(features), 24)
        scene[:, 0], scene[:, 1] = features[:, 0] * 0.28, features[:, 1] * 0.22
        return {"scene_obs": scene, "robot_obs": torch.zeros(len(features), 15)}

    result = measure(FakeModel(scene=False), play, probe=probe)
    assert result.state_source == "probe"
    assert max(result.curves["slider"].model) < 1e-6
    assert max(result.curves["tcp"].model) > 0.01
    assert measure(FakeModel(scene=False), play).state_source == "none"


def test_horizons_that_no_episode_reaches_are_left_out(play):
    found = measure_fidelity(FakeModel(), play, play, FidelityConfig(windows=4, steps=200))
    assert found.config.steps == found.curves["drawer"].steps[-1] == 50


def test_data_that_tell_nothing_are_refused_and_not_tabled(play, tmp_path):
    train = play.select(split="train")
    with pytest.raises(ValueError, match="no held-out episodes.*the longest of 0"):
        measure_fidelity(FakeModel(), play.select(split="test"), train, CONFIG)
    short = EpisodeStore.create(tmp_path / "short", KEYS)
    short.append([(episode(np.random.default_rng(0), 2), {"split": "val"})])
    with pytest.raises(ValueError, match="3 rows are needed, the longest of 1 has 2"):
        measure_fidelity(FakeModel(), short, short, CONFIG)

    class Blind(FakeModel):
        def __init__(self):
            super().__init__()
            self.spec = replace(self.spec, decodable=())

    with pytest.raises(ValueError, match="nothing of this model can be compared"):
        measure_fidelity(Blind(), play.select(split="val"), train, CONFIG)


def test_an_opening_is_seen_as_a_reset_shows_it(play):
    class Remembering(FakeModel):
        """Keeps what it was started with."""

        def start(self, history, generator=None, instruction=None):
            self.started = history
            return super().start(history, generator)

    model = Remembering(history=3)
    measure(model, play)
    first, action = model.started["scene_obs"], model.started["action"]
    assert torch.equal(first[:, 0], first[:, 2])  # one frame, repeated
    assert action.shape[1:] == (2, 7)
    assert not action.any()  # the hold action


def test_openings_can_be_left_out(play):
    sizes = {"windows": 24, "context": 2, "steps": 20, "batch_size": 16}
    train, held_out = play.select(split="train"), play.select(split="val")
    without = measure_fidelity(FakeModel(), held_out, train, FidelityConfig(**sizes, openings=False))
    assert not without.openings
    assert without.curves["drawer"].model == measure(FakeModel(), play).curves["drawer"].model
