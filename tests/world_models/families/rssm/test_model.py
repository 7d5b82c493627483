import calvin_rssm
import pytest
import torch
from torch import Tensor

from dreamgym.world_models.families.rssm import RSSM, RSSMConfig
from dreamgym.world_models.families.rssm.loss import overshooting

SIZES = {
    "images": {"rgb_static": (3, 32, 32), "rgb_gripper": (3, 32, 32)},
    "deter": 24, "stoch": 4, "classes": 4, "units": 16, "embed": 16, "encoder_depth": 2, "decoder_depth": 2,
    "vector_units": 16, "ensemble_units": 4, "ensemble_dim": 8,
}  # fmt: skip
VARIANTS = ("vision", "hybrid", "state")


def tiny(variant: str = "hybrid", **changes: object) -> RSSM:
    torch.manual_seed(0)
    return RSSM(calvin_rssm.tiny(variant=variant, **{**SIZES, **changes}))


def batch(size: int = 4, steps: int = 6, seed: int = 0) -> dict[str, Tensor]:
    g = torch.Generator().manual_seed(seed)
    scene = torch.rand(size, steps, 24, generator=g)
    scene[..., 4:6] = scene[..., 4:6].round()
    return {
        "rgb_static": torch.randint(0, 256, (size, steps, 3, 32, 32), dtype=torch.uint8, generator=g),
        "rgb_gripper": torch.randint(0, 256, (size, steps, 3, 32, 32), dtype=torch.uint8, generator=g),
        "robot_obs": torch.rand(size, steps, 15, generator=g),
        "scene_obs": scene,
        "action": torch.rand(size, steps, 7, generator=g) * 2 - 1,
        "is_first": torch.zeros(size, steps, dtype=torch.bool),
    }


def history(model: RSSM, data: dict[str, Tensor]) -> dict[str, Tensor]:
    out = {k: data[k][:, :2] for k in model.spec.observations}
    return {**out, "action": data["action"][:, :1]}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_paper_features_are_2048_wide() -> None:
    with torch.device("meta"):
        model = RSSM(calvin_rssm.paper())
    assert model.spec.feature_shape == (2048,)
    assert model.features({"latent": model.dynamics.initial(3)}).shape == (3, 2048)


def test_parameter_counts_are_as_recorded() -> None:
    with torch.device("meta"):
        counts = {
            name: sum(p.numel() for p in RSSM(make(variant=variant)).parameters())
            for name, make, variant in [
                ("paper vision", calvin_rssm.paper, "vision"),
                ("tiny vision", calvin_rssm.tiny, "vision"),
                ("tiny hybrid", calvin_rssm.tiny, "hybrid"),
                ("tiny state", calvin_rssm.tiny, "state"),
            ]
        }
    assert counts == PARAMETERS


PARAMETERS = {"paper vision": 56_741_254, "tiny vision": 9_049_350, "tiny hybrid": 9_921_849, "tiny state": 3_140_211}


def test_paper_trains_one_small_step() -> None:
    model = RSSM(calvin_rssm.paper(images={"rgb_static": (3, 16, 16), "rgb_gripper": (3, 16, 16)}))
    data = {k: torch.nn.functional.avg_pool2d(v.flatten(0, 1).float(), 2).to(torch.uint8).unflatten(0, (1, 2))
            if v.dim() == 5 else v for k, v in batch(1, 2).items()}  # fmt: skip
    model.loss(data, generator())["loss"].backward()
    unreached = [n for n, p in model.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()]
    assert not unreached


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_parameter_is_trained(variant: str) -> None:
    model = tiny(variant)
    model.loss(batch(), generator())["loss"].backward()
    idle = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not idle


