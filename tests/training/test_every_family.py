"""What every registered family's recipe promises, on its own example."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from dreamgym.data import EpisodeStore
from dreamgym.suites.facts import store_facts
from dreamgym.testing import check_world_model
from dreamgym.training import checkpoint
from dreamgym.training.fit import FitResult
from dreamgym.training.runs import read_run, run_config
from dreamgym.training.train import load_run, train
from dreamgym.world_models.recipe import FitConfig
from dreamgym.world_models.registry import build, family, family_names, recipe, register_family


def trainable(name: str) -> bool:
    try:
        recipe(name)
    except ValueError:
        return False
    return True


FAMILIES = [name for name in family_names() if trainable(name)]


@pytest.fixture(scope="module", params=FAMILIES)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def store(name: str, tmp_path_factory: pytest.TempPathFactory) -> EpisodeStore:
    return recipe(name).example().write(tmp_path_factory.mktemp(name) / "store")


def begin(name: str, store: EpisodeStore, run: Path, steps: int) -> FitResult:
    example = recipe(name).example()
    settings = {**example.settings, "log_every": 1, "steps": steps}
    return train(store.path, run, name, changes=example.changes, **settings)


@pytest.fixture(scope="module")
def run(name: str, store: EpisodeStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp(f"{name}_run")
    assert begin(name, store, path, 6).step == 6
    return path


def curve(run: Path) -> list[tuple[int, str, float]]:
    lines: list[dict[str, Any]] = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [(line["step"], line["stage"], line["loss"]) for line in lines if "loss" in line]


@pytest.mark.parametrize("reached", [1, 3, 5])
def test_a_resumed_run_follows_the_unbroken_curve(
    name: str, store: EpisodeStore, run: Path, tmp_path: Path, reached: int
) -> None:
    stages = recipe(name).stages(load_run(run).config, run_config(run, read_run(run) or {}))
    if len(stages) > 1 and any(stage.updates is None for stage in stages):
        pytest.skip("stages by shares move when a run is asked for more updates")
    begin(name, store, tmp_path, reached)
    train(store.path, tmp_path, steps=6, log_every=1)
    assert curve(tmp_path) == curve(run)
    whole = load_run(run).state_dict()
    assert all(torch.equal(value, whole[key]) for key, value in load_run(tmp_path).state_dict().items())


def test_it_saves_opens_and_keeps_the_contract(run: Path, tmp_path: Path) -> None:
    trained = load_run(run)
    opened = checkpoint.load(checkpoint.save(tmp_path / "dream", trained)).model
    assert all(torch.equal(value, trained.state_dict()[key]) for key, value in opened.state_dict().items())
    check_world_model(opened)


def test_presets_are_complete(name: str, store: EpisodeStore) -> None:
    made, facts = recipe(name), store_facts(store)
    assert {"paper", "tiny"} <= set(made.presets)
    for preset in made.presets:
        config = made.config(facts, preset, {})
        FitConfig(**made.preset(preset).fit)
        with torch.device("meta"):  # a preset may be larger than this machine, or want weights that are not here
            assert build(name, json.loads(json.dumps(config.to_dict()))).config == config
        assert set(made.keys(config)) <= set(store.keys)


def test_data_facts_come_from_the_store(name: str, store: EpisodeStore, run: Path) -> None:
    facts, spec = store_facts(store), load_run(run).spec
    assert spec.family == name
    assert spec.control == facts.action
    assert spec.frame_rate == facts.frame_rate
    assert all(facts.sensors[key] == sensor for key, sensor in spec.observations.items())


def test_changes_win_over_preset_and_store(name: str, store: EpisodeStore) -> None:
    made, facts = recipe(name), store_facts(store)
    changes = made.example().changes
    changed = json.loads(json.dumps(made.config(facts, "tiny", changes).to_dict()))
    assert {k: changed[k] for k in changes} == json.loads(json.dumps(dict(changes)))


def test_an_unknown_preset_names_the_known(name: str) -> None:
    with pytest.raises(ValueError, match=r"unknown preset 'huge'.*tiny"):
        recipe(name).preset("huge")


def test_a_family_without_a_recipe_says_what_to_do() -> None:
    bare = type("Bare", (family("rssm"),), {"family": "bare", "__module__": "somewhere.model"})
    register_family("bare", bare)
    with pytest.raises(ValueError, match=r"no recipe.*register_family\(\.\.\., recipe=\.\.\.\)"):
        recipe("bare")
