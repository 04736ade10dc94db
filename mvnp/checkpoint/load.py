"""Weights from any file that we read, as a dict of arrays with the model's own keys."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import CheckpointError, InputError, check_dtype, check_path, refusing
from . import content
from .arrays import parse_metadata, read_safetensors
from .npz import METADATA, read_npz
from .sharded import INDEXES, read_sharded
from .states import State, bare_keys, chosen_state, shown
from .torch import read_torch

# Before the keys of the model and of the average of its weights, in a checkpoint of a training run.
MODEL, AVERAGE = "model.", "ema."


@dataclass(frozen=True)
class Weights:
    """What a file has.

    arrays        {key: array}, ready for `model.load_state_dict`
    metadata      what mvnp noted in the file; empty in files of others
    unreadable    {key: reason} of tensors that are there and cannot be read
    notes         what a user should know, a line each
    """

    arrays: dict[str, np.ndarray]
    metadata: dict[str, Any] = field(default_factory=dict)
    unreadable: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@refusing
def load_checkpoint(
    path: str | os.PathLike[str], *, ema: bool = False, entry: str | None = None, dtype: str | None = None
) -> dict[str, np.ndarray]:
    """The weights in a file: {key: array}, ready for `model.load_state_dict`.

    What a file is shows in its content; its name may end as it likes.

    safetensors      float32, float16, bfloat16 (given as float32), integers; also the checkpoints of `mvnp train`, of which
                     the model's part is given (of the best epoch that of the weights' average, where that was the better
                     one), and the index of weights in several files (model.safetensors.index.json)
    npz              arrays of numbers
    torch.save       in today's format and that before version 1.6, and plain pickles of arrays; read without torch, and without
                     running anything. The weights may stand under any name, beside whatever a script has put there

    ema      the moving average of the weights that a training script keeps under a name with "ema" in it, not the weights
    entry    the name under which the weights stand, where there are several: "model", "teacher.backbone"; or what their keys
             begin with
    dtype    "float32" or "float64": what floating arrays are converted to; None: left as they are in the file

    Each array is read into memory of its own, once. Prefixes that every key carries are taken off ("module.", "model.",
    "_orig_mod.", and any other in front of the keys of a model that we know). Raises CheckpointError for a file of another
    kind, a damaged one, or one without what was asked for; FileNotFoundError.
    """
    check_path("load_checkpoint", path, "the name of a file of weights")
    weights = read_weights(path, ema=ema, entry=entry)
    for key, reason in weights.unreadable.items():
        raise CheckpointError(f"{path}: {shown(key)} {reason}")
    if dtype is not None:
        convert_floats(weights.arrays, check_dtype("load_checkpoint", dtype))
    return weights.arrays


def convert_floats(weights: dict[str, np.ndarray], dtype: np.dtype) -> None:
    """Convert floating arrays, one by one and in their place: what they were is let go at once."""
    for key, array in weights.items():
        if array.dtype.kind == "f":
            weights[key] = array.astype(dtype, copy=False)


def read_weights(path: str | os.PathLike[str], *, ema: bool = False, entry: str | None = None) -> Weights:
    """The weights, as `load_checkpoint` gives them, and what else is known. What cannot be read is noted, and not judged."""
    path = Path(path)
    if entry is not None and (not isinstance(entry, str) or not entry):
        raise InputError(f"entry is {entry!r}, expected the name under which the weights stand in the file")
    kind = content.kind_of(path) or next((kind for ending, kind in ENDINGS.items() if path.name.lower().endswith(ending)), None)
    if kind is None:
        raise CheckpointError(
            f"{path}: unknown kind of file; it is no safetensors, no npz, and nothing that torch.save wrote, by its content"
        )
    weights = _READERS[kind](path, ema, entry)
    if not weights.arrays and not weights.unreadable:
        raise CheckpointError(f"{path} holds no arrays")
    return weights


@refusing
def strip_wrappers(weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The weights without the prefixes that all keys share: as many of them as leave the keys of a model that we know."""
    return {bare: weights[key] for bare, key in bare_keys(weights).items()}


def _flat(path: Path, arrays: dict[str, np.ndarray], entry: str | None, unreadable: dict[str, str] | None = None) -> State:
    if not arrays and not unreadable:
        raise CheckpointError(f"{path} holds no arrays")
    try:
        state = chosen_state(arrays, lambda value: isinstance(value, np.ndarray), entry)
    except CheckpointError as error:
        raise CheckpointError(f"{path} {error}") from error
    return replace(state, unreadable=unreadable or {})


def _safetensors(path: Path, ema: bool, entry: str | None) -> Weights:
    arrays, metadata, unreadable = read_safetensors(path)
    metadata = metadata or {}
    if metadata.get("kind") == "training":
        averaged = any(key.startswith(AVERAGE) for key in arrays)
        prefix = AVERAGE if ema or (averaged and metadata.get("weights") == "average") else MODEL
        _no_average(path, ema and not averaged)
        arrays = {key.removeprefix(prefix): array for key, array in arrays.items() if key.startswith(prefix)}
    else:
        _no_average(path, ema)
    state = _flat(path, arrays, entry, unreadable)
    return Weights(state.tensors, metadata, state.unreadable, state.notes)


def _npz(path: Path, ema: bool, entry: str | None) -> Weights:
    _no_average(path, ema)
    arrays = read_npz(path)
    text = arrays.pop(METADATA, None)
    metadata = {} if text is None else parse_metadata(path, text.tobytes().decode("utf-8", "replace"))
    state = _flat(path, arrays, entry)
    return Weights(state.tensors, metadata, notes=state.notes)


def _torch(path: Path, ema: bool, entry: str | None) -> Weights:
    state, text = read_torch(path, entry, ema)
    metadata = {} if text is None or entry is not None else parse_metadata(path, text)
    return Weights(state.tensors, metadata, state.unreadable, state.notes)


def _index(path: Path, ema: bool, entry: str | None) -> Weights:
    _no_average(path, ema)
    state = _flat(path, read_sharded(path, _arrays_of), entry)
    return Weights(state.tensors, notes=state.notes)


def _arrays_of(path: Path) -> dict[str, np.ndarray]:
    """Of one file of several, with the keys that it has."""
    if content.kind_of(path) == content.TORCH:
        return read_torch(path, bare=False)[0].tensors
    return read_safetensors(path)[0]


def _no_average(path: Path, ema: bool) -> None:
    if ema:
        raise CheckpointError(f"{path} has one set of weights and no moving average of them; leave out ema")


_READERS: dict[str, Callable[[Path, bool, str | None], Weights]] = {
    content.SAFETENSORS: _safetensors,
    content.NPZ: _npz,
    content.TORCH: _torch,
    content.INDEX: _index,
}

# What names of files of weights end in, where a folder is searched, and which reader says what is wrong with a damaged one.
ENDINGS = {
    ".safetensors": content.SAFETENSORS,
    ".npz": content.NPZ,
    **dict.fromkeys((".pth", ".pth.tar", ".pt", ".bin", ".ckpt", ".pkl"), content.TORCH),
    **dict.fromkeys((f".{name.partition('.')[2]}" for name in INDEXES), content.INDEX),
}
