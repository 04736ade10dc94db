"""The twins of BatchNorm's passes: mvnp/kernels/cuda/batchnorm.py and batchnorm.cu."""

import numpy as np
import pytest

from mvnp.backend import moved_to
from mvnp.kernels.cuda import batchnorm as twins
from mvnp.layers.batchnorm import (
    batchnorm_backward,
    batchnorm_eval_backward,
    batchnorm_eval_forward,
    batchnorm_forward,
    input_gradient,
    moments,
    parameter_gradients,
)
from support.checks import normal
from support.kernel_checks import DTYPES, EVERY_WAY, assert_caught, check, check_pair, run_on_device
from support.tolerance import assert_close, rounding

# Channels of the released variants with small maps, and what does not fill a warp, a block or a chunk.
SHAPES = [(1, 2, 2, 80), (2, 3, 2, 160), (6, 640), (1, 3, 5, 32), (7, 1), (31, 31), (33, 33), (131, 7), (5, 64), (65, 2)]
LONG = (211, 3)  # rows of several chunks; the last has a few


def inputs(shape):
    return [3 + normal(shape, 1), normal(shape[-1:], 2), normal(shape[-1:], 3)]


def statistics(shape):
    return [normal(shape[-1:], 4), 1 + normal(shape[-1:], 5) ** 2]


@pytest.mark.parametrize("way", EVERY_WAY)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_training(shape, dtype, way):
    check_pair(batchnorm_forward, batchnorm_backward, inputs(shape), dtype, way)


@pytest.mark.parametrize("way", EVERY_WAY)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_evaluation(shape, dtype, way):
    check_pair(batchnorm_eval_forward, batchnorm_eval_backward, [*inputs(shape), *statistics(shape)], dtype, way)


@pytest.mark.parametrize("way", EVERY_WAY)
@pytest.mark.parametrize("dtype", ["float64", "float32"])  # between two numbers there can be too little for float16
def test_two_rows(dtype, way):
    tolerance = {"float64": 1e-12, "float32": 1e-4}[dtype]
    check_pair(batchnorm_forward, batchnorm_backward, inputs((2, 64)), dtype, way, tolerance)


@pytest.mark.parametrize("way", EVERY_WAY)
@pytest.mark.parametrize("dtype", DTYPES)
def test_more_rows_than_a_chunk(dtype, way, monkeypatch):
    check_pair(batchnorm_forward, batchnorm_backward, inputs(LONG), dtype, way)
    monkeypatch.setattr(twins, "CHUNK", 5)  # more chunks than are merged side by side
    check_pair(batchnorm_forward, batchnorm_backward, inputs(LONG), dtype, way)


@pytest.mark.parametrize("way", EVERY_WAY)
@pytest.mark.parametrize("dtype", DTYPES)
def test_each_pass(dtype, way):
    shape, C = (3, 13, 35), (35,)
    x, dy, (a, b, c, d, e) = 3 + normal(shape, 1), normal(shape, 2), [normal(C, seed) for seed in range(5)]
    check(moments, [x], dtype, way)
    check(parameter_gradients, [dy, x, a, b], dtype, way)
    check(input_gradient, [dy, x, a, b, c, d, e], dtype, way)


@pytest.mark.parametrize("way", EVERY_WAY)
def test_a_mean_far_from_zero_costs_no_digits(way):
    x = 1000 + normal((211, 3), 1)
    # Squares of x have six digits before the point.
    check(moments, [x.astype("float32")], "float32", way, tolerance=rounding("float32"))


def test_shares_of_a_batch_have_its_statistics():
    """`all_gather` meets the moments of a twin as it meets those of the array code."""
    whole, part = inputs((40, 5)), normal((23, 5), 8)
    others = moments(part)
    both = np.concatenate([whole[0], part])

    def forward(x, weight, bias):
        there = (others[0], *(moved_to(x, value) for value in others[1:]))
        return batchnorm_forward(x, weight, bias, 1e-5, lambda value: [value, there])

    want, _ = batchnorm_forward(both, *whole[1:])
    got = run_on_device(lambda *device: [forward(*device)[0]], whole, "in order", uploads=2)[0]
    assert_close(got, want[:40])


FAULTS = {
    "one of four": ("for (int j = 0; j < 4; j++) some.value[j] = T((A", "for (int j = 0; j < 3; j++) some.value[j] = T((A"),
    "fours of another channel": ("unsigned c = 4 * i % C;\n            Four d", "unsigned c = i % C;\n            Four d"),
    "the mean of some": ("sum * A(1.0 / FLIGHT)", "sum"),
    "a missing term": ("(A(x[i]) - mean[c]) * of_x[c]", "A(x[i]) * of_x[c]"),
    "another missing term": ("A(dy[i]) - of_g[c] -", "A(dy[i]) -"),
    "a sign": ("delta * (value - all.mean)", "delta * (value + all.mean)"),
    "means merged without their distance": ("more.squares + delta * delta * share * all.count", "more.squares"),
    "the wrong channel": ("bias[c]);", "bias[C - 1 - c]);"),
    "the first barrier dropped": ("    found[k][lane] = mine;\n    __syncthreads();\n", "    found[k][lane] = mine;\n"),
    "the second barrier dropped": ("    merged[k][lane] = mine;\n    __syncthreads();\n", "    merged[k][lane] = mine;\n"),
    "the third barrier dropped": ("    plain[k][lane] = sum;\n    __syncthreads();\n", "    plain[k][lane] = sum;\n"),
    "a chunk that ends early": ("begin + chunk, rows);\n\n    Moments", "begin + chunk, rows - 1);\n\n    Moments"),
    "a chunk too many": ("j < chunks", "j <= chunks"),
    "a write behind the end": (
        "        of_product[(size_t)blockIdx.y * C + c] = product;",
        "        of_product[(size_t)blockIdx.y * C + c + C] = product;",
    ),
    "a write behind shared memory": ("    products[k][lane] = product;", "    products[k][lane + WARP] = product;"),
}


@pytest.mark.slow(reason="a kernel is compiled again for each fault, and twice where the first way does not notice")
@pytest.mark.parametrize("fault", FAULTS)
def test_fault_is_caught(fault):
    def checks(way):
        for shape in ((33, 33), (9, 8), LONG):
            check_pair(batchnorm_forward, batchnorm_backward, inputs(shape), "float64", way)

    said = assert_caught("batchnorm", *FAULTS[fault], checks)
    assert "behind" not in fault or "AddressSanitizer" in said
