"""Weights from what torch.save wrote: whichever of its formats a file is of, or a plain pickle with arrays of NumPy."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ...errors import CheckpointError
from ..damage import AGAIN, DAMAGED_ZIP, brief
from ..states import State, Unreadable, chosen_state
from .archive import BEGIN, read_archive
from .inert_pickle import Inert, read_next_pickle
from .legacy import is_legacy, read_legacy, storage_of_bytes
from .numpy_pickle import array_of, is_array
from .state_pickle import StorageRef, TensorRef, functions, read_tensors, storage_of

OURS = "mvnp"  # the entry in which we write what is known of a model
MOST_PLAIN = 2**31  # bytes of a plain pickle, which has the numbers in it

Choose = Callable[[Any], State]


def read_torch(
    path: str | os.PathLike[str], entry: str | None = None, ema: bool = False, bare: bool = True
) -> tuple[State, str | None]:
    """The state dict in a file of torch.save, its tensors as arrays, and what mvnp wrote beside it.

    entry, ema, bare    as in `chosen_state`

    Raises CheckpointError for a damaged file, one without weights, and one whose pickle would run commands elsewhere.
    """
    arrays: dict[str, np.ndarray] = {}

    def choose(content: Any) -> State:
        """The state dict, its references to storages alone: arrays that stand in the pickle itself go into `arrays`."""
        state = chosen_state(content, lambda value: isinstance(value, TensorRef) or is_array(value), entry, ema, bare)
        in_pickle = {key: array_of(value) for key, value in state.tensors.items() if isinstance(value, Inert)}
        arrays.update({key: array for key, array in in_pickle.items() if isinstance(array, np.ndarray)})
        reasons = {key: array.reason for key, array in in_pickle.items() if isinstance(array, Unreadable)}
        references = {key: value for key, value in state.tensors.items() if key not in in_pickle}
        return replace(state, tensors=references, unreadable={**state.unreadable, **reasons})

    with open(path, "rb") as file:
        begin, size = file.read(32), os.fstat(file.fileno()).st_size
        file.seek(0)
        try:
            if is_legacy(begin):
                content, state = read_legacy(file, size, choose)
            elif begin.startswith(BEGIN):
                content, state = read_archive(file, size, choose)
            elif begin[:1] == b"\x80":
                content, state = _read_plain(file.read(min(size, MOST_PLAIN)), choose)
            else:
                raise CheckpointError(
                    "is neither a zip file, as torch.save writes it since version 1.6, nor of the format before it, or it is"
                    f" damaged; {AGAIN}, or open it with torch and save its state_dict() again"
                )
        except CheckpointError as error:
            raise CheckpointError(f"{path}: {error}") from error
        except DAMAGED_ZIP as error:
            raise CheckpointError(f"{path} is damaged ({brief(error)}); {AGAIN}") from error
    ours = content.get(OURS) if isinstance(content, dict) else None
    return replace(state, tensors={**state.tensors, **arrays}), ours if isinstance(ours, str) else None


def _read_plain(data: bytes, choose: Choose) -> tuple[Any, State]:
    """A state dict that Python's own pickle wrote: arrays of NumPy, or tensors, whose storages are little files in it."""
    inside: dict[str, np.ndarray] = {}

    def storage_in_bytes(content: Any) -> StorageRef:
        if not isinstance(content, bytes | memoryview):
            raise TypeError
        storage, numbers = storage_of_bytes(bytes(content))
        storage = replace(storage, key=str(len(inside)))
        inside[storage.key] = numbers
        return storage

    names = {**functions(), "torch.storage _load_from_bytes": storage_in_bytes}
    content, at = read_next_pickle(data, 0, names, storage_of)
    if at != len(data):
        raise CheckpointError(f"has {len(data) - at} bytes behind its pickle: it is damaged, or no file of weights; {AGAIN}")
    state = choose(content)
    return content, replace(state, tensors=read_tensors(state.tensors, lambda storage: inside[storage.key].copy(), len(data)))
