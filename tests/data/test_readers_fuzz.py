"""Damage anywhere in a foreign data set ends in a ValueError or in an episode, never in another error."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest
from foreign import write_lerobot_table
from test_readers_calvin import write_calvin

from dreamgym.data.readers import read

pytest.importorskip("pyarrow")
pytest.importorskip("av")


def damage(folder: Path, rng: random.Random) -> str:
    """Changes one file; returns which, and how."""
    file = rng.choice(sorted(f for f in folder.rglob("*") if f.is_file()))
    data, how = bytearray(file.read_bytes()), rng.choice(["flip", "cut", "zero", "digit", "empty"])
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


@pytest.mark.parametrize("kind", ["lerobot", "calvin"])
def test_damage_ends_in_a_value_error(kind: str, tmp_path: Path, table: list) -> None:
    whole = tmp_path / "whole"
    if kind == "lerobot":
        write_lerobot_table(whole, table, ["push"] * len(table), fps=5)
    else:
        write_calvin(whole / "training", [(3, 8)], [("open_drawer", 4, 7)])
    rng, refused = random.Random(0), 0
    for _ in range(150):
        folder = Path(shutil.copytree(whole, tmp_path / "damaged"))
        told = damage(folder, rng)
        try:
            for _ in read(f"{kind}:{folder}"):
                pass
        except ValueError:
            refused += 1
        except Exception as error:
            pytest.fail(f"{told}: {error!r}")
        shutil.rmtree(folder)
    assert refused > 75


@pytest.fixture
def table() -> list:
    import numpy as np

    rng = np.random.default_rng(0)
    return [
        {"observation.state": rng.normal(size=(6, 3)).astype(np.float32), "action": rng.normal(size=(6, 2))}
        for _ in range(4)
    ]
