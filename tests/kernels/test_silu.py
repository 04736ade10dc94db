"""The twin of SiLU: mvnp/kernels/cuda/silu.py and silu.cu."""

import numpy as np
import pytest

from mvnp.layers.silu import silu_backward, silu_forward
from support.checks import normal
from support.kernel_checks import DTYPES, EVERY_WAY, assert_caught, check, check_pair

SHAPES = [(1,), (31,), (33,), (257,), (2, 49, 160), (3, 5, 7)]
FAR = np.array([-1e4, -100.0, -30.0, -5.0, -1e-6, 0.0, 1e-6, 5.0, 30.0, 100.0, 1e4])


@pytest.mark.parametrize("way", EVERY_WAY)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_numbers(shape, dtype, way):
    check_pair(silu_forward, silu_backward, [2 * normal(shape, 1)], dtype, way)


@pytest.mark.parametrize("dtype", DTYPES)
def test_far_out(dtype):
    check(silu_forward, [FAR], dtype, "sanitized")
    check(silu_backward, [np.ones_like(FAR), FAR], dtype, "sanitized")


FAULTS = {
    "a missing term": ("gate * (1 + v * (1 - gate))", "gate"),
    "a sign": ("v * (1 - gate)", "v * (1 + gate)"),
    "a factor": ("tanh(A(0.5) * v)", "tanh(v)"),
    "a number left out": ("map_numbers(x, y, count,", "map_numbers(x, y, count - 1,"),
    "a write behind the end": ("map_numbers(x, y, count,", "map_numbers(x, y, count + 1,"),
}


@pytest.mark.slow(reason="a kernel is compiled again for each fault, and twice where the first way does not notice")
@pytest.mark.parametrize("fault", FAULTS)
def test_fault_is_caught(fault):
    said = assert_caught(
        "silu", *FAULTS[fault], lambda way: check_pair(silu_forward, silu_backward, [normal((33,), 1)], "float64", way)
    )
    assert "behind" not in fault or "AddressSanitizer" in said
