"""BatchNorm: standardise each channel over the batch and all positions, then scale and shift.

    x, y, dx, dy (..., C)    weight γ, bias β, mean μ, variance σ² (C,)    n = product of the leading axes

    training      μ, σ² of this batch (σ² biased)      r = (σ² + ε)^(−1/2)
                  x̂ = (x − μ) r                        y = γ x̂ + β                      (1)
    backward      g = γ dy                             dx = r (g − ⟨g⟩ − x̂ ⟨g x̂⟩)       (2)
                  dγ = Σ dy x̂                          dβ = Σ dy                        (3)
    evaluation    μ, σ² are the running statistics, constants: dx = r g                 (4)
    running       μ_run ← (1 − m) μ_run + m μ          momentum m = 0.1
                  σ²_run ← (1 − m) σ²_run + m σ² n/(n − 1)    unbiased                  (5)

⟨·⟩ is the mean over the leading axes, for each channel. (2) has the form of LayerNorm's, with the other axes.

Ioffe, Szegedy: Batch Normalization, arXiv:1502.03167, algorithm 1 and section 3.
"""

from __future__ import annotations

import math

import numpy as np

from ..backend import Array, array_module, from_numpy
from ..errors import InputError, check_array
from ..initializer import Initializer
from ..layer import Buffer, Layer, Param, Tape


def batchnorm_forward(x: Array, weight: Array, bias: Array, eps: float = 1e-5) -> tuple[Array, tuple]:
    """y of (1) in training; the cache (x, weight, mean, rstd, variance) also holds the batch's statistics.

    Raises InputError where a channel has a single value: it would be its own mean, and y would not depend on x.
    """
    check_array("BatchNorm", "x", x, (..., weight.shape[0]))
    xp = array_module(x, weight, bias)
    if math.prod(x.shape[:-1]) == 1:
        raise InputError(
            f"BatchNorm: x has shape {tuple(x.shape)}, one value for each channel; training needs at least two:"
            " use a larger batch or image, or evaluation mode"
        )
    axes = tuple(range(x.ndim - 1))
    mean = x.mean(axis=axes)
    centred = x - mean
    variance = (centred * centred).mean(axis=axes)
    rstd = 1.0 / xp.sqrt(variance + eps)
    return centred * (rstd * weight) + bias, (x, weight, mean, rstd, variance)


def batchnorm_backward(dy: Array, cache: tuple) -> tuple[Array, Array, Array]:
    """dx, dweight, dbias of (2) and (3)."""
    x, weight, mean, rstd, _ = cache
    axes = tuple(range(x.ndim - 1))
    normalised = (x - mean) * rstd
    dweight = (dy * normalised).sum(axis=axes)
    dbias = dy.sum(axis=axes)
    # Within a channel ∂x̂_i/∂x_j = r (δ_ij − 1/n − x̂_i x̂_j / n): x_j also moves the mean and the spread of all the others.
    # Summed against g = γ dy: ⟨g⟩ = γ dβ / n and ⟨g x̂⟩ = γ dγ / n, so (2) reuses the sums of (3).
    n = math.prod(x.shape[:-1])
    return weight * rstd * (dy - dbias / n - normalised * (dweight / n)), dweight, dbias


def batchnorm_eval_forward(
    x: Array, weight: Array, bias: Array, mean: Array, variance: Array, eps: float = 1e-5
) -> tuple[Array, tuple]:
    """y of (1) with given statistics (C,), and the cache for `batchnorm_eval_backward`."""
    check_array("BatchNorm", "x", x, (..., weight.shape[0]))
    xp = array_module(x, weight, bias, mean, variance)
    rstd = 1.0 / xp.sqrt(variance + eps)
    return (x - mean) * (rstd * weight) + bias, (x, weight, mean, rstd)


def batchnorm_eval_backward(dy: Array, cache: tuple) -> tuple[Array, Array, Array]:
    """dx, dweight, dbias of (4) and (3)."""
    x, weight, mean, rstd = cache
    axes = tuple(range(x.ndim - 1))
    return dy * (weight * rstd), (dy * (x - mean)).sum(axis=axes) * rstd, dy.sum(axis=axes)


class BatchNorm(Layer):
    """Batch normalisation over all axes but the last, of size `channels`.

    The tape says which statistics count: a training tape the batch's, everything else the running ones. The running
    statistics change when the tape is committed, never during a forward.
    """

    def __init__(self, channels: int, eps: float = 1e-5, momentum: float = 0.1, init: Initializer | None = None) -> None:
        init = init or Initializer()
        self.weight = Param(init.full((channels,), 1.0))
        self.bias = Param(init.full((channels,), 0.0))
        self.running_mean = Buffer(init.full((channels,), 0.0))
        self.running_var = Buffer(init.full((channels,), 1.0))
        self.num_batches_tracked = Buffer(from_numpy(np.zeros((), np.int64)))
        self.eps, self.momentum = eps, momentum

    def forward(self, x: Array, tape: Tape | None = None) -> Array:
        weight, bias = self.weight.data, self.bias.data
        if tape is None or not tape.training:
            statistics = self.running_mean.data, self.running_var.data
            return self.record(tape, batchnorm_eval_forward(x, weight, bias, *statistics, self.eps))
        y, cache = batchnorm_forward(x, weight, bias, self.eps)
        self._update(tape, mean=cache[2], variance=cache[4], n=math.prod(x.shape[:-1]))
        return self.record(tape, (y, cache))

    def _update(self, tape: Tape, mean: Array, variance: Array, n: int) -> None:
        """(5), left on the tape until it is committed."""
        m, xp = self.momentum, array_module(mean)
        tape.defer(self.running_mean, (1 - m) * tape.pending(self.running_mean) + m * mean)
        tape.defer(self.running_var, (1 - m) * tape.pending(self.running_var) + (m * n / (n - 1)) * variance)
        tape.defer(self.num_batches_tracked, xp.asarray(tape.pending(self.num_batches_tracked) + 1))

    def backward(self, dy: Array, tape: Tape) -> Array:
        cache = tape.pop(self)
        dx, dweight, dbias = batchnorm_backward(dy, cache) if tape.training else batchnorm_eval_backward(dy, cache)
        tape.accumulate(self.weight, dweight)
        tape.accumulate(self.bias, dbias)
        return dx
