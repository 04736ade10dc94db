"""Named arrays and what belongs to them, in one file: safetensors.

    8 bytes      length of the header, little-endian
    header       JSON: {name: {"dtype", "shape", "data_offsets"}}, and "__metadata__", a dict of strings
    data         the arrays, one after the other

Any program that reads safetensors reads these files. We put one string into the metadata: JSON that holds the caller's
dict and a digest of everything else, since the format itself would not notice a flipped bit in the data.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..atomic import write_bytes
from ..backend import Array, to_numpy
from ..errors import CheckpointError, InputError
from .damage import AGAIN, brief

_KEY = "mvnp"  # of our string in the metadata
_FORMAT = 1

# What NumPy has; bfloat16 is read into float32. The eight-bit floats and packed types of newer files are refused.
_READABLE = ("F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8", "BOOL")


def save_arrays(path: str | os.PathLike[str], arrays: Mapping[str, Array], metadata: Mapping[str, Any] | None = None) -> None:
    """Write arrays (NumPy or CuPy) and a JSON-able dict to `path`, whole or not at all.

    Raises InputError for metadata that is not JSON or an array that is not of numbers, OSError where the file cannot be
    written; the file that was there is then untouched.
    """
    from safetensors.numpy import save  # imported where it is used: `import mvnp` should be quick

    host = {name: _plain(name, to_numpy(array)) for name, array in arrays.items()}
    text = _dump(dict(metadata or {}))
    note = json.dumps({"format": _FORMAT, "digest": _digest(host, text), "metadata": text})
    write_bytes(path, save(host, metadata={_KEY: note}))


def load_arrays(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays and the dict that `save_arrays` wrote.

    Raises CheckpointError for a file that it did not write, or in which anything has changed since; FileNotFoundError.
    """
    arrays, metadata = read_safetensors(path)
    if metadata is None:
        raise CheckpointError(
            f"{path} was not written by mvnp, or its metadata is lost: weights from elsewhere are read by load_checkpoint"
        )
    return arrays, metadata


def read_safetensors(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, Any] | None]:
    """The arrays of any safetensors file and, where `save_arrays` wrote it, the dict (checked); else None."""
    from safetensors import SafetensorError, safe_open

    size = os.stat(path).st_size
    if Path(path).is_dir():
        raise CheckpointError(f"{path} is a folder, expected a .safetensors file")
    if size == 0:
        raise CheckpointError(f"{path} is empty; {AGAIN}")
    try:
        # safe_open checks the header: its length, its JSON, and that the arrays cover the file's data once, with no gap.
        with safe_open(path, framework="numpy") as file:
            arrays = {name: _read(path, file, name) for name in file.keys()}  # noqa: SIM118 (not a dict)
            notes = file.metadata() or {}
    except SafetensorError as error:
        raise CheckpointError(f"{path} is damaged, or no safetensors file ({brief(error)}); {AGAIN}") from error
    return arrays, _checked_metadata(path, notes[_KEY], arrays) if _KEY in notes else None


def _plain(name: str, array: np.ndarray) -> np.ndarray:
    """The array in row-major order and the machine's own byte order."""
    if array.dtype.kind not in "fiub" or array.dtype.itemsize > 8:
        raise InputError(f"save_arrays: {name} has dtype {array.dtype}, expected real numbers of at most 64 bits")
    return array.astype(array.dtype.newbyteorder("="), order="C", copy=False)


def _read(path: str | os.PathLike[str], file: Any, name: str) -> np.ndarray:
    entry = file.get_slice(name)
    kind, shape = entry.get_dtype(), entry.get_shape()
    if kind not in _READABLE:
        raise CheckpointError(f"{path}: {name} has dtype {kind}, expected one of {', '.join(_READABLE)}; convert it first")
    if kind != "BF16":
        return file.get_tensor(name)
    # NumPy has no bfloat16, and safetensors gives none. It is the upper half of a float32.
    upper = np.frombuffer(_raw(path, name), "<u2", count=math.prod(shape))
    return (upper.astype(np.uint32) << 16).view(np.float32).reshape(shape)


def _raw(path: str | os.PathLike[str], name: str) -> bytes:
    """The bytes of one array. The header has been checked by then."""
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        begin, end = json.loads(file.read(length))[name]["data_offsets"]
        file.seek(8 + length + begin)
        return file.read(end - begin)


def _checked_metadata(path: str | os.PathLike[str], note: str, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    try:
        fields = json.loads(note)
        text, digest, version = fields["metadata"], fields["digest"], fields["format"]
        metadata = json.loads(text)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{path} is damaged: its metadata cannot be read ({brief(error)}); {AGAIN}") from error
    if not isinstance(metadata, dict):
        raise CheckpointError(f"{path} is damaged: its metadata is a {type(metadata).__name__}, expected a dict; {AGAIN}")
    if version != _FORMAT:
        raise CheckpointError(f"{path} has format {version!r} of mvnp's files, expected {_FORMAT}: a newer mvnp may read it")
    if digest != _digest(arrays, text):
        raise CheckpointError(f"{path} is damaged: its content is not what was written (the digest differs); {AGAIN}")
    return metadata


def _dump(metadata: dict[str, Any]) -> str:
    try:
        return json.dumps(metadata, allow_nan=False, sort_keys=True)
    except (TypeError, ValueError) as error:
        raise InputError(f"save_arrays: the metadata is not JSON: {error}") from error


def _digest(arrays: Mapping[str, np.ndarray], text: str) -> str:
    """Of names, dtypes, shapes and bytes, in the order of the names, and of the metadata."""
    state = hashlib.blake2b(text.encode(), digest_size=16)
    for name in sorted(arrays):
        array = arrays[name]
        state.update(json.dumps([name, array.dtype.str, array.shape]).encode())
        state.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return state.hexdigest()
