"""Episodes that are not alike: one error that names episode, key, what was expected and what came."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dreamgym.data import EpisodeStore
from dreamgym.data.readers import ImportConfig, import_dataset

CONFIG = ImportConfig({"action": "act", "top": "pic", "state": "pos"}, success="last:1")


def episode(**changes: Any) -> dict[str, Any]:
    whole = {"act": np.zeros((5, 2)), "pic": np.zeros((5, 20, 30, 3), np.uint8), "pos": np.zeros((5, 3))}
    return {key: value for key, value in {**whole, **changes}.items() if value is not None}


def run(path: Path, *episodes: dict[str, Any]) -> EpisodeStore:
    named = [(rows, {"source": f"mine:{i}"}) for i, rows in enumerate(episodes)]
    return import_dataset(named, path / "s", CONFIG, progress=False)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"act": np.zeros((5, 6))},
            r"mine:1: 'act' has rows float64 \[6\], those of mine:0 before it are float64 \[2\]",
        ),
        ({"pos": None}, r"mine:1 has no key 'pos'; it has \['act', 'pic'\]"),
        ({"pos": np.zeros((4, 3))}, r"mine:1: all arrays .* got \{'act': 5, 'pic': 5, 'pos': 4\}"),
        ({"pic": np.zeros((5, 20, 20, 3), np.uint8)}, r"'pic' has rows uint8 \[20, 20, 3\], .*uint8 \[20, 30, 3\]"),
        ({"pic": np.zeros((5, 20, 30, 1), np.uint8)}, r"'pic' has rows uint8 \[20, 30, 1\]"),
        ({"pic": np.zeros((5, 20, 30, 3))}, r"'pic' has rows float64 \[20, 30, 3\], .* uint8 \[20, 30, 3\]"),
        (
            {"act": [[0.0, 0.0]] * 4 + [[0.0]]},
            r"mine:1: 'act' must be numbers .* rows of one shape, got object, or ragged",
        ),
        ({"act": np.array(["left"] * 5)}, r"mine:1: 'act' must be numbers or booleans"),
        ({"pos": 1.0}, r"mine:1: 'pos' must be numbers .*, got a single float64"),
    ],
)
def test_a_ragged_episode_is_told_and_those_before_it_are_kept(tmp_path: Path, changes: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        run(tmp_path, episode(), episode(**changes))
    assert len(EpisodeStore.open(tmp_path / "s")) == 1


def test_images_of_one_ratio_are_resized(tmp_path: Path) -> None:
    store = run(tmp_path, episode(), episode(pic=np.full((5, 40, 60, 3), 7, np.uint8)))
    assert store.keys["top"][0] == (64, 64, 3) and (store.episode(1)["top"] == 7).all()


def test_an_episode_without_a_name_is_told_by_its_number(tmp_path: Path) -> None:
    pairs = [(episode(), {}), (episode(act=np.zeros((5, 3))), {})]
    with pytest.raises(ValueError, match=r"episode 1 of the reader: 'act' .* those of episode 0 of the reader"):
        import_dataset(pairs, tmp_path / "s", CONFIG, progress=False)
