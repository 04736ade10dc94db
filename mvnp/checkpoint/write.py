"""Weights into a file of the kind that its name says, with what is known of the model: whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..atomic import write_with
from ..backend import Array, to_numpy
from ..errors import InputError
from .arrays import save_arrays
from .keys import check_keys
from .npz import METADATA, write_npz
from .torch import write_torch

WRITABLE = (".safetensors", ".npz", ".pth", ".pth.tar", ".pt")


def ending_of(path: Path) -> str:
    """The ending that says the kind of file to write. Raises InputError for another."""
    ending = next((ending for ending in WRITABLE if path.name.lower().endswith(ending)), None)
    if ending is None:
        raise InputError(f"{path}: unknown kind of file to write, expected a name that ends in one of {', '.join(WRITABLE)}")
    return ending


def write_weights(path: Path, arrays: Mapping[str, Array], metadata: Mapping[str, Any], bfloat16: bool = False) -> None:
    """Write arrays, and where there is any the metadata: in .safetensors beside the header, as a JSON text under "mvnp" in
    torch's files, and as an array of its bytes, `__metadata__`, in .npz.

    Raises InputError for a key that cannot be a name in every format, a dtype that this one does not have, and metadata that is
    not JSON; OSError. What was there is then untouched.
    """
    ending = ending_of(path)
    check_keys(path.name, arrays)
    if ending == ".safetensors":
        save_arrays(path, arrays, metadata, bfloat16=bfloat16)
        return
    text = json.dumps(metadata, allow_nan=False, sort_keys=True) if metadata else None
    host = {key: to_numpy(array) for key, array in arrays.items()}
    if ending == ".npz":
        if text is not None:
            host[METADATA] = np.frombuffer(text.encode(), np.uint8)
        write_with(path, lambda file: write_npz(file, host))
    else:
        write_with(path, lambda file: write_torch(file, host, bfloat16, text))
