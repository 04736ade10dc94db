"""The safetensors format: a header that is data, and arrays one after the other.

    8 bytes      length of the header, little-endian
    header       JSON: {name: {"dtype", "shape", "data_offsets"}}, and "__metadata__", a dict of strings
    data         the arrays, row-major and little-endian, with no gap before, between or after them

The header is checked in full before any memory is taken: each array must be as long as its shape says, and all of them
together must cover the file's data once. Then each is read straight into the memory that it will be used from. The file is
not mapped: weights that live in a file change, or are gone, when somebody writes to it.
"""

from __future__ import annotations

import json
import math
import os
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import CheckpointError
from .bfloat16 import from_bfloat16, to_bfloat16
from .damage import AGAIN, brief
from .rawfile import bytes_of, read_into

MAX_HEADER = 4 * 2**20  # bytes; that of the largest model has a seventh of a megabyte
MAX_ARRAYS = 20_000  # that model has 1,200, a run's checkpoint three times as many

# What NumPy has; bfloat16 is read into float32. The eight-bit floats and packed types of newer files are refused.
DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "<u2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "|i1",
    "U64": "<u8",
    "U32": "<u4",
    "U16": "<u2",
    "U8": "|u1",
    "BOOL": "|u1",
}
_KIND_OF = {np.dtype(dtype): kind for kind, dtype in DTYPES.items() if kind not in ("BF16", "BOOL")} | {np.dtype(bool): "BOOL"}

NOTES = "__metadata__"

_MAX_RANK = 64  # NumPy's own


@dataclass(frozen=True)
class Entry:
    """An array's line in the header: `begin` and `end` are counted from the end of the header."""

    name: str
    kind: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class Read:
    """What is in a file: arrays, its notes (the format's metadata), where asked for the checksum of each array's bytes, and
    {name: reason} of the arrays that cannot be read."""

    arrays: dict[str, np.ndarray]
    notes: dict[str, str]
    checksums: list[list[Any]]
    unreadable: dict[str, str]


