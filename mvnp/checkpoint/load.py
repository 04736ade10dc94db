"""Weights from any file that we read, as a dict of arrays with the model's own keys."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import CheckpointError, check_dtype, check_path
from .arrays import read_safetensors
from .npz import read_npz
from .torch import read_torch

MODEL = "model."  # before the keys of the model, in a checkpoint of a training run
WRAPPERS = ("module.", MODEL)  # what data parallelism and Hugging Face put before every key


def load_checkpoint(path: str | os.PathLike[str], *, ema: bool = False, dtype: str | None = None) -> dict[str, np.ndarray]:
    """The weights in a file: {key: array}, ready for `model.load_state_dict`.

    .safetensors             float32, float16, bfloat16 (given as float32), integers; also the checkpoints of `mvnp train`,
                             of which only the model's part is given
    .npz                     arrays of numbers
    .pth .pth.tar .pt .bin   written by torch.save, in today's format and that before version 1.6; read without torch, and
                             without running anything; the weights may stand under "state_dict" or "model"

    ema      the moving average of the weights ("state_dict_ema" or "model_ema" of a training script) and not the weights
    dtype    "float32" or "float64": what floating arrays are converted to; None: left as they are in the file

    Each array is read into memory of its own, once. A prefix "module." or "model." that every key carries is taken off.
    Raises CheckpointError for a file of another kind, a damaged one, or one without the average that was asked for;
    FileNotFoundError.
    """
    check_path("load_checkpoint", path, "the name of a file of weights")
    weights = read_weights(path, ema=ema)[0]
    if dtype is not None:
        convert_floats(weights, check_dtype("load_checkpoint", dtype))
    return weights


def convert_floats(weights: dict[str, np.ndarray], dtype: np.dtype) -> None:
    """Convert floating arrays, one by one and in their place: what they were is let go at once."""
    for key, array in weights.items():
        if array.dtype.kind == "f":
            weights[key] = array.astype(dtype, copy=False)


def read_weights(path: str | os.PathLike[str], *, ema: bool = False) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The weights, as `load_checkpoint` gives them, and what mvnp noted in the file (empty in files of others)."""
    path = Path(path)
    reader = next((reader for ending, reader in _READERS.items() if path.name.lower().endswith(ending)), None)
    if reader is None:
        raise CheckpointError(f"{path}: unknown kind of file, expected a name that ends in one of {', '.join(ENDINGS)}")
    if path.is_dir():
        raise CheckpointError(f"{path} is a folder, expected a file of weights")
    weights, metadata = reader(path, ema)
    if not weights:
        raise CheckpointError(f"{path} holds no arrays")
    return strip_wrappers(weights), metadata


def strip_wrappers(weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The weights without the prefixes that all keys share, however many of them there are."""
    stripped = dict(weights)
    while prefix := next((p for p in WRAPPERS if stripped and all(key.startswith(p) for key in stripped)), None):
        stripped = {key.removeprefix(prefix): array for key, array in stripped.items()}
    return stripped


_Read = tuple[Mapping[str, np.ndarray], dict[str, Any]]


def _safetensors(path: Path, ema: bool) -> _Read:
    _no_average(path, ema)
    arrays, metadata = read_safetensors(path)
    if metadata is None or metadata.get("kind") != "training":
        return arrays, metadata or {}
    return {key.removeprefix(MODEL): array for key, array in arrays.items() if key.startswith(MODEL)}, metadata


def _npz(path: Path, ema: bool) -> _Read:
    _no_average(path, ema)
    return read_npz(path), {}


def _torch(path: Path, ema: bool) -> _Read:
    return read_torch(path, ema), {}


def _no_average(path: Path, ema: bool) -> None:
    if ema:
        raise CheckpointError(f"{path} has one set of weights and no moving average of them; leave out ema")


_READERS: dict[str, Callable[[Path, bool], _Read]] = {
    ".safetensors": _safetensors,
    ".npz": _npz,
    **dict.fromkeys((".pth", ".pth.tar", ".pt", ".bin"), _torch),
}

ENDINGS = tuple(_READERS)