@pytest.mark.parametrize("variant", VARIANTS)
def test_overfits_one_batch(variant: str) -> None:
    model, data = tiny(variant, reset_prob=0.0, decode_fraction=1.0), batch(2, 4)
    for name in model.config.images:  # frames of one colour each: noise would need a larger decoder
        data[name] = data[name][..., :1, :1].expand_as(data[name])
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    losses = []
    for step in range(120):
        loss = model.loss(data, generator(step))["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.4 * losses[0]


def test_loss_repeats_under_a_seed() -> None:
    model, data = tiny(), batch()
    first, again, other = (model.loss(data, generator(s))["loss"].item() for s in (1, 1, 2))
    assert first == again
    assert first != other


def test_unrolled_training_filter_is_the_step_by_step_filter() -> None:
    model, data = tiny("state"), batch()
    obs = {k: data[k].flatten(0, 1) for k in model.config.inputs}
    embed = model.embed(obs).unflatten(0, (4, 6))
    previous = torch.cat([torch.zeros(4, 1, 7), data["action"][:, :-1]], dim=1)
    uniform = torch.rand(6, 4, 4)
    h, z, _ = model.dynamics.unroll(embed.transpose(0, 1), previous.transpose(0, 1), torch.ones(6, 4, 1), uniform)
    latent = model.dynamics.initial(4)
    for t in range(6):
        latent = model.dynamics.observe(latent, previous[:, t], embed[:, t], uniform[t])
        assert torch.allclose(torch.cat([h[t], z[t]], dim=1), latent, atol=1e-5)


def test_first_frame_of_an_episode_forgets_what_came_before() -> None:
    model, data = tiny("state", reset_prob=0.0, decode_fraction=1.0), batch()
    data["is_first"][:, 3] = True
    changed = {k: v.clone() for k, v in data.items()}
    changed["action"][:, :3] = 0.0
    changed["robot_obs"][:, :3] += 1.0

    def latents(d: dict[str, Tensor]) -> Tensor:
        seen = []
        hook = model.decoder.register_forward_pre_hook(lambda _, args: seen.append(args[0].detach()))
        model.loss(d, generator())
        hook.remove()
        return seen[0].view(4, 6, -1)

    assert torch.equal(latents(data)[:, 3:], latents(changed)[:, 3:])
    assert not torch.equal(latents(data)[:, :3], latents(changed)[:, :3])


def test_start_is_observing_from_nothing() -> None:
    model, data = tiny(), batch()
    started = model.start(history(model, data), generator())
    g, observed = generator(), {"latent": model.dynamics.initial(4)}
    action = torch.cat([torch.zeros(4, 1, 7), data["action"][:, :1]], dim=1)
    for t in range(2):
        observed = model.observe(observed, action[:, t], {k: data[k][:, t] for k in model.spec.observations}, g)
    assert torch.allclose(started["latent"], observed["latent"], atol=1e-5)


def test_unrolling_is_imagining_frame_by_frame() -> None:
    model, data = tiny(), batch()
    state = model.start(history(model, data), generator())
    frames = list(model.unroll(state, data["action"][:, :3], generator(7)))
    g, single = generator(7), state
    for t in range(3):
        single = model.imagine(single, data["action"][:, t], g)
        assert torch.equal(frames[t]["latent"], single["latent"])


def test_imagining_repeats_under_a_seed_and_differs_without() -> None:
    model, data = tiny(), batch(64)
    state = model.start(history(model, data), generator())
    a, b, c = (model.imagine(state, data["action"][:, 0], generator(s))["latent"] for s in (1, 1, 2))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_env_zero_does_not_touch_env_one() -> None:
    model, data = tiny(), batch()
    state = model.start(history(model, data), generator())
    action = data["action"][:, 1].clone()
    before = model.imagine(state, action, generator(3))["latent"]
    action[0] = -action[0]
    changed = {"latent": state["latent"].clone()}
    changed["latent"][0] = 0.5
    after = model.imagine(changed, action, generator(3))["latent"]
    assert torch.equal(before[1:], after[1:])
    assert not torch.equal(before[0], after[0])


def test_gradients_flow_through_imagined_steps() -> None:
    model, data = tiny(), batch()
    state = model.start(history(model, data), generator())
    state = {k: v.detach() for k, v in state.items()}
    actions = data["action"][:, :3].clone().requires_grad_()
    *_, last = model.unroll(state, actions, generator())
    model.features(last).square().sum().backward()
    assert actions.grad is not None
    assert (actions.grad.abs().sum((0, 2)) > 0).all()


def test_inputs_of_imagine_are_left_alone() -> None:
    model, data = tiny(), batch()
    state = model.start(history(model, data), generator())
    kept = state["latent"].clone()
    model.imagine(state, data["action"][:, 0], generator())
    assert torch.equal(state["latent"], kept)


@pytest.mark.parametrize("variant", VARIANTS)
def test_decodes_what_its_spec_names_in_the_layout_of_the_sensor(variant: str) -> None:
    model, data = tiny(variant), batch()
    state = model.start(history(model, data), generator())
    decoded = model.decode(state, model.spec.decodable)
    assert {k: v.shape for k, v in decoded.items()} == {k: data[k][:, 0].shape for k in model.spec.decodable}
    for name, value in decoded.items():
        assert value.dtype == torch.float32
        if data[name].dtype == torch.uint8:
            assert value.min() >= 0
            assert value.max() <= 1


def test_variants_read_and_decode_what_they_promise() -> None:
    cameras, vectors = ("rgb_static", "rgb_gripper"), ("robot_obs", "scene_obs")
    sensors = {v: (tuple(tiny(v).spec.observations), tiny(v).spec.decodable) for v in VARIANTS}
    assert sensors == {
        "vision": (cameras, cameras),
        "hybrid": ((*cameras, "robot_obs"), cameras + vectors),
        "state": (vectors, vectors),
    }


def test_undecodable_key_is_refused() -> None:
    model = tiny("vision")
    with pytest.raises(ValueError, match="cannot decode"):
        model.decode({"latent": model.dynamics.initial(1)}, ["scene_obs"])


def test_history_of_another_length_is_refused() -> None:
    model, data = tiny(), batch()
    with pytest.raises(ValueError, match="history of 2 frames"):
        model.start({k: data[k][:, :3] for k in [*model.spec.observations, "action"]})


def test_missing_and_misshapen_observations_are_refused() -> None:
    model, data = tiny(), batch()
    given = history(model, data)
    with pytest.raises(ValueError, match="'robot_obs' is missing"):
        model.start({k: v for k, v in given.items() if k != "robot_obs"})
    with pytest.raises(ValueError, match="rgb_static"):
        model.start({**given, "rgb_static": given["rgb_static"].movedim(2, -1)})


def test_uncertainty_is_non_negative_and_grows_off_the_data() -> None:
    model, data = tiny("state", reset_prob=0.0), batch(16, 8)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for step in range(150):
        loss = model.loss(data, generator(step))["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    state = model.start(history(model, data), generator())
    far = {"latent": torch.randn_like(state["latent"]).sign()}
    seen = model.uncertainty(model.imagine(state, data["action"][:, 1], generator()))
    assert seen.shape == (16,)
    assert (seen >= 0).all()
    assert model.uncertainty(far).mean() > 2 * seen.mean()


def test_ensemble_teaches_the_model_nothing() -> None:
    model = tiny("state")
    model.loss(batch(), generator())["loss"].backward()
    with_ensemble = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    losses = model.loss(batch(), generator())
    model.ensemble.weight.data.mul_(100.0)
    model.loss(batch(), generator())["loss"].backward()
    assert losses["ensemble"] > 0
    for name, p in model.named_parameters():
        if not name.startswith("ensemble"):
            assert p.grad is not None
            assert torch.allclose(p.grad, with_ensemble[name], atol=1e-4), name


def test_config_survives_json() -> None:
    import json

    config = calvin_rssm.tiny(variant="hybrid", **SIZES)
    assert RSSMConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"variant": "video"}, "variant must be one of"),
        ({"images": {"cam": (3, 50, 64)}}, "multiples of 16"),
        ({"decode_fraction": 0.0}, "decode_fraction"),
        ({"variant": "hybrid", "proprioception": ("pose",)}, "proprioception"),
    ],
)
def test_bad_config_is_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        calvin_rssm.tiny(**changes)


