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

from collections.abc import Callable
from typing import Any

import numpy as np

from ..backend import Array, array_module, from_numpy
from ..core import Buffer, Initializer, Layer, Param, Tape
from ..errors import InputError, check_array
from ..execution.blockwise import as_rows, blockwise, column_sums, row_blocks, sum_rows
from ..kernels import twin

Moments = tuple[int, Array, Array]  # how many values, their mean, and the sum of their squared distances from it
Gather = Callable[[Any], list[Any]]  # gives what every piece of the batch has for a value; see mvnp/execution/shares.py


def batchnorm_forward(
    x: Array, weight: Array, bias: Array, eps: float = 1e-5, gather: Gather = lambda value: [value]
) -> tuple[Array, tuple]:
    """y of (1) in training; the cache (x, weight, mean, rstd, variance, n) also holds the batch's statistics.

    gather    where x is a piece of the batch: the means are those of all pieces together

    Raises InputError where a channel has a single value: it would be its own mean, and y would not depend on x.
    """
    check_array("BatchNorm", "x", x, (..., weight.shape[0]))
    xp = array_module(x, weight, bias)
    n, mean, squares = _merged(gather(moments(x)))
    if n == 1:
        raise InputError(
            f"BatchNorm: x has shape {tuple(x.shape)}, one value for each channel; training needs at least two:"
            " use a larger batch or image, or evaluation mode"
        )
    variance = squares / n
    rstd = 1.0 / xp.sqrt(variance + eps)
    return standardised(x, mean, rstd * weight, bias), (x, weight, mean, rstd, variance, n)


def batchnorm_backward(dy: Array, cache: tuple, gather: Gather = lambda value: [value]) -> tuple[Array, Array, Array]:
    """dx, dweight, dbias of (2) and (3). Of a piece, dweight and dbias are its share of the sums."""
    x, weight, mean, rstd, _, n = cache
    centred, dbias = centred_sums(dy, x, mean)
    dweight = centred * rstd
    # Within a channel ∂x̂_i/∂x_j = r (δ_ij − 1/n − x̂_i x̂_j / n): x_j also moves the mean and the spread of all the others.
    # Summed against g = γ dy: ⟨g⟩ = γ dβ / n and ⟨g x̂⟩ = γ dγ / n, so (2) reuses the sums of (3).
    of_dy, of_normalised = (sum(parts) / n for parts in zip(*gather((dbias, dweight)), strict=True))
    return input_gradient(dy, x, mean, weight * rstd, of_dy, rstd * of_normalised), dweight, dbias


def batchnorm_eval_forward(
    x: Array, weight: Array, bias: Array, mean: Array, variance: Array, eps: float = 1e-5
) -> tuple[Array, tuple]:
    """y of (1) with given statistics (C,), and the cache for `batchnorm_eval_backward`."""
    check_array("BatchNorm", "x", x, (..., weight.shape[0]))
    xp = array_module(x, weight, bias, mean, variance)
    rstd = 1.0 / xp.sqrt(variance + eps)
    return standardised(x, mean, rstd * weight, bias), (x, weight, mean, rstd)


def batchnorm_eval_backward(dy: Array, cache: tuple) -> tuple[Array, Array, Array]:
    """dx, dweight, dbias of (4) and (3)."""
    x, weight, mean, rstd = cache
    centred, dbias = centred_sums(dy, x, mean)
    return blockwise(lambda dy: dy * (weight * rstd), dy), centred * rstd, dbias


# The passes over x: what there is to do for each of its numbers.


@twin
def standardised(x: Array, mean: Array, scale: Array, bias: Array) -> Array:
    """y of (1), with `scale` γ r."""
    return blockwise(lambda x: (x - mean) * scale + bias, x)


@twin
def input_gradient(dy: Array, x: Array, mean: Array, gain: Array, of_dy: Array, slope: Array) -> Array:
    """dx of (2), with `gain` γ r, `of_dy` ⟨dy⟩ and `slope` r ⟨dy x̂⟩."""
    return blockwise(lambda dy, x: gain * (dy - of_dy - (x - mean) * slope), dy, x)


@twin
def centred_sums(dy: Array, x: Array, mean: Array) -> tuple[Array, Array]:
    """Σ dy (x − μ) and Σ dy of each channel."""
    return sum_rows(lambda dy, x: (dy * (x - mean), dy), dy, x)


@twin
def moments(x: Array) -> Moments:
    """Those of each channel, in one pass over x: of blocks that stay in the cache, put together."""
    found = []
    for part in row_blocks(x):
        block = as_rows(x)[part]
        mean = column_sums(block) / len(block)
        centred = block - mean
        found.append((len(block), mean, column_sums(centred * centred)))
    return _merged(found)


def _merged(found: list[Moments]) -> Moments:
    """The moments of all values together.

    Those of part i lie around m_i and not around the common mean m: Σ (x − m)² = Σ (x − m_i)² + n_i (m_i − m)². Chan, Golub,
    LeVeque: Updating Formulae and a Pairwise Algorithm for Computing Sample Variances (1979). Nothing large is subtracted.
    """
    n = sum(count for count, _, _ in found)
    mean = sum(mean * (count / n) for count, mean, _ in found)
    return n, mean, sum(squares + count * (part - mean) ** 2 for count, part, squares in found)


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
        y, cache = batchnorm_forward(x, weight, bias, self.eps, tape.all_gather)
        self._update(tape, mean=cache[2], variance=cache[4], n=cache[5])
        return self.record(tape, (y, cache))

    def _update(self, tape: Tape, mean: Array, variance: Array, n: int) -> None:
        """(5), left on the tape until it is committed."""
        m, xp = self.momentum, array_module(mean)
        tape.defer(self.running_mean, (1 - m) * tape.pending(self.running_mean) + m * mean)
        tape.defer(self.running_var, (1 - m) * tape.pending(self.running_var) + (m * n / (n - 1)) * variance)
        tape.defer(self.num_batches_tracked, xp.asarray(tape.pending(self.num_batches_tracked) + 1))

    def backward(self, dy: Array, tape: Tape) -> Array:
        cache = tape.pop(self)
        dx, dweight, dbias = (
            batchnorm_backward(dy, cache, tape.all_gather) if tape.training else batchnorm_eval_backward(dy, cache)
        )
        tape.accumulate(self.weight, dweight)
        tape.accumulate(self.bias, dbias)
        return dx
