"""Places are asked before work whether they can be written to."""

import os
import stat
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from dreamgym.places import check_place, save_tensors


def test_a_place_that_can_be_written_to_is_left_as_it_was(tmp_path):
    assert check_place(tmp_path / "new" / "store") == tmp_path / "new" / "store"
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="Linux shows its processes as folders")
def test_a_place_that_takes_no_folder_is_refused_whoever_asks():
    with pytest.raises(ValueError, match=r"/proc cannot be written to \(.*\): choose another path"):
        check_place("/proc/store", replaced=False)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_of_somebody_elses_is_refused(tmp_path):
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(ValueError, match="cannot be written to"):
        check_place(tmp_path / "store")


@pytest.mark.parametrize("replaced", [True, False])
def test_what_stands_in_the_way_is_named(tmp_path, replaced):
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "nothing")
    with pytest.raises(ValueError, match="is a file, not a folder"):
        check_place(tmp_path / "file" / "store", replaced)
    with pytest.raises(ValueError, match="is a link to nothing"):
        check_place(tmp_path / "link", replaced)
    with pytest.raises(ValueError, match="a name of over"):
        check_place(tmp_path / ("x" * 300), replaced)


@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_tensors_are_for_whoever_may_read_new_files(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        save_tensors({"a": torch.zeros(2)}, tmp_path / "weights.safetensors")
    finally:
        os.umask(before)
    assert (tmp_path / "weights.safetensors").stat().st_mode & 0o777 == 0o666 & ~mask
    assert load_file(tmp_path / "weights.safetensors")["a"].tolist() == [0.0, 0.0]
