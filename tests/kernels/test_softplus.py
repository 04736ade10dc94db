"""The twin of softplus: mvnp/kernels/cuda/softplus.py and softplus.cu."""

import numpy as np
import pytest

from mvnp.layers.softplus import softplus_backward, softplus_forward
from support.checks import normal
from support.kernel_checks import DTYPES, EVERY_WAY, assert_caught, check, check_pair

SHAPES = [(1,), (31,), (33,), (257,), (2, 49, 160), (3, 5, 7)]
FAR = np.array([-1e4, -700.0, -100.0, -30.0, -5.0, -1e-6, 0.0, 1e-6, 5.0, 30.0, 100.0, 700.0, 1e4])


@pytest.mark.parametrize("way", EVERY_WAY)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_numbers(shape, dtype, way):
    check_pair(softplus_forward, softplus_backward, [2 * normal(shape, 1)], dtype, way)


@pytest.mark.parametrize("dtype", DTYPES)
def test_far_out(dtype):
    check(softplus_forward, [FAR], dtype, "sanitized")
    check(softplus_backward, [np.ones_like(FAR), np.abs(FAR)], dtype, "sanitized")


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_small_steps_keep_their_digits(dtype):
    """Each number by itself, and not beside the largest: where x is far below 0, y and the slope are e^x, not 0."""
    for x in (-5.0, -20.0, -80.0):
        check_pair(softplus_forward, softplus_backward, [np.array([x])], dtype, "in order")


def test_nan_stays_nan():
    check(softplus_forward, [np.array([1.0, np.nan])], "float64", "in order")


FAULTS = {
    "a missing term": (" + log1p(exp(v < 0 ? v : -v))", ""),
    "a sign": ("exp(v < 0 ? v : -v)", "exp(v)"),
    "digits lost": ("log1p(exp(v < 0 ? v : -v))", "log(1 + exp(v < 0 ? v : -v))"),
    "digits of the slope lost": ("-expm1(-v)", "(1 - exp(-v))"),
    "a write behind the end": ("map_numbers(x, y, count,", "map_numbers(x, y, count + 1,"),
}


@pytest.mark.slow(reason="a kernel is compiled again for each fault, and twice where the first way does not notice")
@pytest.mark.parametrize("fault", FAULTS)
def test_fault_is_caught(fault):
    def checks(way):
        check_pair(softplus_forward, softplus_backward, [normal((33,), 1)], "float64", way)
        check_pair(softplus_forward, softplus_backward, [np.array([-20.0])], "float64", way)
        check_pair(softplus_forward, softplus_backward, [np.array([800.0])], "float64", way)

    said = assert_caught("softplus", *FAULTS[fault], checks)
    assert "behind" not in fault or "AddressSanitizer" in said
