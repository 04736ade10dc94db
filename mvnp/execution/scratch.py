"""Scratch memory that is used again.

Fresh memory is dear: the system hands it over page by page, each cleared first, and a large array that is made and dropped
at every call pays for that at every call. `workspace` keeps one array for each name and thread, and gives it out anew.
"""

from __future__ import annotations

import ctypes
import math
import threading
from types import ModuleType

import numpy as np

from ..backend import Array

_LARGEST_INT = 2**31 - 1
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


def keep_freed_memory() -> bool:
    """Let this process keep the memory that it frees, for what it allocates next. Returns whether that could be set.

    A training step allocates and frees the same hundreds of megabytes again and again. By default glibc hands much of it back
    to the system each time, and gets it back cleared, page by page: about 5 % of a step. And all threads take from one heap:
    what one of them has freed another can have, which saves 3 % of a step's memory. The setting is the process's and holds for
    all that runs in it, so a program sets it, as the commands of mvnp do, and importing mvnp does not. Other C libraries than
    glibc have no such setting. See mallopt(3).
    """
    trim_threshold, mmap_threshold, arena_max = -1, -3, -8  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX of malloc.h
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # TypeError: on Windows
        return False
    settings = {trim_threshold: _LARGEST_INT, mmap_threshold: _LARGEST_INT, arena_max: 1}
    return all(mallopt(parameter, value) == 1 for parameter, value in settings.items())
