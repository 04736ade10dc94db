"""NumPy arrays in a pickle: as state dicts that are pickled without torch have them, and as they ride along in others.

Two forms, by the version of NumPy and of the pickle:

    _reconstruct(ndarray, (0,), b"b")  with the state  (1, shape, dtype, whether column-major, bytes)
    _frombuffer(bytes, dtype, shape, "C" or "F")

and of a dtype

    dtype("f4", …)  with the state  (3, "<", …)
"""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

from ..states import Unreadable
from .inert_pickle import Inert, Name

_RECONSTRUCT = {f"numpy.{room}.multiarray _reconstruct" for room in ("core", "_core")}
_FROM_BUFFER = {f"numpy.{room}.numeric _frombuffer" for room in ("core", "_core")}
_KINDS = re.compile(r"[fiu][1248]|b1")
_MAX_RANK = 32


def is_array(value: Any) -> bool:
    """Whether an object in a pickle stands for an array."""
    return isinstance(value, Inert) and (
        (value.name in _RECONSTRUCT and isinstance(value.state, tuple) and len(value.state) == 5)
        or (value.name in _FROM_BUFFER and len(value.arguments) == 4)
    )


def array_of(value: Inert) -> np.ndarray | Unreadable:
    """The array that an object stands for, of which `is_array` is true."""
    if value.name in _FROM_BUFFER:
        data, dtype, shape, order = value.arguments
        return _array(shape, dtype, order == "F", data)
    _, shape, dtype, columns, data = value.state
    return _array(shape, dtype, bool(columns), data)


def encoded(text: Any, encoding: Any = None, *_: Any) -> Any:
    """What `_codecs.encode` is called with: older protocols have bytes as the text of the same numbers."""
    if isinstance(text, Inert):  # a long one, whose bytes stand in the file as UTF-8
        (piece,) = text.arguments
        text = bytes(piece).decode("utf-8", "replace")
    if not isinstance(text, str):
        raise TypeError
    return text.encode("latin-1", "replace")


def no_bytes(*_: Any) -> bytes:
    """What older protocols write for bytes of which there are none."""
    return b""


def _array(shape: Any, dtype: Any, columns: bool, data: Any) -> np.ndarray | Unreadable:
    kind = _dtype_of(dtype)
    if kind is None:
        return Unreadable("is a NumPy array of other things than real numbers")
    if isinstance(data, str):  # a pickle of Python 2
        data = data.encode("latin-1", "replace")
    if (
        not isinstance(shape, tuple)
        or len(shape) > _MAX_RANK
        or not all(type(size) is int and 0 <= size < 2**63 for size in shape)
        or not isinstance(data, bytes | memoryview)
        or math.prod(shape) * kind.itemsize != len(data)
    ):
        return Unreadable("is a NumPy array whose bytes are not of its shape")
    # A copy: weights are to be written to, and the pickle let go.
    row = np.frombuffer(data, kind).astype(kind.newbyteorder("="))
    return row.reshape(shape, order="F" if columns else "C") if row.size else np.empty(shape if 0 in shape else (0,), row.dtype)


def _dtype_of(value: Any) -> np.dtype | None:
    if not isinstance(value, Inert) or value.name != "numpy dtype" or not value.arguments:
        return None
    kind = value.arguments[0]
    state = value.state
    order = state[1] if isinstance(state, tuple) and len(state) > 1 else "<"
    if isinstance(kind, Name) or not isinstance(kind, str) or not _KINDS.fullmatch(kind) or order not in ("<", ">", "=", "|"):
        return None
    return np.dtype(f"{'<' if order == '=' else order}{kind}")
