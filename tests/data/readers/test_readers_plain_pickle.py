"""Pickled .npy files: what numpy writes is read, and nothing that a file says can run, crash or fill the memory."""

from __future__ import annotations

import contextlib
import pickle
import pickletools
import random
import struct
import time
from pathlib import Path

import numpy as np
import pytest

from dreamgym.data.readers.plain_pickle import load_pickled_npy, load_plain

VALUE = {
    "a": np.arange(6.0).reshape(2, 3),
    "f": np.asfortranarray(np.arange(6, dtype=">i4").reshape(2, 3)),
    "b": [np.int64(4), "text", (1, None, True), np.float32(0.5), np.bool_(True), {"x": [-1, 2.5]}],
    "c": np.array([{}, "y"], object),
    "t": np.array(["ab", "cde"]),
    "same": [],
}
VALUE["again"] = [VALUE["a"], VALUE["same"], VALUE["same"]]


def write(file: Path, pickled: bytes) -> Path:
    with open(file, "wb") as stream:
        np.lib.format.write_array_header_1_0(stream, {"descr": "|O", "fortran_order": False, "shape": ()})
        stream.write(pickled)
    return file


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_what_numpy_pickles_is_read(tmp_path: Path, protocol: int) -> None:
    file = write(tmp_path / "x.npy", pickle.dumps(np.array(VALUE, dtype=object), protocol=protocol))
    found = load_pickled_npy(file)
    for key in ("a", "f", "t"):
        np.testing.assert_array_equal(found[key], VALUE[key])
        assert found[key].dtype == VALUE[key].dtype
    assert found["b"] == VALUE["b"]
    assert found["c"] == [{}, "y"]
    assert found["again"][0] is found["a"]
    assert found["again"][1] is found["again"][2] is found["same"]


def test_what_numpy_saves_is_read(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", VALUE)  # type: ignore[arg-type]
    np.testing.assert_array_equal(load_pickled_npy(tmp_path / "x.npy")["a"], VALUE["a"])


def array(shape: bytes, dtype: bytes, state: bytes, data: bytes) -> bytes:
    """The pickle of an array as numpy writes it, of the parts given."""
    head = b"\x80\x04cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R(K\x01"
    kind = b"cnumpy\ndtype\n" + dtype + b"\x89\x88\x87R" + state + b"b"
    return head + shape + kind + b"\x89" + data + b"tb."


TEXT = b"\x8c\x02f8"
PLAIN = b"(K\x03\x8c\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t"
EIGHT = b"C\x08" + struct.pack("<d", 2.5)


def test_the_hand_made_array_is_one() -> None:
    assert load_plain(array(b"K\x01\x85", TEXT, PLAIN, EIGHT)).tolist() == [2.5]


# Object pointers of the writer's choosing: an array of objects over raw bytes, and one whose dtype hides its objects.
FORGED = (
    array(b"K\x01\x85", b"\x8c\x02O8", PLAIN, EIGHT),
    array(b"K\x01\x85", b"\x8c\x02V8", PLAIN.replace(b"NNN", b"N\x8c\x01a\x85}\x8c\x01a\x8c\x01Os"), EIGHT),
    array(b"K\x01\x85", TEXT, PLAIN.replace(b"NNN", b"N]N"), EIGHT),
)
ENORMOUS = b"\x8a\x08" + struct.pack("<q", 10**17)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        *((forged, "no list of them|something else than") for forged in FORGED),
        (array(ENORMOUS + b"\x85", TEXT, PLAIN, EIGHT), "enormous size"),
        (array(b"J\xff\xff\xff\xff\x85", TEXT, PLAIN, EIGHT), "negative"),
        (array(b"J\x00\x00\x00\x10\x85", TEXT, PLAIN, EIGHT), "more or fewer entries than it has bytes"),
        (b"\x80\x04cos\nsystem\nX\x04\x00\x00\x00true\x85R.", "names os.system"),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", "names os.system"),
        (b"\x80\x02(X\x01\x00\x00\x00aios\nsystem\n.", "operation INST"),
        (b"\x80\x02cnumpy\nndarray\n)\x81.", "operation NEWOBJ"),
        (b"\x80\x02\x82\x01.", "operation EXT1"),
        (b"\x80\x05\x97.", "operation NEXT_BUFFER"),
        (b"\x80\x04}]K\x01s.", "dict whose keys"),
        (b"\x80\x04N(K\x01e.", "appends to a NoneType"),
        (b"\x80\x04t.", "never opened"),
        (b"\x80\x04K\x01K\x02.", "."),
        (b"\x80\x04\x85.", "more from its stack|does not hold together"),
        (b"\x80\x04h\x07.", "does not hold together"),
        (b"\x80\x04K\x01", "."),
        (b"", "."),
    ],
)
def test_what_is_forged_or_foreign_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_plain(data)
    with pytest.raises(ValueError, match=r"x.npy is refused: .*get it from where"):
        load_pickled_npy(write(tmp_path / "x.npy", data))


def test_a_few_bytes_do_not_become_a_long_text_or_a_long_wait() -> None:
    # A pair of twice the pair before, sixty times over: 2 ** 60 numbers in 240 bytes.
    pairs = b"K\x01" + b"".join(b"\x94h" + bytes([i]) + b"\x86" for i in range(60))
    begun = time.monotonic()
    load_plain(b"\x80\x04" + pairs + b".")
    as_a_key, as_a_name = b"}" + pairs + b"K\x01s.", pairs + b"\x8c\x01a\x93."
    for use in (as_a_key, as_a_name, array(pairs, TEXT, PLAIN, EIGHT), array(b"K\x01\x85", pairs, PLAIN, EIGHT)):
        with pytest.raises(ValueError) as refused:  # noqa: PT011 - which message does not matter
            load_plain(use if use[:1] == b"\x80" else b"\x80\x04" + use)
        assert len(str(refused.value)) < 200
    assert time.monotonic() - begun < 2


def test_a_damaged_file_never_ends_in_another_error(tmp_path: Path) -> None:
    whole = write(tmp_path / "x.npy", pickle.dumps(np.array(VALUE, dtype=object), protocol=4)).read_bytes()
    rng = random.Random(0)
    refused = 0
    for _ in range(800):
        data = bytearray(whole)
        for _ in range(rng.choice([1, 1, 2, 8])):
            data[rng.randrange(len(data))] = rng.randrange(256)
        (tmp_path / "y.npy").write_bytes(data[: rng.choice([len(data), rng.randrange(len(data))])])
        try:
            load_pickled_npy(tmp_path / "y.npy")
        except ValueError:
            refused += 1
    assert refused > 400


def test_every_operation_of_pickles_is_read_or_refused() -> None:
    for code in pickletools.opcodes:
        for rest in (b".", b"\x00\x00\x00\x00\x00\x00\x00\x00.", b"1\n1\n."):
            with contextlib.suppress(ValueError):
                load_plain(b"\x80\x04" + code.code.encode("latin1") + rest)