def read_file(path: str | os.PathLike[str], wants_checksums: Callable[[dict[str, str]], bool]) -> Read:
    """A whole file. `wants_checksums` is asked with the notes: most files have nothing to compare checksums with.

    Raises CheckpointError for a damaged file. A kind of number that NumPy does not have is passed over, and noted.
    """
    if Path(path).is_dir():
        raise CheckpointError(f"{path} is a folder, expected a .safetensors file")
    try:
        with open(path, "rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            header = _header_bytes(file, size)
            entries, notes = _parsed(header, size - 8 - len(header))
            with_checksums = wants_checksums(notes)
            arrays, checksums, unreadable = {}, [], {}
            for entry in entries:
                if entry.kind not in DTYPES:
                    unreadable[entry.name] = (
                        f"has dtype {entry.kind[:20]!r}, expected one of {', '.join(DTYPES)}; convert it first"
                    )
                    file.seek(entry.end - entry.begin, os.SEEK_CUR)
                    continue
                raw = _empty(entry)
                read_into(file, raw)
                if with_checksums:
                    checksums.append([entry.name, entry.kind, list(entry.shape), zlib.crc32(bytes_of(raw))])
                arrays[entry.name] = _decoded(entry, raw)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    return Read(arrays, notes, sorted(checksums), unreadable)


def _header_bytes(file: Any, size: int) -> bytes:
    if size == 0:
        raise CheckpointError(f"is empty; {AGAIN}")
    first = file.read(8)
    length = int.from_bytes(first, "little")
    if len(first) < 8 or length > size - 8:
        raise CheckpointError(
            f"is damaged, or no safetensors file: its header should have {length} bytes, of {max(size - 8, 0)} that are"
            f" there; {AGAIN}"
        )
    if length > MAX_HEADER:
        raise CheckpointError(f"has a header of {length} bytes, expected at most {MAX_HEADER}: no state dict needs that much")
    return file.read(length)


def _parsed(header: bytes, data_size: int) -> tuple[list[Entry], dict[str, str]]:
    """The entries in the order of their data, and the notes."""
    try:
        content = json.loads(header.decode(), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"is damaged, or no safetensors file (its header is no JSON: {brief(error)}); {AGAIN}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"is damaged: its header is no JSON object; {AGAIN}")
    if len(content) > MAX_ARRAYS:
        raise CheckpointError(f"has {len(content)} arrays, expected at most {MAX_ARRAYS}: no state dict has so many")
    notes = content.pop(NOTES, {})
    if not isinstance(notes, dict) or not all(isinstance(text, str) for text in notes.values()):
        raise CheckpointError(f"is damaged: its metadata is no dict of strings; {AGAIN}")
    entries = sorted((_entry(name, fields) for name, fields in content.items()), key=lambda entry: (entry.begin, entry.end))
    position = 0
    for entry in entries:
        if entry.begin != position:
            raise CheckpointError(
                f"is damaged: {entry.name[:60]!r} begins at byte {entry.begin} of the data, expected {position}; {AGAIN}"
            )
        position = entry.end
    if position != data_size:
        raise CheckpointError(f"is damaged: its arrays have {position} bytes, and {data_size} are there; {AGAIN}")
    return entries, notes


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        raise ValueError("a name stands there twice")
    return content


def _entry(name: str, fields: Any) -> Entry:
    """One line of the header, with the length that its shape says."""
    try:
        kind, shape, (begin, end) = fields["dtype"], fields["shape"], fields["data_offsets"]
        numbers = [*shape, begin, end]
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"is damaged: the header's entry {name[:60]!r} is incomplete; {AGAIN}") from error
    if not isinstance(kind, str):
        raise CheckpointError(f"is damaged: {name[:60]!r} has dtype {str(kind)[:20]}, expected a word; {AGAIN}")
    if not all(type(number) is int and 0 <= number < 2**63 for number in numbers) or len(numbers) > _MAX_RANK + 2:
        raise CheckpointError(f"is damaged: {name[:60]!r} has a shape or an offset that is no count; {AGAIN}")
    if kind not in DTYPES:  # told of where it is needed
        return Entry(name, kind, tuple(shape), begin, max(begin, end))
    length = math.prod(shape) * np.dtype(DTYPES[kind]).itemsize
    if length != end - begin:
        raise CheckpointError(
            f"is damaged: {name[:60]!r} has {end - begin} bytes, expected {length} for shape {str(shape)[:60]} of {kind};"
            f" {AGAIN}"
        )
    return Entry(name, kind, tuple(shape), begin, end)


def _empty(entry: Entry) -> np.ndarray:
    try:
        return np.empty(entry.shape, DTYPES[entry.kind])
    except (ValueError, OverflowError) as error:  # more axes than NumPy has; a huge axis beside one of size 0
        raise CheckpointError(f"{entry.name[:60]!r} has shape {str(entry.shape)[:60]}, which no array can have") from error


def _decoded(entry: Entry, raw: np.ndarray) -> np.ndarray:
    """The array in the machine's own byte order; bfloat16 as float32."""
    if entry.kind == "BF16":
        return from_bfloat16(raw)
    if entry.kind == "BOOL":
        if raw.size and raw.max() > 1:
            raise CheckpointError(f"is damaged: {entry.name[:60]!r} has a {raw.max()} among its truth values; {AGAIN}")
        return raw.view(np.bool_)
    return raw.astype(raw.dtype.newbyteorder("="), copy=False)


def encoded(array: np.ndarray, bfloat16: bool = False) -> tuple[str, np.ndarray]:
    """The kind under which an array is stored, and its numbers as they are stored; `bfloat16` is for floating ones."""
    if bfloat16 and array.dtype.kind == "f":
        return "BF16", to_bfloat16(array).astype("<u2", copy=False)
    little = array.astype(array.dtype.newbyteorder("<"), order="C", copy=False)
    return _KIND_OF[np.dtype(little.dtype.str)], little


def layout(arrays: Mapping[str, np.ndarray], bfloat16: bool = False) -> tuple[list[Entry], list[list[Any]]]:
    """Where each array will be, the widest numbers first, so that all are aligned; and their checksums."""

    def width(name: str) -> int:
        return 2 if bfloat16 and arrays[name].dtype.kind == "f" else arrays[name].itemsize

    entries: list[Entry] = []
    checksums: list[list[Any]] = []
    position = 0
    for name in sorted(arrays, key=lambda name: (-width(name), name)):
        kind, numbers = encoded(arrays[name], bfloat16)
        entries.append(Entry(name, kind, tuple(numbers.shape), position, position + numbers.nbytes))
        checksums.append([name, kind, list(numbers.shape), zlib.crc32(bytes_of(numbers))])
        position += numbers.nbytes
    return entries, sorted(checksums)


def file_bytes(
    arrays: Mapping[str, np.ndarray], entries: list[Entry], notes: Mapping[str, str], bfloat16: bool = False
) -> Iterator[bytes | memoryview]:
    """The bytes of a file, piece by piece."""
    lines: dict[str, Any] = {NOTES: dict(notes)} if notes else {}
    for entry in entries:
        lines[entry.name] = {"dtype": entry.kind, "shape": list(entry.shape), "data_offsets": [entry.begin, entry.end]}
    header = json.dumps(lines, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    yield len(header).to_bytes(8, "little") + header
    for entry in entries:
        yield bytes_of(encoded(arrays[entry.name], bfloat16)[1])
