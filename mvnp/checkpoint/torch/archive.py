"""What torch.save writes since version 1.6: a zip, its entries uncompressed and under one folder.

x/data.pkl      a pickle of the object; where a tensor's numbers belong stands a reference to an entry
x/data/0 …      the numbers, one entry a storage
x/byteorder     "little" or "big"
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import replace
from typing import Any, BinaryIO, Literal

import numpy as np

from ...errors import CheckpointError
from ..damage import AGAIN
from ..states import State
from ..zip_entries import entries_of, open_entry
from .inert_pickle import MAX_BYTES, read_pickle
from .state_pickle import StorageRef, check_length, functions, read_tensors, storage_of

BEGIN = b"PK\x03\x04"  # of a zip

Choose = Callable[[Any], State]


def read_archive(file: BinaryIO, size: int, choose: Choose) -> tuple[Any, State]:
    """What the pickle of a file of `size` bytes holds, and the state dict in it that `choose` takes, read.

    Raises CheckpointError, as `read_torch`, and what zipfile raises for damage.
    """
    with zipfile.ZipFile(file) as archive:
        return _ZipFile(archive, file, size).read(choose)


class _ZipFile:
    """The entries of one file."""

    def __init__(self, archive: zipfile.ZipFile, file: BinaryIO, size: int) -> None:
        self.archive, self.file, self.size = archive, file, size
        self.entries = entries_of(archive, file)
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in self.entries.values()):
            raise CheckpointError("has compressed entries, and torch.save writes none")
        if sum(entry.file_size for entry in self.entries.values()) > size:
            raise CheckpointError("declares entries that are larger than the file")
        pickles = [name for name in self.entries if name.endswith("/data.pkl") or name == "data.pkl"]
        if len(pickles) != 1:
            raise CheckpointError(f"has {len(pickles)} entries data.pkl, expected one: it was not written by torch.save")
        self.folder = pickles[0].removesuffix("data.pkl")

    def read(self, choose: Choose) -> tuple[Any, State]:
        content = read_pickle(self.small("data.pkl", MAX_BYTES), functions(), storage_of)
        self.order = self.byte_order()
        state = choose(content)
        return content, replace(state, tensors=read_tensors(state.tensors, self.storage, self.size))

    def entry(self, name: str) -> zipfile.ZipInfo:
        if self.folder + name not in self.entries:
            raise CheckpointError(f"has no entry {name[:60]}, which it refers to; {AGAIN}")
        return self.entries[self.folder + name]

    def small(self, name: str, limit: int) -> bytes:
        """An entry as a whole."""
        entry = self.entry(name)
        if entry.file_size > limit:
            raise CheckpointError(f"has an entry {name} of {entry.file_size} bytes, expected at most {limit}")
        stream = open_entry(self.archive, self.file, entry)
        data = stream.read(entry.file_size)
        stream.finish()
        return data

    def byte_order(self) -> Literal["<", ">"]:
        order = (
            self.small("byteorder", 100).decode("ascii", "replace") if self.folder + "byteorder" in self.entries else "little"
        )
        if order not in ("little", "big"):
            raise CheckpointError(f"has byte order {order[:20]!r}, expected little or big")
        return "<" if order == "little" else ">"

    def storage(self, storage: StorageRef) -> np.ndarray:
        """The numbers of a storage."""
        entry = self.entry(f"data/{storage.key}")
        check_length(storage, entry.file_size)
        elements = np.empty(storage.count, storage.dtype.newbyteorder(self.order))
        stream = open_entry(self.archive, self.file, entry)
        stream.fill(elements)
        stream.finish()
        return elements.astype(storage.dtype, copy=False)
