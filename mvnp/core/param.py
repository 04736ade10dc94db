"""Param and Buffer: the arrays that a layer owns."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..backend import Array, to_numpy


class Param:
    """A trainable array. `data` is the array; an optimiser updates it."""

    trainable = True

    def __init__(self, data: Array) -> None:
        self.data = data

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.data.shape)

    @property
    def dtype(self) -> np.dtype:
        return self.data.dtype

    @property
    def ndim(self) -> int:
        return self.data.ndim

    @property
    def size(self) -> int:
        return self.data.size

    @property
    def filled(self) -> bool:
        """Whether it has memory of its own. The array of a layer that was made with `allocate=False` has not: it is one zero,
        seen again and again."""
        return not self.ndim or any(self.data.strides)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(to_numpy(self.data), dtype=dtype, copy=copy)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.shape}, {self.dtype})"


class Buffer(Param):
    """An array that belongs to a layer's state but is not trained: a running mean, a counter."""

    trainable = False
