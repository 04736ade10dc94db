"""NumPy's .npz: a zip of .npy files, read without trusting what it declares.

A header is only a claim. Before any memory is taken, the size that each array declares is compared with the size of its
entry, and all entries together with the size of the file: a zip can hold a thousand times what it weighs.
"""

from __future__ import annotations

import io
import math
import os
import zipfile
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy

from ..errors import CheckpointError
from .damage import AGAIN, DAMAGED_ZIP, brief

# Weights are close to random and compress by a tenth. A file may still be mostly zeros, so small ones have leave.
MAX_RATIO = 100
ALWAYS_ALLOWED = 256 * 2**20


def read_npz(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """The arrays of an .npz file, none of which may hold Python objects. Raises CheckpointError for anything else."""
    with open(path, "rb") as file:
        return _read_zip(path, file)


def _read_zip(path: Any, file: BinaryIO) -> dict[str, np.ndarray]:
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            declared = sum(entry.file_size for entry in entries)
            limit = max(ALWAYS_ALLOWED, MAX_RATIO * os.path.getsize(path))
            if declared > limit:
                raise CheckpointError(f"{path} would unpack to {declared} bytes, expected at most {limit} for its size")
            return {entry.filename.removesuffix(".npy"): _read_entry(path, archive, entry) for entry in entries}
    except CheckpointError:
        raise
    except DAMAGED_ZIP as error:
        raise CheckpointError(f"{path} is damaged, or no .npz file ({brief(error)}); {AGAIN}") from error


def _read_entry(path: Any, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> np.ndarray:
    data = archive.read(entry)  # checks the entry's CRC
    stream = io.BytesIO(data)
    try:
        version = npy.read_magic(stream)
        read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran_order, dtype = read_header(stream)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError) as error:
        raise CheckpointError(f"{path}: entry {entry.filename!r} is not an array ({brief(error)}); {AGAIN}") from error
    if dtype.kind not in "fiub":
        raise CheckpointError(f"{path}: {entry.filename!r} has dtype {dtype}, expected real numbers; objects are never read")
    present = len(data) - stream.tell()
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != present:
        raise CheckpointError(
            f"{path}: {entry.filename!r} declares shape {shape} of {dtype}, but holds {present} bytes; {AGAIN}"
        )
    flat = np.frombuffer(data, dtype, offset=stream.tell())
    return flat.reshape(shape, order="F" if fortran_order else "C").astype(dtype.newbyteorder("="), order="C")
