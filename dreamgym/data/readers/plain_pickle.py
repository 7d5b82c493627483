"""Reads a pickled .npy file without running what such a file may carry.

A pickle is a program for a stack machine. This one knows strings, numbers, None, lists, tuples and dicts, and what
numpy writes for its arrays, dtypes and scalars, which it builds itself from plain bytes: no name of the file is ever
imported, no object of the file is ever called, and every array is checked against the bytes that are there. Messages
show no value of the file: a few bytes of pickle can stand for a text of any length.
"""

from __future__ import annotations

import pickletools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from dreamgym.data.shards import NPY_ERRORS

MAX_BYTES: Final = 2**29
"""Largest file that is read; CALVIN's largest annotations take 36 MB."""

_DTYPE = re.compile(r"[<>|=]?([biuf][1248]|[US]\d{1,4}|O8?)")
# What numpy's pickles name, in numpy 1 and 2.
_NAMES: Final = {
    **{f"numpy.{core}.multiarray {name}": name for core in ("core", "_core") for name in ("_reconstruct", "scalar")},
    **{f"numpy.{core}.numeric _frombuffer": "_frombuffer" for core in ("core", "_core")},
    "numpy ndarray": "ndarray",
    "numpy dtype": "dtype",
}
_CONSTANTS: Final = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_LITERALS: Final = {
    *("INT", "LONG", "BININT", "BININT1", "BININT2", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
}
_EMPTY: Final[dict[str, Callable[[], Any]]] = {"EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_TUPLE": tuple}
_TUPLES: Final = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class _Name(NamedTuple):
    """One of `_NAMES`, as a word."""

    name: str


class _Blank:
    """An array or dtype that is not filled yet. Numpy fills it in the operation after the one that makes it."""

    def __init__(self, dtype: str | None = None) -> None:
        self.dtype = dtype  # None: an array
        self.memo: list[int] = []


_MARK: Final = object()


def load_pickled_npy(file: Path) -> Any:
    """The object in a .npy file that numpy.save pickled.

    Raises:
        ValueError: damaged, too large, or anything but arrays, numbers, strings, dicts, lists and tuples.
    """
    try:
        if file.stat().st_size > MAX_BYTES:
            raise ValueError(f"it has {file.stat().st_size} bytes, more than {MAX_BYTES}")
        with open(file, "rb") as stream:
            version = np.lib.format.read_magic(stream)
            read_header = (
                np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            )
            _, _, dtype = read_header(stream)
            if not dtype.hasobject:
                raise ValueError(f"it holds {dtype}, no pickled object")
            value = load_plain(stream.read())
    except NPY_ERRORS as error:
        raise ValueError(f"{file} is refused: {error}; get it from where the dataset came from") from error
    return value


def load_plain(data: bytes) -> Any:
    """The value of a pickle; an array of objects comes as a list, one without dimensions as its entry.

    Raises:
        ValueError: an operation that plain values need not, or one that does not fit.
    """
    machine = _Machine()
    try:
        for code, argument, _ in pickletools.genops(data):
            if code.name == "STOP":
                (value,) = machine.stack
                return value
            machine.run(code.name, argument)
    except (IndexError, KeyError, TypeError, UnicodeError, OverflowError) as error:
        raise ValueError(f"the pickle does not hold together ({error!r})") from error
    raise ValueError("the pickle has no end")


class _Machine:
    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def run(self, name: str, argument: Any) -> None:
        """One operation."""
        stack = self.stack
        if name in ("PROTO", "FRAME"):
            pass
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in _LITERALS:
            stack.append(argument)
        elif name in _EMPTY:
            stack.append(_EMPTY[name]())
        elif name in _TUPLES:
            stack.append(tuple(self._pop(_TUPLES[name])))
        elif name == "MARK":
            stack.append(_MARK)
        elif name in ("TUPLE", "LIST", "DICT"):
            items = self._to_mark()
            stack.append(tuple(items) if name == "TUPLE" else items if name == "LIST" else _pairs(items))
        elif name in ("APPEND", "APPENDS", "SETITEM", "SETITEMS"):
            self._extend(name)
        elif name in ("MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT"):
            self._remember(len(self.memo) if name == "MEMOIZE" else argument)
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(self.memo[argument])
        elif name in ("GLOBAL", "STACK_GLOBAL"):
            stack.append(_named(argument if name == "GLOBAL" else " ".join(self._pop(2))))
        elif name == "REDUCE":
            function, arguments = self._pop(2)
            stack.append(_made(function, arguments))
        elif name == "BUILD":
            self._fill(*self._pop(2))
        else:
            raise ValueError(f"it has the operation {name}, which plain values need not")

    def _pop(self, count: int) -> list[Any]:
        if len(self.stack) < count:
            raise ValueError("the pickle takes more from its stack than there is")
        taken = self.stack[-count:]
        del self.stack[-count:]
        return taken

    def _to_mark(self) -> list[Any]:
        at = next(i for i in range(len(self.stack) - 1, -2, -1) if i < 0 or self.stack[i] is _MARK)
        if at < 0:
            raise ValueError("the pickle closes what it never opened")
        items = self.stack[at + 1 :]
        del self.stack[at:]
        return items

    def _extend(self, name: str) -> None:
        items = self._to_mark() if name.endswith("S") else self._pop(1 if name == "APPEND" else 2)
        target = self.stack[-1]
        if name.startswith("APPEND"):
            if not isinstance(target, list):
                raise ValueError(f"it appends to a {type(target).__name__}")
            target.extend(items)
        else:
            if not isinstance(target, dict):
                raise ValueError(f"it sets items of a {type(target).__name__}")
            target.update(_pairs(items))

    def _remember(self, index: int) -> None:
        value = self.memo[index] = self.stack[-1]
        if isinstance(value, _Blank):
            value.memo.append(index)

    def _fill(self, blank: Any, state: Any) -> None:
        """Puts what `state` says in the place of a blank, on the stack and wherever it is remembered."""
        if not isinstance(blank, _Blank) or not isinstance(state, tuple):
            raise ValueError(f"it fills a {type(blank).__name__}, which is no array")
        value = _array(*state[1:]) if blank.dtype is None else _ordered(blank.dtype, state)
        self.stack.append(value)
        for index in blank.memo:
            self.memo[index] = value


def _named(words: str) -> _Name:
    if words not in _NAMES:
        raise ValueError(f"it names {words.replace(' ', '.')}, which no array needs")
    return _Name(_NAMES[words])


def _made(function: Any, arguments: Any) -> Any:
    """What a call of one of numpy's names gives."""
    if not isinstance(function, _Name) or not isinstance(arguments, tuple):
        raise ValueError(f"it calls a {type(function).__name__}")
    if function.name == "_reconstruct":
        return _Blank()
    if function.name == "dtype" and isinstance(arguments[0], str):
        return _Blank(arguments[0])
    if function.name == "scalar":
        dtype, data = arguments
        if isinstance(data, bytes):
            return _array((1,), dtype, False, data)[0].item()
    if function.name == "_frombuffer":
        data, dtype, shape, order = arguments
        if isinstance(data, bytes | bytearray):
            return _array(shape, dtype, order == "F", bytes(data))
    raise ValueError(f"it calls numpy.{function.name} with other arguments than numpy writes")


def _ordered(code: str, state: tuple[Any, ...]) -> np.dtype:
    """A plain dtype from its code and its state (version, byte order, then fields, which there may be none of)."""
    text = (state[1] if state[1] in ("<", ">") else "") + code
    if not _DTYPE.fullmatch(text) or any(part is not None for part in state[2:5]):
        raise ValueError("it has an array of something else than numbers, text or objects")
    return np.dtype("O" if code.startswith("O") else text)


def _array(shape: Any, dtype: Any, fortran: Any, data: Any) -> Any:
    """An array of numbers or text over ``data``; of objects the list of them, or the one where shape is ()."""
    if not isinstance(dtype, np.dtype) or not isinstance(shape, tuple) or len(shape) > 8:
        raise ValueError("it has an array without a shape or a dtype")
    count = 1
    for n in shape:
        if not isinstance(n, int) or not 0 <= n <= MAX_BYTES:
            raise ValueError("it has an array that declares a negative or an enormous size")
        count *= n
    if dtype.hasobject:
        if not isinstance(data, list) or len(data) != count or len(shape) > 1:
            raise ValueError("it has an array of objects that is no list of them")
        return data if shape else data[0]
    if not isinstance(data, bytes) or len(data) != count * dtype.itemsize:
        raise ValueError("it has an array that declares more or fewer entries than it has bytes")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")


def _pairs(items: list[Any]) -> dict[Any, Any]:
    keys = items[::2]
    if any(not isinstance(key, str | int) for key in keys):  # a tuple's hash may take for ever
        raise ValueError("it has a dict whose keys are neither text nor whole numbers")
    return dict(zip(keys, items[1::2], strict=True))
