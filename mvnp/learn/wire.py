"""Messages between the process that judges and the one that runs the reader's code: a line of JSON, then arrays.

No pickle: what comes from the reader's process is data, and can be nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from ..backend import to_numpy

MOST_BYTES = 2**26  # of a message; exercises need a few kB


class WireError(ValueError):
    """What came is no message."""


@dataclass(frozen=True)
class Strange:
    """Something that is no array of real numbers: what its type is called, and its dtype where it has one."""

    kind: str
    dtype: str = ""


def send(stream: BinaryIO, header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Write one message. Raises ValueError where it would be too long."""
    listed = {name: [array.dtype.str, list(array.shape)] for name, array in arrays.items()}
    line = json.dumps({"header": dict(header), "arrays": listed}).encode()
    if len(line) + sum(array.nbytes for array in arrays.values()) > MOST_BYTES:
        raise ValueError(f"more than {MOST_BYTES // 2**20} MB were returned; expected arrays of the shapes of the inputs")
    stream.write(len(line).to_bytes(8, "little") + line)
    for array in arrays.values():
        stream.write(np.ascontiguousarray(array).tobytes())
    stream.flush()


def receive(stream: BinaryIO) -> tuple[dict[str, Any], dict[str, np.ndarray]] | None:
    """The next message; None at the end. Raises WireError."""
    begin = stream.read(8)
    if not begin:
        return None
    length = int.from_bytes(begin, "little")
    if len(begin) < 8 or length > MOST_BYTES:
        raise WireError
    try:
        message = json.loads(_exactly(stream, length))
        header, listed, left = message["header"], message["arrays"], MOST_BYTES - length
        arrays = {}
        for name, (dtype, shape) in listed.items():
            if dtype not in ("<f8", "|b1", "<i8") or not all(type(side) is int and 0 <= side < 2**31 for side in shape):
                raise WireError
            count = 1
            for side in shape:
                count *= side
            size = count * np.dtype(dtype).itemsize
            left -= size
            if left < 0 or len(shape) > 32:
                raise WireError
            arrays[name] = np.frombuffer(_exactly(stream, size), dtype).reshape(shape).copy()
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise WireError from error
    if not isinstance(header, dict):
        raise WireError
    return header, arrays


def _exactly(stream: BinaryIO, count: int) -> bytes:
    data = stream.read(count)
    if len(data) < count:
        raise WireError
    return data


def packed(result: Any) -> tuple[Any, dict[str, np.ndarray]]:
    """What a backward returned, ready to be sent: its form, and the arrays in it as float64."""
    arrays: dict[str, np.ndarray] = {}
    if isinstance(result, tuple | list):
        kind = "tuple" if isinstance(result, tuple) else "list"
        return [kind, [_packed(each, f"{place}", arrays) for place, each in enumerate(result[:64])]], arrays
    return ["one", _packed(result, "0", arrays)], arrays


def _packed(value: Any, name: str, arrays: dict[str, np.ndarray]) -> Any:
    if value is None:
        return None
    if isinstance(value, str | bytes | tuple | list | dict):
        return ["strange", type(value).__name__, ""]
    try:
        array = to_numpy(value) if hasattr(value, "dtype") else np.asarray(value)
        if array.dtype.kind in "fiub":
            arrays[name] = array.astype("<f8")
            return name
    except Exception:  # whatever an object of theirs does
        return ["strange", type(value).__name__, ""]
    return ["strange", type(value).__name__, str(value.dtype) if hasattr(value, "dtype") else ""]


def unpacked(form: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """The reverse of `packed`, with `Strange` for what is no array. Raises WireError."""
    try:
        kind, content = form
        if kind == "one":
            return _unpacked(content, arrays)
        return {"tuple": tuple, "list": list}[kind](_unpacked(each, arrays) for each in content)
    except (ValueError, TypeError, KeyError) as error:
        raise WireError from error


def _unpacked(value: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    if value is None:
        return None
    if isinstance(value, str):
        return arrays[value]
    _, kind, dtype = value
    return Strange(str(kind), str(dtype))
