"""What torch.save wrote before version 1.6, and writes still when it is asked not to make a zip.

    pickle      a number by which the format is known
    pickle      1001, the format's version
    pickle      what the machine was like: a dict
    pickle      the object; where a tensor's numbers belong stands a reference to a storage
    pickle      a list of the storages' keys
    each of them, in that order: how many numbers, 8 bytes, and the numbers, all little-endian

There are no checksums in it: damage to the numbers themselves is not seen.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np

from ...errors import CheckpointError
from ..damage import AGAIN
from ..rawfile import read_into
from .inert_pickle import MAX_BYTES, read_pickle
from .state_pickle import StorageRef, check_length, functions, read_tensors, storage_of, weights_of

MAGIC = 0x1950A86A20F9469CFC6C
VERSION = 1001

_FIRST = b"\x8a\x0a" + MAGIC.to_bytes(10, "little") + b"."  # LONG1, ten bytes, STOP


def is_legacy(begin: bytes) -> bool:
    """Whether a file with these first 32 bytes is of this format. Before the number stand the pickle's protocol and length."""
    return begin[:1] == b"\x80" and _FIRST in begin


def read_legacy(file: BinaryIO, size: int, ema: bool = False) -> dict[str, np.ndarray]:
    """The state dict in a file of `size` bytes. Raises CheckpointError, as `read_torch`."""
    # The pickles stand in front, and a pickle tells its own end only to who reads it.
    head = io.BytesIO(file.read(MAX_BYTES))
    read_pickle(head, {}, _no_reference)
    version = read_pickle(head, {}, _no_reference)
    if version != VERSION:
        raise CheckpointError(f"has version {str(version)[:20]} of torch's older format, expected {VERSION}")
    if not isinstance(read_pickle(head, {}, _no_reference), dict):
        raise CheckpointError(f"is damaged: it does not say what machine wrote it; {AGAIN}")
    seen: dict[str, StorageRef] = {}

    def storage(reference: Any) -> StorageRef:
        found = storage_of(reference)
        if seen.setdefault(found.key, found) != found:
            raise CheckpointError(f"is damaged: storage {found.key[:60]} is there in two kinds or lengths; {AGAIN}")
        return found

    content = read_pickle(head, functions(), storage)
    keys = read_pickle(head, {}, _no_reference)
    if not isinstance(keys, list) or sorted(map(str, keys)) != sorted(seen):
        raise CheckpointError(f"is damaged: its list of storages is not that of its tensors; {AGAIN}")
    begins = _begins([seen[str(key)] for key in keys], head.tell(), file, size)
    return read_tensors(weights_of(content, ema), lambda wanted: _read_storage(wanted, begins, file), size)


def _begins(storages: list[StorageRef], position: int, file: BinaryIO, size: int) -> dict[StorageRef, int]:
    """Where each storage's numbers begin."""
    begins = {}
    for storage in storages:
        file.seek(position)
        count = int.from_bytes(file.read(8), "little")
        check_length(storage, count * storage.dtype.itemsize)
        begins[storage] = position + 8
        position += 8 + storage.nbytes
    if position != size:
        raise CheckpointError(f"is damaged: its storages end at byte {position}, and the file has {size}; {AGAIN}")
    return begins


def _read_storage(storage: StorageRef, begins: Mapping[StorageRef, int], file: BinaryIO) -> np.ndarray:
    file.seek(begins[storage])
    elements = np.empty(storage.count, storage.dtype.newbyteorder("<"))
    read_into(file, elements)
    return elements.astype(storage.dtype, copy=False)


def _no_reference(_: Any) -> Any:
    raise CheckpointError("has a reference to a storage where none can be")
