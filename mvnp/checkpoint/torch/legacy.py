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

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, BinaryIO

import numpy as np

from ...errors import CheckpointError
from ..damage import AGAIN
from ..rawfile import read_into
from ..states import State
from .inert_pickle import MAX_BYTES, EndsTooEarly, read_next_pickle
from .state_pickle import STORAGES, StorageRef, check_length, functions, read_tensors, storage_of

Choose = Callable[[Any], State]

MAGIC = 0x1950A86A20F9469CFC6C
VERSION = 1001

_USUAL = 2**20  # bytes of the pickles; where they are longer, they are read again

_FIRST = b"\x8a\x0a" + MAGIC.to_bytes(10, "little") + b"."  # LONG1, ten bytes, STOP


def is_legacy(begin: bytes) -> bool:
    """Whether a file with these first 32 bytes is of this format. Before the number stand the pickle's protocol and length."""
    return begin[:1] == b"\x80" and _FIRST in begin


def read_legacy(file: BinaryIO, size: int, choose: Choose) -> tuple[Any, State]:
    """What a file of `size` bytes holds, and the state dict in it that `choose` takes, read. Raises as `read_torch`."""
    # The pickles stand in front, and a pickle tells its own end only to who reads it.
    for length in (_USUAL, MAX_BYTES):
        file.seek(0)
        try:
            content, storages, position = _pickles(file.read(min(size, length)))
            break
        except EndsTooEarly:
            if length == MAX_BYTES or length >= size:
                raise
    begins = _begins(storages, position, file, size)
    state = choose(content)
    return content, replace(
        state, tensors=read_tensors(state.tensors, lambda wanted: _read_storage(wanted, begins, file), size)
    )


def storage_of_bytes(data: bytes) -> tuple[StorageRef, np.ndarray]:
    """The only storage of a file that holds nothing else, and its numbers: what pickle makes of a tensor's storage."""
    content, storages, at = _pickles(data)
    if not isinstance(content, StorageRef) or len(storages) != 1 or content.kind not in STORAGES:
        raise CheckpointError("has a tensor whose numbers cannot be read")
    numbers = np.frombuffer(data[at + 8 :], np.uint8)
    check_length(content, numbers.size)
    return content, numbers.view(content.dtype.newbyteorder("<")).astype(content.dtype, copy=False)


def _pickles(head: bytes) -> tuple[Any, list[StorageRef], int]:
    """The object, its storages in their order, and where the first of them begins."""
    _, at = read_next_pickle(head, 0, {}, _no_reference)
    version, at = read_next_pickle(head, at, {}, _no_reference)
    if version != VERSION:
        number = version if isinstance(version, int) and abs(version) < 2**63 else "unknown"
        raise CheckpointError(f"has version {number} of torch's older format, expected {VERSION}; {AGAIN}")
    machine, at = read_next_pickle(head, at, {}, _no_reference)
    if not isinstance(machine, dict):
        raise CheckpointError(f"is damaged: it does not say what machine wrote it; {AGAIN}")
    seen: dict[str, StorageRef] = {}

    def storage(reference: Any) -> Any:
        found = storage_of(reference)
        if isinstance(found, StorageRef) and seen.setdefault(found.key, found) != found:
            raise CheckpointError(f"is damaged: storage {found.key[:60]!r} is there in two kinds or lengths; {AGAIN}")
        return found

    content, at = read_next_pickle(head, at, functions(), storage)
    keys, at = read_next_pickle(head, at, {}, _no_reference)
    if not isinstance(keys, list) or sorted(str(key) for key in keys if isinstance(key, str)) != sorted(seen):
        raise CheckpointError(f"is damaged: its list of storages is not that of its tensors; {AGAIN}")
    return content, [seen[key] for key in keys], at


def _begins(storages: list[StorageRef], position: int, file: BinaryIO, size: int) -> dict[StorageRef, int]:
    """Where each storage's numbers begin."""
    begins = {}
    for storage in storages:
        file.seek(position)
        count = int.from_bytes(file.read(8), "little")
        if count != storage.count:
            raise CheckpointError(
                f"storage {storage.key[:60]!r} has {count} numbers, and its tensors say {storage.count}; {AGAIN}"
            )
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
