"""LAC-WM: what the paper states, and what this family does that others do not."""

from dataclasses import replace

import pytest
import torch

from dreamgym.data import EpisodeStore, join
from dreamgym.suites.facts import store_facts
from dreamgym.training import checkpoint
from dreamgym.training.adapt import adapt
from dreamgym.training.encoders.masked import MaskedPrediction, MaskedPredictionConfig
from dreamgym.training.train import load_run, train
from dreamgym.types import ActionSpec
from dreamgym.world_models.families.latent_action import LatentActionConfig, LatentActionModel
from dreamgym.world_models.families.latent_action.augment import augmented
from dreamgym.world_models.families.latent_action.config import PAPER, Motion
from dreamgym.world_models.families.latent_action.loss import projected
from dreamgym.world_models.families.latent_action.motion import motion_labels
from dreamgym.world_models.families.latent_action.projector import ActionProjector
from dreamgym.world_models.families.latent_action.recipe import RECIPE
from dreamgym.world_models.recipe import FitConfig
from dreamgym.world_models.registry import recipe

ROBOTS = {"a": ActionSpec((-1.0,) * 3, (1.0,) * 3), "b": ActionSpec((0.0,) * 5, (2.0,) * 5)}
MOTION = Motion("state", tuple(range(9)), (9,), tuple(range(19, 28)))


def small(**changes) -> LatentActionConfig:
    facts_free = {k: v for k, v in RECIPE.example().changes.items() if k != "encoder"}
    given = {"robots": ROBOTS, "image": (3, 16, 16), "motion": MOTION, "decoder_blocks": 0, "horizon": 3, **facts_free}
    encoder = replace(LatentActionConfig(ROBOTS).encoder, image_size=16, grid=4)
    return LatentActionConfig(**{**given, "encoder": encoder, **changes})


def made(**changes) -> LatentActionModel:
    torch.manual_seed(0)
    model = LatentActionModel(small(**changes)).eval()
    torch.nn.init.normal_(model.fdm.out.weight, std=0.1)
    return model