def test_image_weight_scales_that_cameras_error_alone() -> None:
    data, plain, heavy = batch(), tiny("vision"), tiny("vision", image_weights={"rgb_static": 4.0})
    heavy.load_state_dict(plain.state_dict())
    a, b = plain.loss(data, generator()), heavy.loss(data, generator())
    assert torch.allclose(b["rgb_static"], 4 * a["rgb_static"])
    assert torch.equal(b["rgb_gripper"], a["rgb_gripper"])


@pytest.mark.parametrize("weights", [{"rgb_top": 2.0}, {"rgb_static": 0.0}])
def test_image_weights_must_fit_the_cameras(weights: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="image_weights must be positive"):
        calvin_rssm.tiny(image_weights=weights)


def test_overshooting_is_a_part_of_the_loss_only_where_asked() -> None:
    data = batch(steps=8)
    plain, far = tiny("state"), tiny("state", overshoot=3, overshoot_scale=2.0)
    a, b = plain.loss(data, generator()), far.loss(data, generator())
    assert "overshoot" not in a
    parts = sum(v for k, v in b.items() if k not in ("loss", "kl", "overshoot"))
    assert torch.allclose(b["loss"], parts + 0.3 * b["kl"] + 2 * b["overshoot"], rtol=1e-4)


def test_overshooting_trains_the_dynamics_and_not_what_sees() -> None:
    model = tiny("state", overshoot=3)
    latent = torch.cat([torch.rand(8, 4, 24), torch.rand(8, 4, 16)], -1).requires_grad_()
    posterior = torch.randn(8, 4, 4, 4, requires_grad=True)
    action, reset = torch.rand(4, 8, 7), torch.zeros(4, 8, dtype=torch.bool)
    overshooting(model, latent, posterior, action, reset, generator()).backward()
    assert latent.grad is None and posterior.grad is None
    assert model.dynamics.prior_logits.weight.grad is not None
    assert model.dynamics.gates.weight.grad.abs().sum() > 0
    assert model.dynamics.posterior_logits.weight.grad is None


def test_no_overshooting_path_runs_across_a_restart() -> None:
    model, (t, b) = tiny("state", overshoot=3), (8, 4)
    latent, posterior = torch.rand(t, b, 40), torch.randn(t, b, 4, 4)
    action, reset = torch.rand(b, t, 7), torch.ones(b, t, dtype=torch.bool)
    assert overshooting(model, latent, posterior, action, reset, generator()) == 0
    reset[0, 4:] = False
    assert overshooting(model, latent, posterior, action, reset, generator()) > 0
