"""`dreamgym fit`."""

import json
from pathlib import Path

import numpy as np
import pytest
from fakes import KEYS, episode

from dreamgym import cli
from dreamgym.data import EpisodeStore


def test_fit_takes_model_fields_and_refuses_strangers(tmp_path: Path) -> None:
    shapes = {k: KEYS[k] for k in ("robot_obs", "scene_obs", "action")}
    store = EpisodeStore.create(tmp_path / "play", shapes)
    whole = episode(np.random.default_rng(0), 12)
    store.append([({k: whole[k] for k in shapes}, {"split": "train"})])
    words = ["fit", "--store", str(store.path), "--family", "rssm", "--steps", "1", "--batch-size", "2"]
    words += ["--length", "6", "--run", str(tmp_path / "run"), "--set", "deter=16", "variant=state"]
    cli.main([*words, "units=8"])
    assert json.loads((tmp_path / "run" / "run.json").read_text())["model"]["deter"] == 16
    with pytest.raises(SystemExit, match="no field 'width'"):
        cli.main([*words, "width=8"])
