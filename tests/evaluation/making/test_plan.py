"""What the stores of a checkpoint are for."""

from pathlib import Path

import numpy as np
import pytest

from dreamgym.data import EpisodeStore
from dreamgym.evaluation.making.plan import role_of, stores_by_role


def store(path: Path, *metas: dict, marked: bool = True) -> EpisodeStore:
    keys = {"action": ((2,), "float32")} | ({"success": ((), "bool")} if marked else {})
    rows = {name: np.zeros((3, *shape), dtype) for name, (shape, dtype) in keys.items()}
    made = EpisodeStore.create(path, keys)
    made.append([(rows, meta) for meta in metas])
    return made


@pytest.mark.parametrize("kind", [None, "played", "evaluation"])
def test_an_episode_with_a_task_and_marks_is_a_demonstration(kind: str | None) -> None:
    meta = {"task": "reach"} if kind is None else {"task": "reach", "kind": kind}
    assert role_of(meta, marked=True) == "demonstration"
    assert role_of(meta, marked=False) == "play" == role_of({"kind": kind} if kind else {}, marked=True)


def test_stores_are_sorted_by_what_their_episodes_are(tmp_path: Path) -> None:
    both = store(tmp_path / "both", {"kind": "play"}, {"kind": "demonstration", "task": "reach"})
    near = store(tmp_path / "near", {"kind": "attempt", "task": "reach"})
    roles = stores_by_role([both, near])
    assert {role: (view.path, len(view)) for role, view in roles.items()} == {
        "play": (both.path, 1), "demonstration": (both.path, 1), "attempt": (near.path, 1),
    }  # fmt: skip


def test_two_stores_of_a_role_and_a_kind_that_is_none_are_refused(tmp_path: Path) -> None:
    one, two = (store(tmp_path / name, {"task": "reach"}) for name in ("one", "two"))
    with pytest.raises(ValueError, match="two stores of the role 'demonstration'.*dreamgym join"):
        stores_by_role([one, two])
    with pytest.raises(ValueError, match="kind must be one of .*'dance'"):
        role_of({"kind": "dance"}, marked=True)
