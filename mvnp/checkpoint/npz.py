"""NumPy's .npz: a zip of .npy files, read without trusting what it declares.

A header is only a claim. Before any memory is taken, the size that each array declares is compared with the size of its
entry, and all entries together with the size of the file: a zip can hold a thousand times what it weighs.
"""

from __future__ import annotations

import ast
import math
import os
import re
import zipfile
from collections.abc import Mapping
from typing import BinaryIO

import numpy as np
from numpy.lib import format as npy

from ..errors import CheckpointError
from .damage import AGAIN, DAMAGED_ZIP, brief
from .zip_entries import Entry, entries_of, open_entry

# Weights are close to random and compress by a tenth. A file may still be mostly zeros, so small ones have leave.
MAX_RATIO = 100
ALWAYS_ALLOWED = 128 * 2**20

MAX_HEADER = 10_000  # bytes, as NumPy's own limit

METADATA = "__metadata__"  # an array of bytes: JSON that we put beside the weights

_MAX_RANK = 64  # NumPy's own

_DTYPE = re.compile(r"[<>=|]?[fiubcSUV]\d{1,4}")


def read_npz(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """The arrays of an .npz file, none of which may hold Python objects. Raises CheckpointError for anything else."""
    try:
        with open(path, "rb") as file, zipfile.ZipFile(file) as archive:
            entries = entries_of(archive, file)
            declared = sum(entry.file_size for entry in entries.values())
            limit = max(ALWAYS_ALLOWED, MAX_RATIO * os.path.getsize(path))
            if declared > limit:
                raise CheckpointError(f"would unpack to {declared} bytes, expected at most {limit} for its size")
            return {name.removesuffix(".npy"): _read_array(archive, file, entry) for name, entry in entries.items()}
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    except IsADirectoryError as error:
        raise CheckpointError(f"{path} is a folder, expected an .npz file") from error
    except FileNotFoundError:
        raise
    except DAMAGED_ZIP as error:
        raise CheckpointError(f"{path} is damaged, or no .npz file ({brief(error)}); {AGAIN}") from error


def write_npz(file: BinaryIO, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays as .npz, as numpy.savez does, which leaves no name for an array called "file"."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy")  # from 1980: the same arrays, the same bytes
            with archive.open(entry, "w", force_zip64=True) as stream:
                npy.write_array(stream, np.asanyarray(array), allow_pickle=False)


def _read_array(archive: zipfile.ZipFile, file: BinaryIO, entry: zipfile.ZipInfo) -> np.ndarray:
    stream = open_entry(archive, file, entry)
    name = entry.filename[:60]
    shape, fortran_order, dtype, header_length = _read_header(name, stream)
    if dtype.kind not in "fiub" or dtype.itemsize > 8:
        raise CheckpointError(f"{name!r} has dtype {str(dtype)[:60]}, expected real numbers; objects are never read")
    present = entry.file_size - header_length
    if not all(0 <= size < 2**63 for size in shape) or math.prod(shape) * dtype.itemsize != present:
        raise CheckpointError(f"{name!r} declares shape {str(shape)[:60]} of {dtype}, but holds {present} bytes; {AGAIN}")
    try:
        array = np.empty(shape[::-1] if fortran_order else shape, dtype)
    except (ValueError, OverflowError) as error:  # a huge axis beside one of size 0
        raise CheckpointError(f"{name!r} has shape {str(shape)[:60]}, which no array can have") from error
    stream.fill(array)
    stream.finish()
    return (array.T if fortran_order else array).astype(dtype.newbyteorder("="), order="C", copy=False)


def _read_header(name: str, stream: Entry) -> tuple[tuple[int, ...], bool, np.dtype, int]:
    """Shape, order and dtype of an array, and the length of the header that says so.

    Six bytes of signature, two of version, two or four of length, and a Python dict: NumPy's own reader of it tries harder,
    and fails in more ways.
    """
    begin = stream.read(8)
    if not begin.startswith(npy.MAGIC_PREFIX) or begin[6:7] not in (b"\1", b"\2", b"\3"):
        raise CheckpointError(f"entry {name!r} is not an array; {AGAIN}")
    counted = stream.read(2 if begin[6] == 1 else 4)
    length = int.from_bytes(counted, "little")
    if length > MAX_HEADER:
        raise CheckpointError(f"{name!r} has a header of {length} bytes, expected at most {MAX_HEADER}")
    try:
        fields = ast.literal_eval(stream.read(length).decode())
        descr, fortran_order, shape = fields["descr"], fields["fortran_order"], fields["shape"]
        # A list of fields, and whatever else NumPy might take for a dtype, is no plain number either.
        dtype = np.dtype(descr if isinstance(descr, str) and _DTYPE.fullmatch(descr) else "O")
    except (ValueError, SyntaxError, TypeError, KeyError, RecursionError, MemoryError) as error:
        raise CheckpointError(f"entry {name!r} is not an array ({brief(error)}); {AGAIN}") from error
    if not isinstance(shape, tuple) or len(shape) > _MAX_RANK or not all(type(size) is int for size in shape):
        raise CheckpointError(f"{name!r} declares the shape {str(shape)[:60]}, expected a tuple of counts; {AGAIN}")
    return shape, bool(fortran_order), dtype, len(begin) + len(counted) + length
