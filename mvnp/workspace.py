"""Scratch memory that is used again.

Fresh memory is dear: the system hands it over page by page, each cleared first, and a large array that is made and dropped
at every call pays for that at every call. `workspace` keeps one array for each name and thread, and gives it out anew.
"""

from __future__ import annotations

import math
import threading
from types import ModuleType

import numpy as np

from .backend import Array

_buffers = threading.local()


def workspace(xp: ModuleType, name: str, shape: tuple[int, ...], dtype: np.dtype) -> Array:
    """An array of `shape` with anything in it, to be written before it is read, and left alone once the caller returns.

    Whoever asks for the same name in the same thread gets the same memory: a view of it must not outlive the caller. There is
    one buffer for each name, as large as the largest that was asked for. On CuPy, whose memory pool does this already, it is
    a new array.
    """
    if xp is not np:
        return xp.empty(shape, dtype)
    size = math.prod(shape) * dtype.itemsize
    buffer = vars(_buffers).get(name)
    if buffer is None or buffer.nbytes < size:
        buffer = vars(_buffers)[name] = np.empty(size, np.uint8)
    return buffer[:size].view(dtype).reshape(shape)
