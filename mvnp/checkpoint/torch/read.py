"""Weights as torch.save writes them, read without torch and without running anything.

There are two formats, today's (archive.py) and that before version 1.6 (legacy.py). A file says which it is by its first bytes.
"""

from __future__ import annotations

import os

import numpy as np

from ...errors import CheckpointError
from ..damage import AGAIN, DAMAGED_ZIP, brief
from .archive import is_archive, read_archive
from .legacy import is_legacy, read_legacy


def read_torch(path: str | os.PathLike[str], ema: bool = False) -> dict[str, np.ndarray]:
    """The state dict in a file of torch.save: the object itself, or its entry "state_dict" or "model".

    ema    the entry "state_dict_ema" or "model_ema" in its place

    Raises CheckpointError for a damaged file, and for a pickle that names anything but what a state dict needs.
    """
    with open(path, "rb") as file:
        try:
            begin, size = file.read(32), os.path.getsize(path)
            file.seek(0)
            if is_legacy(begin):
                return read_legacy(file, size, ema)
            if is_archive(begin):
                return read_archive(file, size, ema)
            raise CheckpointError(
                "is neither a zip file, as torch.save writes it since version 1.6, nor of the format before it, or it is"
                f" damaged; {AGAIN}, or open it with torch and save its state_dict() again"
            )
        except CheckpointError as error:
            raise CheckpointError(f"{path}: {error}") from error
        except DAMAGED_ZIP as error:
            raise CheckpointError(f"{path} is damaged ({brief(error)}); {AGAIN}") from error
