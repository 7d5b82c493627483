"""Sizes of the paper's models, which can be built without memory: parameters, tokens and operations."""

import pytest
import torch
from small_video import ACTION, TASKS, small_config

from dreamgym.world_models.families.video_cascade import BackboneSize, VideoCascadeConfig
from dreamgym.world_models.families.video_cascade.autoencoder import VideoAutoencoder
from dreamgym.world_models.families.video_cascade.backbone import VideoBackbone
from dreamgym.world_models.families.video_cascade.cost import (
    backbone_flops,
    clip_cost,
    num_parameters,
    num_tokens,
)

PAPER = VideoCascadeConfig.paper(TASKS, ACTION)


def test_parameters_are_those_of_cogvideox() -> None:
    """5B-I2V has 5.57 billion in its transformer, 2B 1.69 billion, their autoencoder 216 million."""
    with torch.device("meta"):
        assert num_parameters(VideoBackbone(PAPER, PAPER.backbone, PAPER.weights)) == 5_570_479_680
        assert num_parameters(VideoBackbone(PAPER, PAPER.refiner, PAPER.refiner_weights)) == 1_693_906_752
        assert num_parameters(VideoAutoencoder(PAPER)) == 215_583_907


def test_adapters_sit_on_attention_feed_forward_and_norms() -> None:
    config = VideoCascadeConfig.paper(TASKS, ACTION, backbone=BackboneSize(layers=2))
    with torch.device("meta"):
        backbone = VideoBackbone(config, config.backbone, config.weights, config.lora_rank)
    assert num_parameters(backbone) - num_parameters(backbone, adapters=False) == lora_parameters(config)


def lora_parameters(config: VideoCascadeConfig) -> int:
    """rank x (inputs + outputs) of four projections, two feed-forward layers and two norms a block."""
    size, width = config.backbone, config.backbone.width
    layers = 4 * (2 * width) + 2 * (5 * width) + 2 * (size.time_dim + 6 * width)
    return size.layers * config.lora_rank * layers


def test_tokens() -> None:
    assert num_tokens(PAPER, "low") == 13 * 30 * 45 + 226
    assert num_tokens(PAPER, "high") == 13 * 45 * 80 + 226


def expected_flops(config: VideoCascadeConfig, size: BackboneSize, resolution: str) -> int:
    """One evaluation, by hand: 2 a multiply-add."""
    width, text, latent = size.width, config.text.length, config.autoencoder.latent_channels
    height, breadth = config.latent_size(resolution)
    seen = config.latent_frames * (height // size.patch) * (breadth // size.patch)
    tokens, pixels = seen + text, size.patch**2
    block = tokens * (4 * width**2 + 8 * width**2) + 2 * tokens**2 * width + 2 * size.time_dim * 6 * width
    ends = seen * pixels * (2 * latent * width + width * latent) + text * config.text.width * width
    time = width * size.time_dim + size.time_dim**2 + size.time_dim * 2 * width
    return 2 * (size.layers * block + ends + time)


@pytest.mark.parametrize("resolution", ["low", "high"])
def test_operations_of_an_evaluation_are_those_counted_by_hand(resolution: str) -> None:
    config = VideoCascadeConfig.paper(TASKS, ACTION, backbone=BackboneSize(layers=2))
    with torch.device("meta"):
        backbone = VideoBackbone(config, config.backbone)
        assert backbone_flops(backbone, config, resolution) == expected_flops(config, config.backbone, resolution)


def test_a_refined_clip_costs_a_preview_and_a_few_steps() -> None:
    config = small_config(steps=10, refiner_steps=2)
    cost = {name: clip_cost(config, name) for name in ("preview", "refined", "monolithic")}
    assert cost["refined"].denoising == cost["preview"].denoising == 10 * expected_flops(config, config.backbone, "low")
    assert cost["refined"].refining == 2 * expected_flops(config, config.refiner, "high")
    assert cost["monolithic"].denoising == 10 * expected_flops(config, config.backbone, "high")
    assert cost["preview"].refining == cost["monolithic"].refining == 0
    guided = clip_cost(small_config(steps=10, guidance=4.0), "preview")
    assert guided.denoising == 2 * cost["preview"].denoising


def test_the_papers_refined_clip_costs_less_than_a_quarter_of_the_monolithic_one() -> None:
    """By hand: 50 guided steps of 5B at 480p and 4 of 2B at 720p, against 50 guided steps of 5B at 720p."""
    low, high = (expected_flops(PAPER, PAPER.backbone, r) for r in ("low", "high"))
    refined = 100 * low + 4 * expected_flops(PAPER, PAPER.refiner, "high")
    assert 100 * high / refined == pytest.approx(4.44, abs=0.01)
