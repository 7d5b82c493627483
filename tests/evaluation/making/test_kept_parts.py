import time

import pytest
import torch

from dreamgym.evaluation.making.kept_parts import Parts, fingerprint


def make():
    make.calls += 1
    return {"weight": torch.arange(3.0)}, {"f1": 0.5, "shape": (1, 2)}


@pytest.fixture(autouse=True)
def fresh():
    make.calls = 0


def test_a_part_is_made_once_for_a_key(tmp_path):
    first, second = (Parts(tmp_path)("rewards", {"epochs": 3}, make) for _ in range(2))
    assert make.calls == 1
    assert torch.equal(first[0]["weight"], second[0]["weight"])
    assert first[1] == second[1] == {"f1": 0.5, "shape": [1, 2]}  # as JSON has it, whether kept or not


def test_another_key_makes_it_anew(tmp_path):
    Parts(tmp_path)("rewards", {"epochs": 3}, make)
    Parts(tmp_path)("rewards", {"epochs": 4}, make)
    Parts(tmp_path)("rewards", {"epochs": 4}, make)
    assert make.calls == 2


def test_a_part_that_was_cut_short_is_made_anew(tmp_path):
    Parts(tmp_path)("rewards", {}, make)
    (tmp_path / "rewards" / "key.json").unlink()
    Parts(tmp_path)("rewards", {}, make)
    assert make.calls == 2


@pytest.mark.parametrize("content", [b"", b"\xff", b"[1]", b"{}", b"[" * 9999])
@pytest.mark.parametrize("name", ["key.json", "part.json", "tensors.safetensors"])
def test_a_part_that_is_damaged_is_made_anew(tmp_path, name, content):
    Parts(tmp_path)("rewards", {}, make)
    (tmp_path / "rewards" / name).write_bytes(content)
    Parts(tmp_path)("rewards", {}, make)
    assert make.calls == 2 - (name == "key.json" and content == b"{}")  # which is the key


def test_seconds_are_those_of_the_making(tmp_path):
    first, again = Parts(tmp_path), Parts(tmp_path)
    first("rewards", {}, lambda: time.sleep(0.1) or make())
    again("rewards", {}, make)
    assert again.seconds == first.seconds
    assert again.seconds["rewards"] >= 0.1


def test_a_part_of_which_an_entry_was_changed_is_made_anew(tmp_path):
    Parts(tmp_path)("rewards", {}, make)
    file = tmp_path / "rewards" / "part.json"
    file.write_text(file.read_text().replace("0.5", "0.7"))
    assert Parts(tmp_path)("rewards", {}, make)[1]["f1"] == 0.5
    assert make.calls == 2


def test_without_a_folder_nothing_is_kept():
    parts = Parts(None)
    parts("rewards", {}, make)
    parts("rewards", {}, make)
    assert make.calls == 2


def test_a_fingerprint_tells_tensors_apart():
    one = {"a": torch.zeros(2), "b": torch.ones(2)}
    assert fingerprint(one) == fingerprint({"b": torch.ones(2), "a": torch.zeros(2)})
    assert fingerprint(one) != fingerprint({"a": torch.zeros(2), "b": torch.tensor([1.0, 1.0 + 1e-6])})
    assert fingerprint(one) != fingerprint({"a": torch.ones(2), "b": torch.zeros(2)})
