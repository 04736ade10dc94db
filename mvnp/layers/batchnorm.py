"""BatchNorm: standardise each channel over the batch and all positions, then scale and shift.

    x, y, dx, dy (..., C)    weight γ, bias β, mean μ, variance σ² (C,)    n the number of rows

    training      μ, σ² of this batch (σ² biased)      r = (σ² + ε)^(−1/2)
                  x̂ = (x − μ) r                        y = γ x̂ + β                      (1)
    backward      g = γ dy                             dx = r (g − ⟨g⟩ − x̂ ⟨g x̂⟩)       (2)
                  dγ = Σ dy x̂                          dβ = Σ dy                        (3)
    evaluation    μ, σ² are the running statistics, constants: dx = r g                 (4)
    running       μ_run ← (1 − m) μ_run + m μ          momentum m = 0.1
                  σ²_run ← (1 − m) σ²_run + m σ² n/(n − 1)    unbiased                  (5)

⟨·⟩ is the mean over the rows, that is all leading axes, for each channel.

Ioffe, Szegedy: Batch Normalization, arXiv:1502.03167, algorithm 1 and section 3."""

import numpy as np

from ..backend import Array, array_module, from_numpy
from ..core import Buffer, Initializer, Layer, Param, Tape, sum_rows
from ..core.moments import Moments, merged
from ..core.tape import AllGather, alone
from ..errors import InputError, check_array, check_arrays, refusing
from ..kernels import twin


@refusing
def batchnorm_forward(x: Array, weight: Array, bias: Array, eps: float = 1e-5,
                      all_gather: AllGather = alone) -> tuple[Array, tuple]:  # fmt: skip
    """y of (1) in training; the cache (x, weight, mean, rstd, variance, n) has the statistics.

    all_gather    where x is a share of a batch: the statistics are those of the whole batch

    Raises InputError where a channel has a single value: it is its own mean, y the bias."""
    check_arrays("BatchNorm", "", weight=(weight, "C"), bias=(bias, "C"), x=(x, (..., "C")))
    n, mean, squares = merged(all_gather(moments(x)))
    if n == 1:
        raise InputError(f"BatchNorm: x has shape {tuple(x.shape)}, one value for each channel;"
                         " training needs two: a larger batch or image, or evaluation")  # fmt: skip
    y, cache = batchnorm_eval_forward(x, weight, bias, mean, squares / n, eps)
    return y, (*cache, squares / n, n)


@refusing
def batchnorm_backward(dy: Array, cache: tuple,
                       all_gather: AllGather = alone) -> tuple[Array, Array, Array]:  # fmt: skip
    """dx, dweight, dbias of (2) and (3). Of a share, dweight and dbias are its part of the sums."""
    x, weight, mean, rstd, _, n = cache
    check_array("BatchNorm", "dy", dy, x.shape, x)
    dweight, dbias = parameter_gradients(dy, x, mean, rstd)
    # Within a channel ∂x̂_i/∂x_j = r (δ_ij − 1/n − x̂_i x̂_j / n): x_j also moves mean and spread
    # of all the others. Summed against g = γ dy over i this is (2), and γ is a constant there:
    # ⟨g⟩ = γ dβ / n and ⟨g x̂⟩ = γ dγ / n, of the whole batch.
    dweight_all, dbias_all = map(sum, zip(*all_gather((dweight, dbias)), strict=True))
    mean_g, mean_g_x_hat = weight * dbias_all / n, weight * dweight_all / n
    return input_gradient(dy, x, mean, rstd, weight, mean_g, mean_g_x_hat), dweight, dbias


@twin
def batchnorm_eval_forward(x: Array, weight: Array, bias: Array, mean: Array, variance: Array,
                           eps: float = 1e-5) -> tuple[Array, tuple]:  # fmt: skip
    """y of (1) with given statistics (C,), and the cache for `batchnorm_eval_backward`."""
    vectors = {"weight": weight, "bias": bias, "mean": mean, "variance": variance}
    check_arrays("BatchNorm", "", **{k: (v, "C") for k, v in vectors.items()}, x=(x, (..., "C")))
    rstd = 1 / array_module(x, weight, bias, mean, variance).sqrt(variance + eps)
    x_hat = (x - mean) * rstd
    return weight * x_hat + bias, (x, weight, mean, rstd)  # (1)


@twin
def batchnorm_eval_backward(dy: Array, cache: tuple) -> tuple[Array, Array, Array]:
    """dx, dweight, dbias of (4) and (3)."""
    x, weight, mean, rstd = cache
    check_array("BatchNorm", "dy", dy, x.shape, x)
    dx = rstd * weight * dy  # (4)
    return dx, *parameter_gradients(dy, x, mean, rstd)


@twin
def input_gradient(dy: Array, x: Array, mean: Array, rstd: Array, weight: Array,
                   mean_g: Array, mean_g_x_hat: Array) -> Array:  # fmt: skip
    """dx of (2), with ⟨g⟩ and ⟨g x̂⟩ (C,)."""
    x_hat = (x - mean) * rstd
    g = weight * dy
    return rstd * (g - mean_g - x_hat * mean_g_x_hat)  # (2)


@twin
def parameter_gradients(dy: Array, x: Array, mean: Array, rstd: Array) -> tuple[Array, Array]:
    """dweight, dbias of (3)."""
    x_hat = (x - mean) * rstd
    return sum_rows(dy * x_hat), sum_rows(dy)  # (3)


@twin
def moments(x: Array) -> Moments:
    """How many values, their mean, and the sum of their squared distances from it, by channel."""
    n = x.size // x.shape[-1]
    mean = sum_rows(x) / n
    return n, mean, sum_rows((x - mean) ** 2)


class BatchNorm(Layer):
    """Batch normalisation over all axes but the last, of size `channels`.

    The tape says which statistics count: a training tape the batch's, everything else the running
    ones. The running statistics change when the tape is committed, never during a forward."""

    def __init__(self, channels: int, eps: float = 1e-5, momentum: float = 0.1,
                 init: Initializer | None = None) -> None:  # fmt: skip
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
        *_, mean, _, variance, n = cache
        unbiased, m, tracked = n / (n - 1) * variance, self.momentum, self.num_batches_tracked
        for running, value in (self.running_mean, mean), (self.running_var, unbiased):
            tape.defer(running, (1 - m) * tape.pending(running) + m * value)  # (5)
        tape.defer(tracked, array_module(mean).asarray(tape.pending(tracked) + 1))
        return self.record(tape, (y, cache))

    def backward(self, dy: Array, tape: Tape) -> Array:
        if tape.training:
            gradients = batchnorm_backward(dy, tape.pop(self), tape.all_gather)
        else:
            gradients = batchnorm_eval_backward(dy, tape.pop(self))
        return self.accumulate(tape, gradients, self.weight, self.bias)
