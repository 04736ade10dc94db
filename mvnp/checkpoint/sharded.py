"""Weights in several files, with an index that says what is where: `model.safetensors.index.json`, as the hub has large models.

{"metadata": {…}, "weight_map": {key: name of a file in the same folder}}
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..errors import CheckpointError
from .damage import AGAIN, brief
from .states import shown

INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")

_MOST = 16 * 2**20  # bytes of an index
_SHARD = re.compile(r"[-_]\d+[-_]of[-_]\d+\.")
_FILE = re.compile(r"[^/\\\0-\x1f:]{1,255}")


def read_sharded(index: Path, read: Callable[[Path], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The arrays of all files that the index names. `read` gives those of one file.

    Raises CheckpointError for an index that makes no sense, and for a file that is missing or lacks what the index says.
    """
    files: dict[str, list[str]] = {}
    for key, name in _weight_map(index).items():
        files.setdefault(name, []).append(key)
    missing = [name for name in files if not (index.parent / name).is_file()]
    if missing:
        raise CheckpointError(
            f"{index} names {len(files)} files, and {len(missing)} of them are not beside it: {', '.join(missing[:3])}"
            f"{', …' if len(missing) > 3 else ''}. Download them into the same folder"
        )
    arrays: dict[str, np.ndarray] = {}
    for name, keys in files.items():
        held = read(index.parent / name)
        lacking = [key for key in keys if key not in held]
        if lacking:
            raise CheckpointError(
                f"{index.parent / name} lacks '{shown(lacking[0])}', which {index.name} says is in it; {AGAIN}"
            )
        arrays.update({key: held[key] for key in keys})
    return arrays


def shards(index: Path) -> list[Path]:
    """The files that an index names; none, where this is another file."""
    if not index.name.endswith("index.json") or not index.is_file():
        return []
    return [index.parent / name for name in dict.fromkeys(_weight_map(index).values())]


def shard_hint(path: Path) -> str:
    """What to say besides of a file that is one of several by its name."""
    index = next((name for name in INDEXES if (path.parent / name).is_file()), "index.json")
    return f". It is one of several by its name: give the folder, or its {index}" if _SHARD.search(path.name) else ""


def _weight_map(index: Path) -> dict[str, str]:
    try:
        with open(index, "rb") as file:
            data = file.read(_MOST + 1)
        if len(data) > _MOST:
            raise CheckpointError(f"{index} is larger than {_MOST} bytes, and so no index of weights")
        content = json.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{index} is no file of weights, and no index of them either ({brief(error)})") from error
    names = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(names, dict) or not names:
        raise CheckpointError(f"{index} is JSON without a weight_map, so no index of weights; give the file of weights itself")
    for name in names.values():
        if not isinstance(name, str) or not _FILE.fullmatch(name) or name in (".", ".."):
            raise CheckpointError(f"{index} names '{shown(str(name))}' as a file, expected a name in the same folder")
    return names
