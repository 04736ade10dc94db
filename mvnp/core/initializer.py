"""How parameters begin: drawn on the host from one seed, so that a model is the same on every backend.

    dense weights         truncated normal, σ = 0.02, cut at ±2
    convolution weights   uniform in ±1/√fan_in, which is Kaiming-uniform with a = √5
    norms                 weight 1, bias 0
    biases                0 for linear layers, uniform in ±1/√fan_in for convolutions

(the values that the official MambaVision release starts from; He et al. 2015 for Kaiming)
"""

from __future__ import annotations

import math

import numpy as np

from ..backend import Array, from_numpy
from ..errors import check_dtype, refusing, seeded
from .sizes import check_shape


class Initializer:
    """Makes the first value of every parameter.

    seed       of the one generator that all draws come from, in the order in which layers are built
    dtype      "float32" or "float64"
    allocate   False: nothing is drawn and no memory is taken. Each parameter is a read-only view of a single zero,
               with the right shape, until `load_state_dict` fills it; for counting, and for loading weights.
    """

    @refusing
    def __init__(self, seed: int = 0, dtype: str = "float32", allocate: bool = True) -> None:
        self.rng = seeded("Initializer", seed)
        self.dtype = check_dtype("Initializer", dtype)
        self.allocate = allocate

    def truncated_normal(self, shape: tuple[int, ...], std: float = 0.02) -> Array:
        """Normal with the given standard deviation, cut at ±2 (not at ±2σ: for σ = 0.02 the cut is out of reach)."""
        check_shape(shape)
        if not self.allocate:
            return self._placeholder(shape)
        return self.array(np.clip(self.rng.normal(0.0, std, shape), -2.0, 2.0))

    def uniform(self, shape: tuple[int, ...], fan_in: int) -> Array:
        """Uniform in ±1/√fan_in."""
        check_shape(shape)
        if not self.allocate:
            return self._placeholder(shape)
        bound = 1.0 / math.sqrt(fan_in)
        return self.array(self.rng.uniform(-bound, bound, shape))

    def full(self, shape: tuple[int, ...], value: float) -> Array:
        """Every entry `value`."""
        check_shape(shape)
        return self.array(np.full(shape, value)) if self.allocate else self._placeholder(shape)

    def array(self, host: np.ndarray) -> Array:
        """A given array, in this initializer's dtype and on the backend in use."""
        return from_numpy(host.astype(self.dtype, order="C")) if self.allocate else self._placeholder(host.shape)

    def _placeholder(self, shape: tuple[int, ...]) -> Array:
        return np.broadcast_to(np.zeros((), self.dtype), shape)
