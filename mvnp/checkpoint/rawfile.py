"""Bytes of a file, straight into the array that is to hold them."""

from __future__ import annotations

from typing import BinaryIO

import numpy as np

from ..errors import CheckpointError
from .damage import AGAIN


def bytes_of(array: np.ndarray) -> memoryview:
    """The memory of a row-major array, as bytes that can be written to."""
    return array.reshape(-1).view(np.uint8).data


def read_into(file: BinaryIO, array: np.ndarray) -> None:
    """Fill a row-major array from where the file stands. Raises CheckpointError where the file ends before."""
    rest = bytes_of(array)
    while len(rest):
        count = file.readinto(rest)  # type: ignore[attr-defined]
        if not count:
            raise CheckpointError(f"ends too early: {len(rest)} bytes of an array are missing; {AGAIN}")
        rest = rest[count:]  # a single call of the system reads no more than two gigabytes
