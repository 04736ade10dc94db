"""Weights from any file that we read, as a dict of arrays with the model's own keys."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from ..errors import CheckpointError
from .arrays import read_safetensors
from .npz import read_npz
from .torch_zip import read_torch

MODEL = "model."  # before the keys of the model, in a checkpoint of a training run
WRAPPERS = ("module.", MODEL)  # what data parallelism and Hugging Face put before every key


def load_checkpoint(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """The weights in a file: {key: array}, ready for `model.load_state_dict`.

    .safetensors             float32, float16, bfloat16 (given as float32), integers; also the checkpoints of `mvnp train`,
                             of which only the model's part is given
    .npz                     arrays of numbers
    .pth .pth.tar .pt .bin   written by torch.save since version 1.6; read without torch, and without running anything

    A prefix "module." or "model." that every key carries is taken off. Raises CheckpointError for a file of another
    kind, or a damaged one; FileNotFoundError.
    """
    path = Path(path)
    readers: dict[str, Callable[[Path], Mapping[str, np.ndarray]]] = {
        ".safetensors": _model_part,
        ".npz": read_npz,
        **dict.fromkeys((".pth", ".pth.tar", ".pt", ".bin"), read_torch),
    }
    reader = next((reader for ending, reader in readers.items() if path.name.lower().endswith(ending)), None)
    if reader is None:
        raise CheckpointError(f"{path}: unknown kind of file, expected a name that ends in one of {', '.join(readers)}")
    if path.is_dir():
        raise CheckpointError(f"{path} is a folder, expected a file of weights")
    weights = reader(path)
    if not weights:
        raise CheckpointError(f"{path} holds no arrays")
    return strip_wrappers(weights)


def strip_wrappers(weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The weights without the prefixes that all keys share, however many of them there are."""
    stripped = dict(weights)
    while prefix := next((p for p in WRAPPERS if stripped and all(key.startswith(p) for key in stripped)), None):
        stripped = {key.removeprefix(prefix): array for key, array in stripped.items()}
    return stripped


def _model_part(path: Path) -> dict[str, np.ndarray]:
    arrays, metadata = read_safetensors(path)
    if metadata is None or metadata.get("kind") != "training":
        return arrays
    return {key.removeprefix(MODEL): array for key, array in arrays.items() if key.startswith(MODEL)}
