"""Where an interrupted validation was, in a file beside its report.

The file holds what was found so far, and what it was found of: weights, pictures, preparation, classes. Going on with any of
these changed would mix two results, so it is refused, and the message says which of them changed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ..atomic import remove_stale
from ..backend import to_numpy
from ..checkpoint import load_arrays, save_arrays
from ..data import ImageTransform
from ..errors import CheckpointError
from ..models.classifier import Classifier
from .class_folders import ClassFolders

_KIND = "validation"

# What each part of `fingerprint` is called in a message.
_CALLED = {
    "weights": "the weights",
    "pictures": "the pictures",
    "preparation": "how pictures are prepared (--size, --range)",
    "classes": "the classes",
}


def fingerprint(model: Classifier, transform: ImageTransform, found: ClassFolders) -> dict[str, str]:
    """What a result depends on, as digests."""
    weights = hashlib.blake2b(_dump(model.config), digest_size=16)
    for key, array in model.state_dict(copy=False).items():
        weights.update(key.encode())
        weights.update(np.ascontiguousarray(to_numpy(array)).reshape(-1).view(np.uint8).data)
    return {
        "weights": weights.hexdigest(),
        "pictures": _digest(_known_by(found)),
        "preparation": _digest(asdict(transform)),
        "classes": _digest([found.folders, found.classes]),
    }


def _known_by(found: ClassFolders) -> list[Any]:
    """Names, sizes and times of files; of arrays what is in them."""
    if found.images is not None:
        return [
            hashlib.blake2b(np.ascontiguousarray(found.images).tobytes(), digest_size=16).hexdigest(),
            found.labels.tolist(),
        ]
    names = [path.relative_to(found.root) if path.is_relative_to(found.root) else path for path in found.files]
    stats = [path.stat() for path in found.files]
    return [(str(name), stat.st_size, stat.st_mtime_ns) for name, stat in zip(names, stats, strict=True)]


class ValidationState:
    """What was found of the first `done` pictures.

    best      int64 (n,), the likeliest class; −1 where there is none yet, or the picture could not be read
    rank      int64 (n,), how many classes were likelier than the right one; −1 likewise
    broken    {position: why it could not be read}
    """

    def __init__(self, count: int) -> None:
        self.done = 0
        self.best, self.rank = np.full(count, -1, np.int64), np.full(count, -1, np.int64)
        self.broken: dict[int, str] = {}

    def save(self, path: Path, of: dict[str, str]) -> None:
        """Whole or not at all."""
        metadata = {"kind": _KIND, "of": of, "done": self.done, "broken": {str(k): v for k, v in self.broken.items()}}
        save_arrays(path, {"best": self.best, "rank": self.rank}, metadata)

    @classmethod
    def load(cls, path: Path, of: dict[str, str], count: int, classes: int) -> ValidationState:
        """Raises CheckpointError for a file that is damaged, or of something else than `of`."""
        try:
            arrays, metadata = load_arrays(path)
        except CheckpointError as error:
            raise CheckpointError(
                f"{path} is damaged, or was not written by mvnp; give --restart to begin anew, or choose another --out"
            ) from error
        if metadata.get("kind") != _KIND:
            raise CheckpointError(
                f"{path} was not written by mvnp validate; give --restart to replace it, or choose another --out"
            )
        changed = [called for part, called in _CALLED.items() if _of(metadata).get(part) != of[part]]
        if changed:
            raise CheckpointError(
                f"{path} is of an unfinished validation, and since then {' and '.join(changed)} changed: undo that to go on,"
                " give --restart to begin anew, or choose another --out"
            )
        done, broken = metadata.get("done"), metadata.get("broken", {})
        if not (_fits(arrays, count, classes) and type(done) is int and 0 <= done <= count and _is_broken(broken, count)):
            raise CheckpointError(f"{path} holds no such state; give --restart to begin anew, or choose another --out")
        state = cls(count)
        state.done, state.best, state.rank = done, arrays["best"], arrays["rank"]
        state.broken = {int(position): why for position, why in broken.items()}
        return state

    @staticmethod
    def remove(path: Path) -> None:
        path.unlink(missing_ok=True)
        remove_stale(path)


def _of(metadata: Mapping[str, Any]) -> dict[str, Any]:
    of = metadata.get("of")
    return of if isinstance(of, dict) else {}


def _fits(arrays: Mapping[str, np.ndarray], count: int, classes: int) -> bool:
    return arrays.keys() == {"best", "rank"} and all(
        a.shape == (count,) and a.dtype == np.int64 and ((a >= -1) & (a < classes)).all() for a in arrays.values()
    )


def _is_broken(broken: Any, count: int) -> bool:
    return isinstance(broken, dict) and all(
        isinstance(why, str) and position.isascii() and position.isdigit() and len(position) < 20 and int(position) < count
        for position, why in broken.items()
    )


def _digest(content: Any) -> str:
    return hashlib.blake2b(_dump(content), digest_size=16).hexdigest()


def _dump(content: Any) -> bytes:
    return json.dumps(content, sort_keys=True).encode("utf-8", "surrogateescape")
