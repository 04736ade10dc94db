"""What a data set is known again by: names, sizes, labels, and a sample of what is in the pictures."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError
from .dataset import Dataset
from .folder import ImageFiles

SAMPLE = 64  # pictures, evenly chosen, that are looked at

# What each entry of `fingerprint` is called where it is another one.
CALLED = {
    "count": "there are {now} {part} pictures, and there were {then}",
    "shape": "the {part} pictures are {now}, and were {then} (height, width, channels)",
    "classes": "the classes are {now}, and were {then}",
    "labels": "the {part} labels are others",
    "files": "the {part} pictures have other names, or come in another order",
    "sizes": "files of {part} pictures have other sizes",
    "contents": "the {part} pictures show something else",
}


def fingerprint(data: Dataset) -> dict[str, Any]:
    """What to compare of a part of a data set, ready for JSON. Raises DataError for a picture that cannot be read."""
    digests = {"labels": _digest(data.labels.astype("<i8").tobytes()), "contents": _contents(data.images)}
    if data.files:
        digests["files"] = _digest("\0".join(_names(data.files)).encode("utf-8", "surrogateescape"))
        digests["sizes"] = _digest(json.dumps([_size(path) for path in data.files]).encode())
    return {
        "count": len(data),
        "shape": [int(side) for side in data.images.shape[1:]],
        "classes": [str(name) for name in data.classes],
        **digests,
    }


def changes(part: str, now: dict[str, Any], then: dict[str, Any]) -> list[str]:
    """In words, what two fingerprints of a part differ in: the first that explains the others, of each kind."""
    differing = [name for name in CALLED if now.get(name) != then.get(name)]
    if "count" in differing:
        differing = [name for name in differing if name in ("count", "shape", "classes")]
    return [CALLED[name].format(part=part, now=_shown(now.get(name)), then=_shown(then.get(name))) for name in differing]


def _contents(images: np.ndarray | ImageFiles) -> str:
    chosen = np.unique(np.linspace(0, len(images) - 1, min(SAMPLE, len(images))).astype(np.int64))
    digest = hashlib.blake2b(digest_size=16)
    for position in chosen:
        pixels = images[int(position)]
        digest.update(np.ascontiguousarray(pixels.astype(pixels.dtype.newbyteorder("<"), copy=False)).tobytes())
    return digest.hexdigest()


def _names(files: tuple[Path, ...]) -> list[str]:
    """From the folder on that they have in common: the whole of it may be moved."""
    absolute = [os.path.abspath(path) for path in files]
    try:
        common = os.path.commonpath([os.path.dirname(path) for path in absolute])
    except ValueError:  # on several drives
        return absolute
    return [Path(os.path.relpath(path, common)).as_posix() for path in absolute]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}; it was there a moment ago") from error


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _shown(value: Any) -> str:
    if isinstance(value, list):
        text = ", ".join(map(str, value[:6])) + (", …" if len(value) > 6 else "")
        return "x".join(map(str, value)) if all(isinstance(each, int) for each in value) else text
    return f"{value:,}" if isinstance(value, int) else str(value)
