"""CIFAR-10 and CIFAR-100 as they are distributed: the Python version and the binary version, unpacked.

    Python    data_batch_1 … data_batch_5, test_batch, batches.meta    or train, test, meta
              pickles of {"data": uint8 (n, 3072), "labels" or "fine_labels": [n numbers]}
    binary    data_batch_1.bin … test_batch.bin, batches.meta.txt      or train.bin, test.bin, fine_label_names.txt
              a picture: one byte (two: coarse and fine), the class, and 3072 bytes

3072 bytes are 32 x 32 pixels of red, then of green, then of blue.

A pickle is a program. These are read by the few of its instructions that it takes to build dicts, lists, strings, numbers and
uint8 arrays; any other ends it, and nothing that a file names is ever called.

Krizhevsky: Learning Multiple Layers of Features from Tiny Images (2009).
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ..errors import DataError
from .regular import is_regular, read_regular

FOLDERS = ("cifar-10-batches-py", "cifar-100-python", "cifar-10-batches-bin", "cifar-100-binary")
MOST_BYTES = 2**28  # of one file; the largest has 155 MB
SIDE, PIXELS = 32, 3 * 32 * 32

_Unpickler: Any = vars(pickle)["_Unpickler"]
_BATCHES = [f"data_batch_{number}" for number in range(1, 6)]
_AGAIN = "unpack the archive again"


def is_cifar(folder: Path) -> bool:
    """Whether a folder has the files of one of the four."""
    return _kind(folder) is not None


def read_cifar(folder: Path) -> tuple[tuple[str, ...], dict[str, tuple[np.ndarray, np.ndarray]]]:
    """Names of the classes, and {"train", "test": (uint8 (n, 32, 32, 3), int64 (n,))}. Raises DataError that names the file."""
    kind = _kind(folder)
    assert kind is not None, "asked by is_cifar before"
    read, train, test, names = kind
    parts = {"train": [read(folder / name) for name in train], "test": [read(folder / test)]}
    classes = _names(folder, names, read is _fine_pickled)
    joined = {}
    for part, found in parts.items():
        images, labels = (np.concatenate(arrays) for arrays in zip(*found, strict=True))
        if labels.min(initial=0) < 0 or labels.max(initial=0) >= len(classes):
            raise DataError(f"{folder}: labels of {part} go from {labels.min()} to {labels.max()}, for {len(classes)} classes")
        joined[part] = images, labels
    return classes, joined


def _kind(folder: Path) -> tuple[Callable[[Path], tuple[np.ndarray, np.ndarray]], list[str], str, str] | None:
    kinds = (
        (_pickled, _BATCHES, "test_batch", "batches.meta"),
        (_binary, [f"{name}.bin" for name in _BATCHES], "test_batch.bin", "batches.meta.txt"),
        (_fine_pickled, ["train"], "test", "meta"),
        (_fine_binary, ["train.bin"], "test.bin", "fine_label_names.txt"),
    )
    for kind in kinds:
        there = [name for name in (*kind[1], kind[2], kind[3]) if is_regular(folder / name)]
        if {kind[2], kind[3]} <= set(there):
            missing = [name for name in kind[1] if name not in there]
            if missing:
                raise DataError(f"{folder}: has {kind[2]}, but no {', '.join(missing)}; {_AGAIN}")
            return kind
    return None


def _pickled(file: Path, key: str = "labels") -> tuple[np.ndarray, np.ndarray]:
    content = _unpickled(file)
    data: Any = content.get("data")
    labels: Any = content.get(key)
    whole = (
        isinstance(data, np.ndarray) and data.shape[1:] == (PIXELS,) and isinstance(labels, list) and len(labels) == len(data)
    )
    if not whole or not len(data) or not all(type(label) is int and 0 <= label < 100 for label in labels):
        raise DataError(f"{file}: has no data of uint8 (n, {PIXELS}) with as many {key}; {_AGAIN}")
    return _pictures(data), np.array(labels, np.int64)


def _fine_pickled(file: Path) -> tuple[np.ndarray, np.ndarray]:
    return _pickled(file, "fine_labels")


def _binary(file: Path, coarse: int = 0) -> tuple[np.ndarray, np.ndarray]:
    content = np.frombuffer(_content(file), np.uint8)
    length = 1 + coarse + PIXELS
    if not len(content) or len(content) % length:
        raise DataError(
            f"{file}: has {len(content):,} bytes, expected a multiple of {length:,}, the bytes of a picture; {_AGAIN}"
        )
    rows = content.reshape(-1, length)
    return _pictures(rows[:, 1 + coarse :]), rows[:, coarse].astype(np.int64)


def _fine_binary(file: Path) -> tuple[np.ndarray, np.ndarray]:
    return _binary(file, coarse=1)


def _pictures(data: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(data.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1))


def _names(folder: Path, file: str, fine: bool) -> tuple[str, ...]:
    path = folder / file
    if path.suffix == ".txt":
        names: Any = _content(path).decode("utf-8", "replace").split("\n")
        names = [name.strip() for name in names if name.strip()]
    else:
        names = _unpickled(path).get("fine_label_names" if fine else "label_names")
    if not isinstance(names, list) or len(names) < 2 or not all(isinstance(name, str) for name in names):
        raise DataError(f"{path}: has no names of classes; {_AGAIN}")
    if len(set(names)) < len(names):
        raise DataError(f"{path}: a class is named twice; {_AGAIN}")
    return tuple(names)


def _content(file: Path) -> bytes:
    try:
        return read_regular(file, MOST_BYTES)
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror or error}); {_AGAIN}") from error
    except ValueError as error:
        raise DataError(f"{file}: cannot be read ({error}); {_AGAIN}") from error


def _unpickled(file: Path) -> dict[str, Any]:
    content = _content(file)
    try:
        found = _Reader(io.BytesIO(content), encoding="latin-1").load()
        found = {_text(key): value for key, value in found.items()}
        return {key: value.array() if isinstance(value, _Array) else _texts(value) for key, value in found.items()}
    except Exception as error:  # a damaged pickle makes its reader run into anything
        raise DataError(f"{file}: cannot be read as a file of CIFAR ({_why(error)}); {_AGAIN}") from error


def _why(error: Exception) -> str:
    strange = isinstance(error, KeyError)
    return (
        "it has an instruction that no file of CIFAR has; nothing of it was run"
        if strange
        else str(error) or type(error).__name__
    )


def _text(value: Any) -> Any:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _texts(value: Any) -> Any:
    return [_text(entry) for entry in value] if isinstance(value, list) else _text(value)


# What a pickled array names. They become these words, and are never looked up.
_RECONSTRUCT, _NDARRAY, _DTYPE, _ENCODE = "reconstruct", "ndarray", "dtype", "encode"
_GLOBALS = {
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _RECONSTRUCT for core in ("core", "_core")},
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): _DTYPE,
    ("_codecs", "encode"): _ENCODE,
}


class _Word:
    """A name of `_GLOBALS` on the stack: it has no method, and cannot be called."""

    def __init__(self, name: str) -> None:
        self.name = name


class _Dtype:
    """uint8, once its state has come too."""


class _Array:
    """A uint8 array to be."""

    shape: tuple[int, ...] = ()
    content = b""

    def array(self) -> np.ndarray:
        return np.frombuffer(self.content, np.uint8).reshape(self.shape)


class _Reader(_Unpickler):  # the one in Python: its table of instructions can be cut
    """Reads dicts, lists, tuples, strings, numbers and uint8 arrays."""

    def find_class(self, module: str, name: str) -> _Word:
        if (module, name) not in _GLOBALS:
            raise ValueError(f"it asks for {module}.{name}, and CIFAR has none; nothing of it was run")
        return _Word(_GLOBALS[module, name])

    def _reduce(self) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        name = function.name if isinstance(function, _Word) else None
        if name == _RECONSTRUCT:
            self.stack.append(_Array())
        elif name == _DTYPE and arguments[:1] in (("u1",), ("uint8",), (b"u1",)):
            self.stack.append(_Dtype())
        elif name == _ENCODE and isinstance(arguments[0], str) and arguments[1] in ("latin1", "latin-1"):
            self.stack.append(arguments[0].encode("latin-1"))
        else:
            raise ValueError("it calls something, and a file of CIFAR has nothing to call; nothing of it was run")

    def _build(self) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, _Dtype):
            return
        if not isinstance(target, _Array):
            raise ValueError("it builds something other than arrays")
        _, shape, kind, fortran, content = state
        content = content.encode("latin-1") if isinstance(content, str) else bytes(content)
        sides = isinstance(shape, tuple) and all(type(side) is int and side >= 0 for side in shape)
        if not isinstance(kind, _Dtype) or fortran or not sides or int(np.prod(shape, dtype=object)) != len(content):
            raise ValueError("one of its arrays is not uint8, or has other bytes than its shape says")
        target.shape, target.content = shape, content

    _OWN = (
        *("PROTO", "FRAME", "STOP", "MARK", "NONE", "NEWTRUE", "NEWFALSE", "POP", "POP_MARK", "DUP"),
        *("BININT", "BININT1", "BININT2", "INT", "LONG1", "BINFLOAT"),
        *("BINSTRING", "SHORT_BINSTRING", "STRING", "BINUNICODE", "SHORT_BINUNICODE", "UNICODE", "BINBYTES", "SHORT_BINBYTES"),
        *("BINBYTES8", "BINUNICODE8"),
        *("EMPTY_DICT", "EMPTY_LIST", "EMPTY_TUPLE", "DICT", "LIST", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"),
        *("APPEND", "APPENDS", "SETITEM", "SETITEMS"),
        *("PUT", "BINPUT", "LONG_BINPUT", "GET", "BINGET", "LONG_BINGET", "MEMOIZE", "GLOBAL", "STACK_GLOBAL"),
    )
    dispatch: ClassVar[dict[int, Any]] = {
        getattr(pickle, name)[0]: _Unpickler.dispatch[getattr(pickle, name)[0]] for name in _OWN
    }
    dispatch[pickle.REDUCE[0]] = _reduce
    dispatch[pickle.BUILD[0]] = _build
