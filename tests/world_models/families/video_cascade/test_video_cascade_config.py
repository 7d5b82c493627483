import json
from typing import Any

import pytest
from small_video import ACTION, TASKS, small_config

from dreamgym.world_models.families.video_cascade import AutoencoderSize, BackboneSize, VideoCascadeConfig


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frames": 6}, r"frames=6.*4 k \+ 1 frames, as 5 or 9"),
        ({"frames": 3}, r"4 k \+ 1 frames, as 5 or 9"),
        ({"image": (3, 20, 16)}, "image of 20 x 16 pixels.*multiples of 8"),
        ({"low": (4, 8)}, "low of 4 x 8 pixels.*multiples of 8"),
        ({"low": (32, 32)}, "above the image's"),
        ({"tasks": {}}, "must have sentences"),
        ({"tasks": {"a": ("go",), "b": ("go",)}}, "each once"),
        ({"stages": ("refiner", "preview")}, "in that order"),
        ({"source": "pixels"}, "one of .*'latent', 'pixel', 'noise'"),
        ({"refiner_steps": 0}, "refiner_steps must be at least 1"),
        ({"degradation": 1.0}, r"degradation must lie in \[0, 1\)"),
        ({"guidance": 0.5}, "guidance >= 1"),
        ({"weights": "somewhere", "stages": ("preview",)}, "residual=True is of models trained from scratch"),
        ({"weights": "somewhere", "residual": False}, "stages are 'preview' and 'refiner'"),
    ],
)
def test_what_cannot_be_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small_config(**changes)


def test_sizes_that_do_not_divide_are_refused() -> None:
    with pytest.raises(ValueError, match="multiple of groups=8"):
        AutoencoderSize((12, 12), groups=8)
    with pytest.raises(ValueError, match="stride must be a power of 2"):
        AutoencoderSize((8, 8), groups=8, stride=4)
    with pytest.raises(ValueError, match="multiple of 16"):
        BackboneSize(head_dim=24)


def test_json_gives_it_back() -> None:
    config = small_config()
    assert VideoCascadeConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_a_clip_of_the_paper_spans_49_frames_at_both_resolutions() -> None:
    paper = VideoCascadeConfig.paper(TASKS, ACTION)
    assert (paper.frames, paper.latent_frames, paper.lora_rank, paper.steps, paper.refiner_steps) == (
        49,
        13,
        128,
        50,
        4,
    )
    assert paper.latent_size("low") == (60, 90)
    assert paper.latent_size("high") == (90, 160)


def test_a_tiny_clip_spans_an_episode_of_64_actions() -> None:
    tiny = VideoCascadeConfig.tiny(TASKS, ACTION)
    assert (tiny.frames, tiny.latent_frames, tiny.rows) == (17, 5, 65)
    assert tiny.latent_size("high") == (16, 16)
    assert tiny.latent_size("low") == (8, 8)
