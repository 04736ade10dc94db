"""Arrays in a page: a byte for each number, and a scale for each row.

    q = round(levels · v / s)        s = max |v| over the last axis        v' = s q / levels         (1)

levels is 255 where nothing is negative, 127 with signs. So |v' − v| is at most half a level, s/510 or s/254: less than an eye
can tell on a map whose colours end at s, at an eighth of what float64 would take. Few numbers are not worth the trouble, and
stay float32.

In JSON an array is an object; its bytes are base64, little-endian. arrays.js reads what `pack` writes.
"""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

Packed = dict[str, Any]


def pack(values: np.ndarray) -> Packed:
    """(1), of an array (…, n) with finite values: `kind` "uint8" or "int8", `shape`, `data`, and `scale` (…)."""
    scale = np.abs(values).max(axis=-1).astype("<f4")
    kind, levels = ("int8", 127) if (values < 0).any() else ("uint8", 255)
    divisor = np.maximum(scale.astype(np.float64), np.finfo(np.float64).tiny)[..., None]
    q = np.rint(np.clip(values / divisor, -1.0, 1.0) * levels).astype(kind)
    return {"kind": kind, "shape": list(values.shape), "data": _text(q), "scale": _text(scale)}


def pack_exactly(values: np.ndarray) -> Packed:
    """The same for few numbers: `kind` "float32", and no scale."""
    return {"kind": "float32", "shape": list(values.shape), "data": _text(values.astype("<f4"))}


def unpack(packed: Packed) -> np.ndarray:
    """v' of (1), float64: what the page shows."""
    shape, kind = tuple(packed["shape"]), packed["kind"]
    data = np.frombuffer(base64.b64decode(packed["data"]), "<f4" if kind == "float32" else kind).reshape(shape)
    if kind == "float32":
        return data.astype(np.float64)
    scale = np.frombuffer(base64.b64decode(packed["scale"]), "<f4").reshape(shape[:-1])
    return data * scale[..., None].astype(np.float64) / np.iinfo(kind).max


def _text(array: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode("ascii")
