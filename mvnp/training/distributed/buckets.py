"""Gradients of all ranks, added up in buckets.

A message has a cost that does not depend on its length, and a network has hundreds of parameters: so they are packed, one
after the other, into buckets of a few megabytes. A bucket is on its way while the next is being packed.

Arrays on a GPU are packed there and go through the host's memory: so any MPI will do, also one that knows nothing of GPUs.

Li et al.: PyTorch Distributed, arXiv:2006.15704, section 3.2.3.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...backend import Array, array_module, moved_to, to_numpy

BUCKET_BYTES = 8 << 20


def all_reduce(communicator: Any, arrays: dict[str, Array], bucket_bytes: int = BUCKET_BYTES) -> dict[str, Array]:
    """Σ over the ranks of each array; all ranks give the same names, shapes and dtypes, in the same order.

    communicator    of mpi4py
    """
    under_way = []
    for names in _buckets(arrays, bucket_bytes):
        buffer = _packed([arrays[name] for name in names])
        total = np.empty_like(buffer)
        under_way.append((names, buffer, total, communicator.Iallreduce(buffer, total)))
    sums: dict[str, Array] = {}
    for names, _, total, request in under_way:
        request.Wait()
        edges = np.cumsum([arrays[name].size for name in names])[:-1]
        for name, numbers in zip(names, np.split(total, edges), strict=True):
            sums[name] = moved_to(arrays[name], numbers.reshape(arrays[name].shape))
    return sums


def _buckets(arrays: dict[str, Array], limit: int) -> list[list[str]]:
    """The names, in order, cut where a bucket is full or the dtype changes. What is larger than a bucket has its own."""
    buckets: list[list[str]] = []
    filled = 0
    for name, array in arrays.items():
        if not buckets or filled + array.nbytes > limit or array.dtype != arrays[buckets[-1][-1]].dtype:
            buckets.append([])
            filled = 0
        buckets[-1].append(name)
        filled += array.nbytes
    return buckets


def _packed(arrays: list[Array]) -> np.ndarray:
    """All numbers in one row, on the host."""
    return to_numpy(array_module(*arrays).concatenate([array.reshape(-1) for array in arrays]))