def images(batch=2, steps=1):
    shape = (batch, steps, 3, 16, 16)
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def parameters(module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_the_papers_sizes():
    with torch.device("meta"):
        model = LatentActionModel(LatentActionConfig({"bfa": ActionSpec((-1.0,) * 25, (1.0,) * 25)}, **PAPER))
    # Table 4.
    assert parameters(model.decoder) == 153_845_952
    assert parameters(model.fdm) == 93_844_480
    assert 46_939_968 - parameters(model.idm) == 128
    hands = ActionSpec((-1.0,) * 138, (1.0,) * 138)  # A.2: both hands of EgoDex
    assert parameters(ActionProjector(hands, 5, model.config.projector_width, 64)) == 1_550_528
    assert model.config.encoder.tokens == 256 and model.config.encoder.token_dim == 1408
    assert (model.config.latent_dim, model.config.horizon, model.config.actions_per_frame) == (64, 8, 5)
    assert len(model.fdm.blocks) == 8 and len(model.idm.layers) == 4


def test_the_first_frame_does_not_see_the_second():
    model = made()
    tokens = model.encode(images(2, 3))
    one, two = (model.idm.contextual(tokens[:, 0], tokens[:, i]) for i in (1, 2))
    torch.testing.assert_close(one[:, 0], two[:, 0])
    assert not torch.allclose(one[:, 1], two[:, 1])


def test_latent_actions_have_unit_variance_and_tell_frames_apart():
    model = made()
    tokens = model.encode(images(2, 2))
    z = model.infer(tokens[:, 0], tokens[:, 1])
    torch.testing.assert_close(z.mean(-1), torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(z.std(-1, correction=0), torch.ones(2), atol=1e-2, rtol=0)
    assert not torch.allclose(z, model.infer(tokens[:, 1], tokens[:, 0]), atol=1e-3)


def test_robots_act_by_their_own_projectors_and_in_the_latent_space():
    model = made()
    state = model.start({"rgb_static": images()})
    assert model.spec.action == ROBOTS["b"]
    ends = {}
    for name, dim in (("a", 3), ("b", 5), ("latent", 8)):
        view = model.embody(name)
        assert view.spec.action.dim == dim
        ends[name] = view.features(view.imagine(state, torch.ones(2, 5, dim).cumsum(-1) * 0.1))
    assert not torch.allclose(ends["a"], ends["b"]) and not torch.allclose(ends["b"], ends["latent"])
    with pytest.raises(ValueError, match="knows no embodiment 'c'"):
        model.embody("c")


def test_a_window_is_projected_by_its_own_robot():
    model = made()
    actions = torch.rand(3, 2, 5, 5)
    batch = {"embodiment": torch.tensor([[1], [0], [1]])}
    z = projected(model, batch, actions)
    torch.testing.assert_close(z[1], model.project(actions[1, ..., :3], "a"))
    torch.testing.assert_close(z[2], model.project(actions[2], "b"))
    with pytest.raises(ValueError, match="robot number 2"):
        projected(model, {"embodiment": torch.tensor([[2], [0], [1]])}, actions)


def test_earlier_frames_count_with_temporal_attention_and_none_that_there_were_not():
    model = made()
    for block in model.fdm.blocks:
        torch.nn.init.normal_(block.temporal.out.weight)
    state = model.start({"rgb_static": images()})
    action = torch.rand(2, 5, 5)
    fresh = model.features(model.imagine(state, action))
    other = {**state, "tokens": state["tokens"].clone()}
    other["tokens"][:, 0] += 1  # a frame that there was not
    torch.testing.assert_close(model.features(model.imagine(other, action)), fresh)
    other["age"] = torch.full((2,), 3.0)
    assert not torch.allclose(model.features(model.imagine(other, action)), fresh)


@torch.no_grad()
def test_the_newest_frame_alone_is_the_last_of_all():
    model = made()
    tokens, latent = model.encode(images(2, 3)), torch.randn(2, 3, 8)
    torch.nn.init.normal_(model.fdm.out.weight)
    valid = torch.tensor([[False, True, True], [True, True, True]])
    every = model.fdm(tokens, latent, valid)
    torch.testing.assert_close(model.fdm(tokens, latent, valid, newest=True), every[:, -1:])


def test_untrained_it_predicts_no_change_and_uncertainty_is_the_latent_gap():
    model = LatentActionModel(small()).eval()
    state = model.start({"rgb_static": images()})
    assert model.uncertainty(state).tolist() == [0, 0]
    after = model.imagine(state, torch.rand(2, 5, 5))
    torch.testing.assert_close(model.features(after), model.features(state))
    assert (model.uncertainty(after) > 0).all()
    shown = model.decode(state, ["rgb_static"])["rgb_static"]
    torch.testing.assert_close(shown, images()[:, 0].float() / 255, atol=1e-5, rtol=0)


def test_motion_labels_are_changes_of_poses():
    rows = torch.zeros(1, 2, 31)
    rows[:, :, 3:9] = torch.tensor([1.0, 0, 0, 0, 1, 0])
    rows[:, :, 22:28] = torch.tensor([1.0, 0, 0, 0, 1, 0])
    rows[0, 1, :3] = torch.tensor([0.1, 0.0, -0.2])
    rows[0, 1, 3:9] = torch.tensor([0.0, 1, 0, -1, 0, 0])  # a quarter turn about z
    rows[0, 1, 9] = 0.5
    label = motion_labels(MOTION, rows)[0, 0]
    torch.testing.assert_close(label[:3], torch.tensor([0.1, 0.0, -0.2]))
    torch.testing.assert_close(label[3:9], torch.tensor([-1.0, 1, 0, -1, -1, 0]))
    assert label[9] == 0.5 and not label[10:].any() and len(label) == 19


def test_views_are_independent_and_frames_of_a_window_change_alike():
    frames = torch.rand(2, 3, 3, 16, 16).sort(1).values
    same = frames[:, :1].expand(-1, 3, -1, -1, -1)
    generator = torch.Generator().manual_seed(0)
    one, two = (augmented(same, 2, generator) for _ in range(2))
    torch.testing.assert_close(one[:, 0], one[:, 2])
    assert not torch.allclose(one, two)
    assert torch.equal(augmented(frames, 0, generator), frames)


def test_the_baseline_encodes_explicit_actions_and_infers_none():
    model = made(front="explicit")
    assert model.idm is None and model.motion is None
    stages = RECIPE.stages(model.config, FitConfig())
    assert [s.name for s in stages] == ["pretrain", "temporal"]
    assert "projectors.*" in stages[0].trains
    tokens = model.encode(images(1, 2))
    with pytest.raises(ValueError, match="no inverse dynamics"):
        model.infer(tokens[:, 0], tokens[:, 1])


@pytest.mark.parametrize(
    ("order", "names"),
    [("lac", ["inverse", "project", "joint"]), ("dft", ["joint"]), ("23", ["project", "joint"]),
     ("12", ["inverse", "joint"])],
)  # fmt: skip
def test_orders_of_adaptation(order, names):
    assert [s.name for s in RECIPE.stages(small(adaptation=order), FitConfig())] == names
    with pytest.raises(ValueError, match="does not fit front"):
        small(adaptation=order, front="explicit")


def test_a_small_encoder_of_ones_own_is_read_from_its_folder(tmp_path):
    MaskedPrediction(MaskedPredictionConfig(image_size=16, patch=4, width=24, layers=1, heads=2)).save(tmp_path)
    example = RECIPE.example()
    store = EpisodeStore.create(tmp_path / "store", example.keys, example.info)
    store.append(example.episodes)
    sizes = {k: v for k, v in example.changes.items() if k != "encoder"}
    told = {**sizes, "encoder": {"kind": "vjepa2", "source": str(tmp_path)}, "decoder_blocks": 1, "decoder_width": 16}
    config = RECIPE.config(store_facts(store), "tiny", told)
    assert (config.encoder.grid, config.encoder.token_dim, config.encoder.image_size) == (4, 24, 16)
    model = LatentActionModel(config)
    model.encoder.fetch()
    assert model.encode(images(2, 2)).shape == (2, 2, 16, 24)
    with pytest.raises(ValueError, match="no vjepa2 weights at 'nowhere'"):
        RECIPE.config(store_facts(store), "tiny", {**told, "encoder": {"kind": "vjepa2", "source": "nowhere"}})


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A short run on two robots' joined stores, and a store of a third robot."""
    pytest.importorskip("peft")
    folder, example = tmp_path_factory.mktemp("world"), RECIPE.example()
    stores = {}
    for name, dim in (("panda_joints", 8), ("ur5e_pose", 7), ("kinova3_position", 4)):
        info = {**example.info, "robot": name, "action": {"low": [-1.0] * dim, "high": [1.0] * dim}}
        store = EpisodeStore.create(folder / name, {**example.keys, "action": ((dim,), "float32")}, info)
        store.append([({**rows, "action": rows["action"][:, :dim]}, dict(meta)) for rows, meta in example.episodes])
        stores[name] = store
    join([folder / "panda_joints", folder / "ur5e_pose"], folder / "both")
    run = {"steps": 5, "log_every": 1, **example.settings}
    train(folder / "both", folder / "run", "latent_action", changes=example.changes, **run)
    checkpoint.save(folder / "dream", load_run(folder / "run"))
    return folder, run


def test_robots_are_joined_and_trained_together(world):
    folder, _ = world
    both = EpisodeStore.open(folder / "both")
    facts = store_facts(both)
    assert list(facts.robots) == ["panda_joints", "ur5e_pose"] and facts.action.dim == 8
    rows = both.episode(len(both) - 1)
    assert set(rows["embodiment"].tolist()) == {1} and not rows["action"][:, 7].any()
    model = checkpoint.load(folder / "dream").model
    assert list(model.spec.embodiments) == ["panda_joints", "ur5e_pose", "latent"]


def test_a_new_robot_is_learned_by_adapters_and_a_projector(world):
    folder, run = world
    result = adapt(folder / "dream", folder / "kinova3_position", folder / "adapted", **{**run, "steps": 12})
    assert result.step == 12
    before, after = checkpoint.load(folder / "dream").model, load_run(folder / "adapted")
    assert list(after.config.robots) == ["panda_joints", "ur5e_pose", "kinova3_position"]
    assert after.spec.action.dim == 4
    kept, now = before.state_dict(), after.state_dict()
    assert not any("lora" in name for name in now)
    same = {name for name in kept if torch.equal(kept[name], now[name])}
    assert {n for n in kept if n.startswith("projectors.")} <= same
    changed = kept.keys() - same
    assert (
        changed and all(name.startswith(("fdm.", "idm.")) for name in changed) and not any("feed" in n for n in changed)
    )
    assert any(".temporal." in name for name in changed)
    again = checkpoint.load(checkpoint.save(folder / "third", after)).model
    assert again.config == after.config


def test_what_does_not_fit_is_named(world):
    folder, run = world
    with pytest.raises(ValueError, match="the model knows"):
        adapt(folder / "dream", folder / "ur5e_pose", folder / "x", **run)
    with pytest.raises(ValueError, match="expected one of"):
        adapt(folder / "dream", folder / "kinova3_position", folder / "x", order="best", **run)
    facts = store_facts(EpisodeStore.open(folder / "kinova3_position"))
    with pytest.raises(ValueError, match="at 10.0 Hz"):
        RECIPE.adapted(load_run(folder / "run").config, replace(facts, frame_rate=10.0), None, None)
    with pytest.raises(ValueError, match="grounded by motion labels"):
        RECIPE.config(replace(facts, hints={}), "tiny", {})
    with pytest.raises(ValueError, match="reads 'rgb_static'"):
        state = {"state": facts.sensors["state"]}
        RECIPE.adapted(load_run(folder / "run").config, replace(facts, sensors=state), None, None)
    with pytest.raises(ValueError, match="has no 'state', whose poses"):
        camera = {"rgb_static": facts.sensors["rgb_static"]}
        RECIPE.adapted(load_run(folder / "run").config, replace(facts, sensors=camera), None, None)
    with pytest.raises(ValueError, match="know one robot"):
        recipe("mlp").adapted(None, facts, None, None)
