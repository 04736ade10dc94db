"""Named arrays and what belongs to them, in one file: safetensors.

Any program that reads safetensors reads these files. We put one string into the format's metadata: JSON that holds the
caller's dict and a digest of everything else, since the format itself would not notice a flipped bit in the data.

The digest is that of a list with the name, dtype, shape and CRC-32 of each array, and of the dict. Files of format 1 have one
of the bytes themselves; it took longer than reading them.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..atomic import write_with
from ..backend import Array, to_numpy
from ..errors import CheckpointError, InputError, refusing
from .damage import AGAIN, brief
from .keys import check_keys
from .safetensors import Read, file_bytes, layout, read_file

_KEY = "mvnp"  # of our string in the metadata
_FORMAT = 2
_OLDER = (1,)  # formats that are read, but no longer written


@refusing
def save_arrays(
    path: str | os.PathLike[str],
    arrays: Mapping[str, Array],
    metadata: Mapping[str, Any] | None = None,
    *,
    bfloat16: bool = False,
) -> None:
    """Write arrays (NumPy or CuPy) and a JSON-able dict to `path`, whole or not at all.

    bfloat16    floating arrays are rounded to bfloat16

    Raises InputError for metadata that is not JSON or an array that is not of numbers, OSError where the file cannot be
    written; the file that was there is then untouched.
    """
    check_keys("save_arrays", arrays)
    host = {name: _plain(name, to_numpy(array)) for name, array in arrays.items()}
    text = _dump(dict(metadata or {}))
    entries, checksums = layout(host, bfloat16)
    note = json.dumps({"format": _FORMAT, "digest": _digest(checksums, text), "metadata": text})
    # The hub's library asks what wrote the file, and takes "pt" for an answer: the arrays are as PyTorch has them.
    notes = {"format": "pt", _KEY: note}

    def write(file: Any) -> None:
        for piece in file_bytes(host, entries, notes, bfloat16):
            file.write(piece)

    write_with(path, write)


@refusing
def load_arrays(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays and the dict that `save_arrays` wrote.

    Raises CheckpointError for a file that it did not write, or in which anything has changed since; FileNotFoundError.
    """
    arrays, metadata, _ = read_safetensors(path)
    if metadata is None:
        raise CheckpointError(
            f"{path} was not written by mvnp, or its metadata is lost: weights from elsewhere are read by load_checkpoint"
        )
    return arrays, metadata


def read_safetensors(
    path: str | os.PathLike[str],
) -> tuple[dict[str, np.ndarray], dict[str, Any] | None, dict[str, str]]:
    """The arrays of any safetensors file; where `save_arrays` wrote it, the dict (checked), else None; and {name: reason} of
    arrays that cannot be read."""
    read = read_file(path, wants_checksums=lambda notes: _KEY in notes)
    return read.arrays, _checked_metadata(path, read) if _KEY in read.notes else None, read.unreadable


def parse_metadata(path: str | os.PathLike[str], text: str) -> dict[str, Any]:
    """The dict that mvnp wrote as JSON. Raises CheckpointError where it is none, or has a number that none of ours has."""
    try:
        metadata = json.loads(text, parse_int=bounded_integer, parse_constant=_refused)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is damaged: its metadata cannot be read ({brief(error)}); {AGAIN}") from error
    if not isinstance(metadata, dict):
        raise CheckpointError(f"{path} is damaged: its metadata is a {type(metadata).__name__}, expected a dict; {AGAIN}")
    return metadata


def bounded_integer(digits: str) -> int:
    """What JSON has as a whole number. Raises ValueError for one of more digits than any of ours has."""
    if len(digits) > 20:
        raise ValueError("a number of too many digits")
    return int(digits)


def _refused(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


def _plain(name: str, array: np.ndarray) -> np.ndarray:
    """The array in row-major order and the machine's own byte order."""
    if array.dtype.kind not in "fiub" or array.dtype.itemsize > 8:
        raise InputError(f"save_arrays: {name} has dtype {array.dtype}, expected real numbers of at most 64 bits")
    return array.astype(array.dtype.newbyteorder("="), order="C", copy=False)


def _checked_metadata(path: str | os.PathLike[str], read: Read) -> dict[str, Any]:
    try:
        fields = json.loads(read.notes[_KEY])
        text, digest, version = fields["metadata"], fields["digest"], fields["format"]
        if not isinstance(text, str):
            raise TypeError
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{path} is damaged: its metadata cannot be read ({brief(error)}); {AGAIN}") from error
    metadata = parse_metadata(path, text)
    if version != _FORMAT and version not in _OLDER:
        raise CheckpointError(
            f"{path} has format {str(version)[:20]} of mvnp's files, expected {_FORMAT}: a newer mvnp may read it"
        )
    found = _digest(read.checksums, text) if version == _FORMAT else _digest_of_bytes(read.arrays, text)
    if digest != found:
        raise CheckpointError(f"{path} is damaged: its content is not what was written (the digest differs); {AGAIN}")
    return metadata


def _dump(metadata: dict[str, Any]) -> str:
    try:
        return json.dumps(metadata, allow_nan=False, sort_keys=True)
    except (TypeError, ValueError) as error:
        raise InputError(f"save_arrays: the metadata is not JSON: {error}") from error


def _digest(checksums: list[list[Any]], text: str) -> str:
    return hashlib.blake2b(json.dumps([checksums, text]).encode(), digest_size=16).hexdigest()


def _digest_of_bytes(arrays: Mapping[str, np.ndarray], text: str) -> str:
    """Format 1: of names, dtypes, shapes and bytes, in the order of the names, and of the metadata."""
    state = hashlib.blake2b(text.encode(), digest_size=16)
    for name in sorted(arrays):
        array = arrays[name]
        state.update(json.dumps([name, array.dtype.str, array.shape]).encode())
        state.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return state.hexdigest()
