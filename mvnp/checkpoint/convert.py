"""From one kind of file of weights to another."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import CheckpointError, InputError, check_choice, refusing
from .keys import check_keys
from .load import read_weights
from .locate import located_in
from .pretrained import noted_metadata
from .sharded import shards
from .states import shown
from .write import ending_of, write_weights

DTYPES = ("float32", "float16", "bfloat16", "float64")


@dataclass(frozen=True)
class Converted:
    """What was written: how many arrays, numbers, and bytes; and what was done on the way, a line each."""

    arrays: int
    numbers: int
    size: int
    notes: tuple[str, ...] = ()


@refusing
def convert_checkpoint(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    dtype: str | None = None,
    ema: bool = False,
    entry: str | None = None,
    prefix: str = "",
) -> Converted:
    """Read weights from `source`, a file of any kind that `load_checkpoint` reads or a folder with one, and write them.

    target    ends in .safetensors, .npz, .pth, .pth.tar or .pt; a file for torch is {"state_dict": weights}
    dtype     of floating arrays: "float32", "float16", "bfloat16", "float64"; None: as they are (bfloat16 becomes float32)
    ema       the moving average of the weights that a training script saved beside them
    entry     the name under which the weights stand in `source`, where there are several
    prefix    put before every key: "model." is what the hub's library expects in a .safetensors

    The keys are the official ones, and the target is written whole or not at all. What mvnp knows of the model (its
    arguments, classes, how images are prepared) goes along into each kind of file. Raises CheckpointError for a file that
    cannot be read and a number that float16 cannot hold; InputError for a target of another kind or that is the source
    itself, a key that cannot be a name in every format, and for bfloat16 in .npz, which NumPy does not have; OSError.
    """
    path, ending = Path(target), ending_of(Path(target))
    if dtype is not None:
        check_choice("dtype", dtype, DTYPES)
    if dtype == "bfloat16" and ending == ".npz":
        raise InputError(f"{path}: NumPy's files have no bfloat16; choose float16, or another kind of file")
    source = located_in(source)
    if path.exists() and any(os.path.exists(each) and os.path.samefile(each, path) for each in (source, *shards(source))):
        raise InputError(f"{path} is the file to read: what is converted would take its place. Choose another name for it")
    read = read_weights(source, ema=ema, entry=entry)
    for key, reason in read.unreadable.items():
        raise CheckpointError(f"{source}: {shown(key)} {reason}")
    # Before anything is converted.
    check_keys(path.name, [prefix + key for key in read.arrays])
    weights = {prefix + key: _as_dtype(source, key, array, dtype) for key, array in _emptied(read.arrays)}
    write_weights(path, weights, noted_metadata(read.metadata), dtype == "bfloat16")
    return Converted(len(weights), sum(array.size for array in weights.values()), path.stat().st_size, read.notes)


def _emptied(weights: dict[str, np.ndarray]) -> Any:
    """The entries, each taken out as it is given: what is converted need not be held twice."""
    for key in list(weights):
        yield key, weights.pop(key)


def _as_dtype(source: Any, key: str, array: np.ndarray, dtype: str | None) -> np.ndarray:
    if dtype is None or array.dtype.kind != "f" or dtype == "bfloat16":
        return array  # bfloat16 is made where it is written, since NumPy has none
    with np.errstate(over="ignore"):
        cast = array.astype(dtype, copy=False)
    if dtype == "float16" and np.isinf(cast).any() and not np.isinf(array).any():
        worst = np.abs(array).max()
        raise CheckpointError(f"{source}: {key} has a {worst:.3g}, and float16 ends at 65504; bfloat16 holds it, less exactly")
    return cast
