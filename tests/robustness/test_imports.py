"""`dreamgym import` of damaged data sets: one clear line or episodes that are whole, and nothing lost on disk.

What was wrong is named; what came before it is in the store; and once the data set is whole, the same command goes on.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tyro")
pytest.importorskip("pyarrow")
pytest.importorskip("av")
pytest.importorskip("minari")

import pyarrow.parquet as pq
from test_readers_calvin import write_calvin
from test_readers_fuzz import damage
from test_readers_lerobot import TOP, picture, write_lerobot, write_video
from test_readers_minari import write_minari

from dreamgym import cli
from dreamgym.data import EpisodeStore

WORDS = {"lerobot": [], "calvin": [], "minari": ["--frame-rate", "10"]}
DATA = "data/chunk-000/file-001.parquet"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A small data set of each kind, of several files."""
    root = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MINARI_DATASETS_PATH", str(root / "minari"))
        write_minari("test/box-v0", [3, 4, 3], pictures=0)
    return {
        "lerobot": write_lerobot(root / "lerobot", [[4, 5], [3]]),
        "calvin": write_calvin(root / "calvin" / "training", [(3, 6), (9, 11)], [("open_drawer", 3, 5)]).parent,
        "minari": root / "minari" / "test" / "box-v0",
    }


def run(kind: str, folder: Path, store: Path) -> str:
    """What the command said as it ended: "" where all went well, else its one line."""
    try:
        cli.main(["import", f"{kind}:{folder}", "--store", str(store), *WORDS[kind]])
    except SystemExit as ended:
        said = str(ended.code)
        assert said.startswith("dreamgym: ")
        assert "\n" not in said
        return said
    return ""


def contents(path: Path) -> dict[str, dict[str, np.ndarray]]:
    """Every episode of a store, which must be readable, by its source."""
    if not (path / "info.json").exists():
        return {}
    store = EpisodeStore.open(path)
    assert not list(path.rglob(".tmp-*"))
    return {meta["source"]: store.episode(i) for i, meta in enumerate(store.metas)}


def same(one: dict[str, dict[str, np.ndarray]], other: dict[str, dict[str, np.ndarray]]) -> bool:
    return one.keys() == other.keys() and all(
        np.array_equal(value, other[source][key]) for source, rows in one.items() for key, value in rows.items()
    )


# ------------------------------------------------------------------ damage of one kind each


def video(frames: list[np.ndarray]) -> Callable[[Path], None]:
    return lambda folder: write_video(folder / "videos" / TOP / "chunk-000" / "file-001.mp4", frames)


def table(change: Callable[[dict[str, list]], None], file: str = DATA) -> Callable[[Path], None]:
    """A parquet file with other columns."""

    def apply(folder: Path) -> None:
        import pyarrow as pa

        read = pq.read_table(folder / file)
        columns = read.to_pydict()
        change(columns)
        kept = [field for field in read.schema if field.name in columns]
        pq.write_table(pa.table({f.name: pa.array(columns[f.name], f.type) for f in kept}), folder / file)

    return apply


def step(number: int, **changes: np.ndarray | None) -> Callable[[Path], None]:
    """A time step of CALVIN with other arrays, or without them."""

    def apply(folder: Path) -> None:
        file = folder / "training" / f"episode_{number:07d}.npz"
        arrays = {**np.load(file), **changes}
        np.savez_compressed(file, **{k: v for k, v in arrays.items() if v is not None})

    return apply


def gone(file: str) -> Callable[[Path], None]:
    return lambda folder: (folder / file).unlink()


