"""The paper's sizes, and configs that make no sense."""

import json
from dataclasses import replace

import pytest
from dreamgym_agents.warpd import DenoiserConfig, DenoisingConfig, TrainConfig, VAEConfig, WARPDConfig


def test_metaworld_has_the_sizes_of_table_12() -> None:
    config = WARPDConfig.paper("metaworld", 39, 4)
    assert (config.length, config.horizon, config.condition, config.hidden) == (500, 500, "task", (256, 256))
    assert (config.vae.latent, config.vae.encoder, config.vae.decoder) == (256, (512, 512, 512), (50, 50))
    assert (config.train.vae_epochs, config.train.diffusion_epochs, config.train.batch_size) == (100, 100, 32)


def test_pusht_has_the_sizes_of_table_11_and_snippets_as_long_as_the_horizon() -> None:
    config = WARPDConfig.paper("pusht", 5, 2, horizon=128)
    assert (config.length, config.horizon, config.condition) == (128, 128, "state")
    assert config.vae.kl_weight == 1e-10
    assert config.train.vae_epochs == 1000


def test_every_suite_has_the_figures_of_tables_9_to_12() -> None:
    figures = {
        # length, epochs of the VAE and of the diffusion, decoder, KL weight, task or state
        "locomotion": (1000, 150, 200, (100, 100), 1e-6, "task"),
        "adroit": (128, 20, 10, (100, 100), 1e-6, "task"),
        "pusht": (64, 1000, 1000, (400, 400), 1e-10, "state"),  # length: the horizon, as the text has it
        "robosuite": (64, 1000, 1000, (400, 400), 1e-10, "state"),
        "metaworld": (500, 100, 100, (50, 50), 1e-6, "task"),
    }
    for suite, (length, vae, diffusion, decoder, kl, condition) in figures.items():
        config = WARPDConfig.paper(suite, 17, 6)
        train = config.train
        assert (config.length, train.vae_epochs, train.diffusion_epochs) == (length, vae, diffusion), suite
        assert (config.vae.decoder, config.vae.kl_weight, config.condition) == (decoder, kl, condition), suite
        assert (train.batch_size, train.vae_lr, train.lr, config.vae.latent) == (32, 3e-4, 1e-4, 256), suite
        assert (config.hidden, config.vae.encoder) == ((256, 256), (512, 512, 512)), suite
        denoiser = config.diffusion.denoiser  # A.8.4: medium
        assert (denoiser.kind, denoiser.step_embed, denoiser.channels, denoiser.kernel) == (
            "unet", 256, (128, 256, 256), 5,
        ), suite  # fmt: skip


def test_denoisers_have_the_rows_of_tables_6_and_7() -> None:
    unets = {size: DenoiserConfig.unet(size) for size in ("xs", "s", "m", "l", "xl")}
    assert {k: (v.step_embed, v.channels, v.kernel) for k, v in unets.items()} == {
        "xs": (64, (16, 32, 64), 5), "s": (256, (32, 64, 128), 5), "m": (256, (128, 256, 256), 5),
        "l": (256, (256, 512, 1024), 5), "xl": (512, (512, 1024, 2048), 5),
    }  # fmt: skip
    transformers = {size: DenoiserConfig.transformer(size) for size in ("xs", "s", "m", "l", "xl")}
    assert {k: (v.step_embed, v.channels, v.layers, v.heads) for k, v in transformers.items()} == {
        "xs": (64, (64,), 3, 2), "s": (128, (128,), 4, 4), "m": (256, (256,), 6, 8),
        "l": (256, (512,), 8, 8), "xl": (512, (768,), 12, 12),
    }  # fmt: skip


def test_the_rollout_loss_waits_ten_epochs() -> None:
    assert WARPDConfig.paper("locomotion", 17, 6).vae.rollout_after == 10


def test_a_config_survives_json() -> None:
    config = WARPDConfig.paper("metaworld", 39, 4, tasks=("a", "b"), train=TrainConfig(grad_clip=1.0))
    assert WARPDConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_tiny_makes_a_config() -> None:
    assert WARPDConfig.tiny(3, 2, 20).policy_shape.num_parameters == 3 * 64 + 64 + 64 * 64 + 64 + 64 * 2 + 2


def test_without_the_world_model_is_one_flag() -> None:
    assert WARPDConfig.tiny(3, 2, 20).without_world_model().vae.rollout_after is None


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: WARPDConfig.paper("chess", 3, 2), "suite"),
        (lambda: DenoiserConfig.unet("xxl"), "size"),
        (lambda: DenoiserConfig(channels=(12,)), "groups"),
        (lambda: DenoiserConfig("transformer", 16, (10,), layers=1, heads=3), "heads"),
        (lambda: VAEConfig(decoder="huge"), "decoder"),  # type: ignore[arg-type]
        (lambda: DenoisingConfig(steps=10, inference_steps=20), "inference_steps"),
        (lambda: WARPDConfig(3, 2, 10, 5, condition="weather"), "condition"),
        (lambda: WARPDConfig(3, 2, 1, 5), "length"),
        (lambda: WARPDConfig(3, 2, 10, 5, tasks=("a", "a")), "tasks"),
        (lambda: replace(WARPDConfig(3, 2, 10, 5), vae=VAEConfig(latent=30)), "latent_channels"),
        (lambda: WARPDConfig.from_dict({"obs_dim": 3, "colour": 1}), "colour"),
    ],
)
def test_nonsense_is_refused(make, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        make()


def test_of_several_tasks_generation_is_told_which() -> None:
    tasks = ("lift", "can")
    assert WARPDConfig.tiny(3, 2, 8, tasks=tasks).condition == "state+task"
    assert WARPDConfig.paper("robosuite", 3, 2, tasks=tasks).condition == "state+task"
    assert WARPDConfig.paper("robosuite", 3, 2).condition == "state"
    with pytest.raises(ValueError, match="'state' tells nothing of which of 2 tasks is meant"):
        WARPDConfig.tiny(3, 2, 8, tasks=tasks, condition="state")
