"""A state dict as torch.save writes it, written without torch.

The pickle is put together instruction by instruction: classes of torch would be needed to have Python's pickle name them. It
says {"state_dict": OrderedDict(…)}, as the released files do, and names three things, which torch.load(weights_only=True)
admits: collections.OrderedDict, torch._utils._rebuild_tensor_v2, and the kinds of storages.
"""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Mapping
from typing import BinaryIO

import numpy as np

from ...errors import InputError
from ..bfloat16 import to_bfloat16
from ..rawfile import bytes_of
from .state_pickle import BFLOAT16, STORAGES

_FOLDER = "archive/"  # torch's own choice
_ALIGNMENT = 64  # bytes; where torch lets storages begin, so that they can be mapped

_KINDS = {np.dtype(dtype): kind for kind, dtype in STORAGES.items() if kind != BFLOAT16}

_ORDERED_DICT = b"ccollections\nOrderedDict\n)R"  # GLOBAL, EMPTY_TUPLE, REDUCE


def write_torch(file: BinaryIO, arrays: Mapping[str, np.ndarray], bfloat16: bool = False, note: str | None = None) -> None:
    """Write {"state_dict": arrays} to an open file.

    bfloat16    of floating arrays; otherwise each has the kind of storage of its own dtype
    note        a text beside them, under "mvnp"

    Raises InputError for a dtype that torch has no storage for.
    """
    encode = _in_bfloat16 if bfloat16 else _plain
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        # The pickle comes first and says the kinds; of no numbers they are found without converting any.
        kinds = {key: encode(array[:0] if array.ndim else array)[0] for key, array in arrays.items()}
        _add(archive, file, "data.pkl", _pickle(arrays, kinds, note))
        _add(archive, file, "byteorder", b"little")
        for index, array in enumerate(arrays.values()):
            _add(archive, file, f"data/{index}", bytes_of(encode(array)[1]))
        _add(archive, file, "version", b"3\n")


def _plain(array: np.ndarray) -> tuple[str, np.ndarray]:
    """The kind of storage for an array, and its numbers, row-major and little-endian. Raises InputError where there is none."""
    kind = _KINDS.get(array.dtype.newbyteorder("="))
    if kind is None:
        raise InputError(f"torch's format has no storage for {array.dtype}; convert it first")
    return kind, array.astype(array.dtype.newbyteorder("<"), order="C", copy=False)


def _in_bfloat16(array: np.ndarray) -> tuple[str, np.ndarray]:
    return (BFLOAT16, to_bfloat16(array).astype("<u2", copy=False)) if array.dtype.kind == "f" else _plain(array)


def _add(archive: zipfile.ZipFile, file: BinaryIO, name: str, data: bytes | memoryview) -> None:
    entry = zipfile.ZipInfo(_FOLDER + name)  # from 1980: the same arrays, the same bytes
    # What stands before the data: 30 bytes, the name, 20 bytes of zip64 lengths, and a field of padding with 4 of its own.
    before = file.tell() + 30 + len(entry.filename) + 20 + 4
    padding = -before % _ALIGNMENT
    entry.extra = b"FB" + struct.pack("<H", padding) + b"Z" * padding
    with archive.open(entry, "w", force_zip64=True) as stream:
        stream.write(data)


def _pickle(arrays: Mapping[str, np.ndarray], kinds: Mapping[str, str], note: str | None) -> bytes:
    noted = b"" if note is None else _text("mvnp") + _text(note) + b"s"  # SETITEM
    parts = [b"\x80\x02}", noted, _text("state_dict"), _ORDERED_DICT, b"("]
    for index, (key, array) in enumerate(arrays.items()):
        parts += [_text(key), _tensor(str(index), kinds[key], array)]
    parts.append(b"us.")  # SETITEMS, SETITEM, STOP
    return b"".join(parts)


def _tensor(storage: str, kind: str, array: np.ndarray) -> bytes:
    """A call of _rebuild_tensor_v2: storage, offset, shape, strides, whether a gradient is wanted, hooks."""
    module, name = kind.split(" ")
    strides = [int(np.prod(array.shape[axis + 1 :], dtype=np.int64)) for axis in range(array.ndim)]
    reference = _tuple(_text("storage"), f"c{module}\n{name}\n".encode(), _text(storage), _text("cpu"), _number(array.size))
    arguments = _tuple(
        reference + b"Q",
        _number(0),
        _tuple(*map(_number, array.shape)),
        _tuple(*map(_number, strides)),
        b"\x89",
        _ORDERED_DICT,
    )
    return b"ctorch._utils\n_rebuild_tensor_v2\n" + arguments + b"R"


def _tuple(*items: bytes) -> bytes:
    return b"(" + b"".join(items) + b"t"


def _text(text: str) -> bytes:
    data = text.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def _number(number: int) -> bytes:
    return b"J" + struct.pack("<i", number) if number < 2**31 else b"\x8a\x08" + struct.pack("<q", number)
