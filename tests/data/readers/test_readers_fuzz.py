"""Damage anywhere in a foreign data set ends in a ValueError or in an episode, never in another error."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from foreign import write_lerobot_table
from test_readers_calvin import write_calvin

from dreamgym.data import EpisodeStore, cut_clips, join
from dreamgym.data.readers import read
from dreamgym.suites.facts import store_facts

pytest.importorskip("pyarrow")
pytest.importorskip("av")

SEEDS = pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2, 3))])


def damage(folder: Path, rng: random.Random) -> str:
    """Changes one file; returns which, and how."""
    file = rng.choice(sorted(f for f in folder.rglob("*") if f.is_file()))
    data, how = bytearray(file.read_bytes()) or bytearray(1), rng.choice(["flip", "cut", "zero", "digit", "empty"])
    if how == "flip":
        for _ in range(rng.choice([1, 3, 20])):
            data[rng.randrange(len(data))] = rng.randrange(256)
    elif how == "zero":
        begin = rng.randrange(len(data))
        data[begin : begin + 64] = bytes(len(data[begin : begin + 64]))
    elif how == "digit":
        for at in rng.sample([i for i, c in enumerate(data) if 48 <= c <= 57] or [0], 1):
            data[at] = rng.choice(b"0123456789")
    file.write_bytes(data[: rng.randrange(len(data))] if how == "cut" else b"" if how == "empty" else data)
    return f"{file.relative_to(folder)} {how}"


def refused(kind: str, whole: Path, place: Path, rounds: int, seed: int) -> int:
    """How many of so many damaged copies of a data set, made at ``place``, are refused with a ValueError."""
    rng, found = random.Random(seed), 0
    for _ in range(rounds):
        folder = Path(shutil.copytree(whole, place))
        told = damage(folder, rng)
        try:
            for _ in read(f"{kind}:{folder}"):
                pass
        except ValueError:
            found += 1
        except Exception as error:
            pytest.fail(f"{told}: {error!r}")
        shutil.rmtree(folder)
    return found


@SEEDS
@pytest.mark.parametrize("kind", ["lerobot", "calvin"])
def test_damage_ends_in_a_value_error(kind: str, seed: int, tmp_path: Path, table: list, record_property: Any) -> None:
    whole = tmp_path / "whole"
    if kind == "lerobot":
        write_lerobot_table(whole, table, ["push"] * len(table), fps=5)
    else:
        write_calvin(whole / "training", [(3, 8)], [("open_drawer", 4, 7)])
    found = refused(kind, whole, tmp_path / "damaged", 150, seed)
    record_property("tries", 150)
    record_property("refused", found)
    assert found > 75


@SEEDS
def test_damage_of_a_minari_data_set_ends_in_a_value_error(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Any
) -> None:
    pytest.importorskip("minari")
    from test_readers_minari import write_minari

    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    write_minari("test/box-v0", [3, 4], pictures=0)
    whole = tmp_path / "minari" / "test" / "box-v0"
    found = refused("minari", whole, tmp_path / "damaged", 80, seed)
    record_property("tries", 80)
    record_property("refused", found)
    assert found > 20


@SEEDS
def test_damage_of_a_store_ends_in_a_value_error(seed: int, tmp_path: Path, record_property: Any) -> None:
    """Rows that were changed where they lie are not noticed: a store has no checksums."""
    whole = tmp_path / "whole"
    store = EpisodeStore.create(whole, {"action": ((2,), "float32"), "seen": ((), "bool")}, info={"frame_rate": 5})
    for i in range(3):
        rows = {"action": np.full((4 + i, 2), i, np.float32), "seen": np.zeros(4 + i, bool)}
        store.append([(rows, {"split": "train", "task": "push"})])
    rng, refused = random.Random(seed), 0
    for _ in range(400):
        folder = Path(shutil.copytree(whole, tmp_path / "damaged"))
        told = damage(folder, rng)
        try:
            opened = EpisodeStore.open(folder)
            for i in range(len(opened)):
                assert {k: v.shape for k, v in opened.episode(i).items()} == {
                    k: (int(opened.lengths[i]), *shape) for k, (shape, _) in opened.keys.items()
                }
            store_facts(opened)
        except ValueError:
            refused += 1
        except Exception as error:
            pytest.fail(f"{told}: {error!r}")
        shutil.rmtree(folder)
    record_property("tries", 400)
    record_property("refused", refused)
    assert refused > 200


ODD = [
    None, True, 5, -3, 2.5, 1e308, float("nan"), 10**400, "x", "x" * 10_000, [], ["a"], [1, {}], [["a"]], {}, {"a": 5},
    {"low": [1]}, {"low": 5, "high": 5}, {"low": [0, 0], "high": [1, 1], "hold": [0]},
    {"low": [0, 0], "high": [1, 1], "binary": [7]}, {"low": [0, 0], "high": [float("nan"), 1]},
]  # fmt: skip


def write_told(folder: Path, info: dict[str, Any], meta: dict[str, Any]) -> None:
    """Changes a store's info, and the meta of its first episode, where they lie."""
    head, index = folder / "info.json", folder / "shards" / "00000000" / "index.json"
    described, episodes = json.loads(head.read_text()), json.loads(index.read_text())
    described["info"] |= info
    episodes["episodes"][0]["meta"] |= meta
    head.write_text(json.dumps(described))
    index.write_text(json.dumps(episodes))


@pytest.mark.parametrize("where", ["info", "meta"])
def test_entries_of_any_value_end_in_a_value_error(where: str, tmp_path: Path) -> None:
    """Of a store's info and of a meta, in all that reads them: opening, facts, joining, cutting clips."""
    info = {
        "robot": "a", "action": {"low": [0, 0], "high": [1, 1]}, "frame_rate": 5.0, "tasks": ["push"], "scene": "D",
    }  # fmt: skip
    whole = EpisodeStore.create(tmp_path / "whole", {"action": ((2,), "float32"), "state": ((3,), "float32")}, info)
    rows = {"action": np.full((4, 2), 0.5, np.float32), "state": np.zeros((4, 3), np.float32)}
    whole.append([(rows, {"split": "train", "task": "push"}), (rows, {"split": "val", "task": "push"})])
    other = Path(shutil.copytree(whole.path, tmp_path / "other"))
    write_told(other, {"robot": "b"}, {})
    refused = 0
    for name in ("suite", "robots", *info) if where == "info" else ("task", "split", "skills", "success"):
        for i, value in enumerate(ODD):
            path = Path(shutil.copytree(whole.path, tmp_path / f"{name}{i}"))
            write_told(path, **{"info": {}, "meta": {}, where: {name: value}})
            try:
                opened = EpisodeStore.open(path)
                store_facts(opened)
                join([path, other], path.with_suffix(".joined"))
                cut_clips(opened, path.with_suffix(".clips"), 4, progress=False)
            except ValueError:
                refused += 1
            except Exception as error:
                pytest.fail(f"{name} = {value!r:.80}: {error!r}")
    assert refused > 40


@pytest.fixture
def table() -> list:
    rng = np.random.default_rng(0)
    return [
        {"observation.state": rng.normal(size=(6, 3)).astype(np.float32), "action": rng.normal(size=(6, 2))}
        for _ in range(4)
    ]
