import calvin_rssm
import torch
from fakes import FakeModel
from torch import Tensor

from dreamgym.world_models.families.rssm import RSSM
from dreamgym.world_models.probe import ProbeFitConfig, StateProbe, fit_probe, window_features

SMALL = {"deter": 32, "stoch": 4, "classes": 4, "units": 16, "embed": 16, "vector_units": 16, "ensemble_units": 4}


class Windows:
    """Windows whose drawer follows the actions, with both vectors."""

    def batch(self, step: int) -> dict[str, Tensor]:
        g = torch.Generator().manual_seed(step)
        action = torch.rand(16, 8, 7, generator=g) * 2 - 1
        drawer = 0.1 + 0.1 * torch.cat([torch.zeros(16, 1), action[:, :-1, 0].cumsum(1)], dim=1)
        robot, scene = torch.zeros(16, 8, 15), torch.zeros(16, 8, 24)
        robot[..., 0] = scene[..., 1] = drawer
        scene[..., 5] = (drawer > 0.1).float()
        static = torch.zeros(16, 8, 3, 8, 8, dtype=torch.uint8)
        return {"action": action, "robot_obs": robot, "scene_obs": scene, "rgb_static": static}


def model() -> RSSM:
    torch.manual_seed(0)
    m = RSSM(calvin_rssm.tiny(variant="state", **SMALL)).eval()
    m.fit_statistics({k: v.flatten(0, 1) for k, v in Windows().batch(0).items()})
    return m


def test_probe_reads_the_state_off_the_features_in_its_units() -> None:
    m = FakeModel()  # its features hold drawer and lights, each in a scale of its own
    probe = fit_probe(
        m, Windows(), {"scene_obs": calvin_rssm.SCENE_OBS}, ProbeFitConfig(60, lr=3e-3, units=32, imagined=0.0)
    )
    batch = Windows().batch(1000)
    features, frames = window_features(m, batch, 0.0, torch.Generator().manual_seed(0))
    read, truth = probe(features)["scene_obs"], batch["scene_obs"][:, frames]
    spread = (truth[..., 1] - truth[..., 1].mean()).abs().mean()
    assert read.shape == truth.shape
    assert (read[..., 1] - truth[..., 1]).abs().mean() < 0.2 * spread
    assert ((read[..., 5] > 0.5) == (truth[..., 5] > 0.5)).float().mean() > 0.95


def test_probe_teaches_the_model_nothing() -> None:
    m = model()
    before = {k: v.clone() for k, v in m.state_dict().items()}
    fit_probe(m, Windows(), {"scene_obs": calvin_rssm.SCENE_OBS}, ProbeFitConfig(2, units=8))
    assert all(torch.equal(v, before[k]) for k, v in m.state_dict().items())
    assert all(p.grad is None for p in m.parameters())


def test_probe_repeats_under_a_seed() -> None:
    config = ProbeFitConfig(2, units=8, seed=3)
    a, b = (fit_probe(model(), Windows(), {"scene_obs": calvin_rssm.SCENE_OBS}, config) for _ in range(2))
    assert all(torch.equal(v, b.state_dict()[k]) for k, v in a.state_dict().items())


def test_window_is_filtered_first_and_imagined_after() -> None:
    m, batch = model(), Windows().batch(0)
    changed = {k: v.clone() for k, v in batch.items()}
    changed["robot_obs"][:, 5:] += 1.0
    features, frames = (window_features(m, d, 0.5, torch.Generator().manual_seed(0)) for d in (batch, changed))
    # Eight frames, two of context, the last three imagined: what is observed from frame 5 on is never read.
    assert torch.equal(features[0], frames[0])
    assert features[1] == slice(1, 8, 1)
    assert features[0].shape == (16, 7, 48)


def test_probe_survives_its_config() -> None:
    probe = StateProbe(6, {"scene_obs": calvin_rssm.SCENE_OBS}, units=8)
    again = StateProbe.from_config(probe.to_config())
    again.load_state_dict(probe.state_dict())
    features = torch.rand(3, 6)
    assert torch.equal(again(features)["scene_obs"], probe(features)["scene_obs"])
