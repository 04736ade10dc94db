"""Weights as torch.save writes them, read without torch and without running anything.

The file is a zip, its entries uncompressed and under one folder:

    x/data.pkl      a pickle of the object; where a tensor's numbers belong stands a reference to an entry
    x/data/0 …      the numbers, one entry a storage
    x/byteorder     "little" or "big"

torch before 1.6 wrote another format, which mvnp/checkpoint/torch/legacy.py reads. A file says which it is by its first bytes.
"""

from __future__ import annotations

import os
import zipfile
from typing import BinaryIO, Literal

import numpy as np

from ...errors import CheckpointError
from ..damage import AGAIN, DAMAGED_ZIP, brief
from ..zip_entries import entries_of, open_entry
from .inert_pickle import MAX_BYTES, read_pickle
from .legacy import is_legacy, read_legacy
from .state_pickle import StorageRef, check_length, functions, read_tensors, storage_of, weights_of


def read_torch(path: str | os.PathLike[str], ema: bool = False) -> dict[str, np.ndarray]:
    """The state dict in a file of torch.save: the object itself, or its entry "state_dict" or "model".

    ema    the entry "state_dict_ema" or "model_ema" in its place

    Raises CheckpointError for a damaged file, and for a pickle that names anything but what a state dict needs.
    """
    with open(path, "rb") as file:
        try:
            begin = file.read(32)
            file.seek(0)
            if is_legacy(begin):
                return read_legacy(file, os.path.getsize(path), ema)
            if not begin.startswith(b"PK\x03\x04"):
                raise CheckpointError(
                    "is neither a zip file, as torch.save writes it since version 1.6, nor of the format before it, or it is"
                    f" damaged; {AGAIN}, or open it with torch and save its state_dict() again"
                )
            with zipfile.ZipFile(file) as archive:
                return _ZipFile(archive, file, os.path.getsize(path)).weights(ema)
        except CheckpointError as error:
            raise CheckpointError(f"{path}: {error}") from error
        except DAMAGED_ZIP as error:
            raise CheckpointError(f"{path} is damaged ({brief(error)}); {AGAIN}") from error


class _ZipFile:
    """The entries of one file."""

    def __init__(self, archive: zipfile.ZipFile, file: BinaryIO, size: int) -> None:
        self.archive, self.file, self.size = archive, file, size
        self.entries = entries_of(archive)
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in self.entries.values()):
            raise CheckpointError("has compressed entries, and torch.save writes none")
        if sum(entry.file_size for entry in self.entries.values()) > size:
            raise CheckpointError("declares entries that are larger than the file")
        pickles = [name for name in self.entries if name.endswith("/data.pkl") or name == "data.pkl"]
        if len(pickles) != 1:
            raise CheckpointError(f"has {len(pickles)} entries data.pkl, expected one: it was not written by torch.save")
        self.folder = pickles[0].removesuffix("data.pkl")

    def weights(self, ema: bool) -> dict[str, np.ndarray]:
        content = read_pickle(self.small("data.pkl", MAX_BYTES), functions(), storage_of)
        self.order = self.byte_order()
        return read_tensors(weights_of(content, ema), self.storage, self.size)

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