def half(file: str) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        data = (folder / file).read_bytes()
        (folder / file).write_bytes(data[: len(data) // 2])

    return apply


def nan(columns: dict[str, list]) -> None:
    columns["action"][1] = [float("nan"), 0.0]


DAMAGE: dict[str, tuple[str, Callable[[Path], None], str, int]] = {
    # kind, what was done, what is said, episodes that are kept
    "a video shorter than its table": ("lerobot", video([picture(2, t) for t in range(2)]), "has no frame at", 2),
    "a video that is cut": ("lerobot", half(f"videos/{TOP}/chunk-000/file-001.mp4"), "damaged", 2),
    "a video that is gone": ("lerobot", gone(f"videos/{TOP}/chunk-000/file-001.mp4"), "is missing", 2),
    "a table that is cut": ("lerobot", half(DATA), "damaged", 2),
    "a table that is gone": ("lerobot", gone(DATA), "is missing", 2),
    "a column that is gone": ("lerobot", table(lambda c: c.pop("action")), "lacks ['action']", 2),
    "rows that are gone": ("lerobot", table(lambda c: [v.pop() for v in c.values()]), "2 frames of episode 2", 2),
    "a NaN in a row": ("lerobot", table(nan), "", 2),
    "no episodes": ("lerobot", gone("meta/episodes/chunk-000/file-000.parquet"), "no parquet file", 0),
    "no info": ("lerobot", gone("meta/info.json"), "is no LeRobot dataset", 0),
    "a step that is gone": ("calvin", gone("training/episode_0000010.npz"), "missing or damaged", 1),
    "a step that is cut": ("calvin", half("training/episode_0000010.npz"), "missing or damaged", 1),
    "an array that is gone": ("calvin", step(10, rel_actions=None), "has no ['rel_actions']", 1),
    "an array of another shape": ("calvin", step(10, rel_actions=np.zeros(6)), "episode_0000010.npz: 'rel_actions'", 1),
    "arrays of another shape all through": (
        "calvin",
        lambda folder: [step(n, rel_actions=np.zeros(6))(folder) for n in (9, 10, 11)] and None,
        "'rel_actions' has rows float64 [6], those of",
        1,
    ),
    "a NaN in a step": ("calvin", step(10, robot_obs=np.full(15, np.nan)), "", 1),
    "no list of recordings": ("calvin", gone("training/ep_start_end_ids.npy"), "is no CALVIN dataset", 0),
    "half a file": ("minari", half("data/main_data.hdf5"), "", 0),
    "no metadata": ("minari", gone("data/metadata.json"), "", 0),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_one_line_and_costs_no_other_episode(name: str, whole: dict[str, Path], tmp_path: Path) -> None:
    kind, spoil, told, kept = DAMAGE[name]
    folder, store = tmp_path / whole[kind].parent.name / whole[kind].name, tmp_path / "store"
    shutil.copytree(whole[kind], folder)
    run(kind, folder, tmp_path / "wanted")
    wanted = contents(tmp_path / "wanted")
    spoil(folder)
    said = run(kind, folder, store)
    assert told in said
    assert bool(said) != name.startswith("a NaN")  # which leaves the episode out, with a warning
    before = contents(store)
    assert len(before) == kept
    assert same(before, {source: wanted[source] for source in before})
    shutil.rmtree(folder)
    shutil.copytree(whole[kind], folder)
    assert run(kind, folder, store) == ""
    assert same(contents(store), wanted)


def fuzz(kind: str, whole: Path, tries: int, seed: int, tmp_path: Path) -> int:
    """How many of so many damaged data sets were refused; fails where one ended otherwise than it may."""
    rng, refused = random.Random(f"{kind} {seed}"), 0
    for number in range(tries):
        folder, store = tmp_path / "d" / whole.name, tmp_path / f"store{number}"
        shutil.copytree(whole, folder)
        what = damage(folder, rng)
        try:
            refused += bool(run(kind, folder, store))
            before = contents(store)
            shutil.rmtree(folder)
            shutil.copytree(whole, folder)
            if not run(kind, folder, store):
                after = contents(store)
                assert same(before, {source: after[source] for source in before})  # what is there stays
        except Exception as error:
            raise AssertionError(f"{kind}, seed {seed}, try {number}: {what}: {error!r}") from error
        shutil.rmtree(folder.parent)
        shutil.rmtree(store, ignore_errors=True)
    return refused


@pytest.mark.parametrize("kind", WORDS)
def test_any_damage_is_one_line_or_whole_episodes(kind: str, whole: dict[str, Path], tmp_path: Path) -> None:
    assert fuzz(kind, whole[kind], 6, 0, tmp_path) > 1


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", WORDS)
def test_much_damage_is_one_line_or_whole_episodes(
    kind: str, whole: dict[str, Path], tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    refused = fuzz(kind, whole[kind], 300, 1, tmp_path)
    record_property("tries", 300)
    record_property("refused", refused)
    assert refused > 50
