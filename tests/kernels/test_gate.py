"""The twin of the gate: mvnp/kernels/cuda/gate.py and gate.cu."""

import numpy as np
import pytest

from mvnp.layers.gate import gate_backward, gate_forward
from support.checks import normal
from support.kernel_checks import DTYPES, EVERY_WAY, assert_caught, check_pair

SHAPES = [(1,), (31,), (33,), (257,), (2, 17, 384), (3, 5, 7)]
FAR = np.array([-1e4, -100.0, -30.0, -5.0, -1e-6, 0.0, 1e-6, 5.0, 30.0, 100.0, 1e4])


@pytest.mark.parametrize("way", EVERY_WAY)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_numbers(shape, dtype, way):
    check_pair(gate_forward, gate_backward, [normal(shape, 2), 2 * normal(shape, 1)], dtype, way)


@pytest.mark.parametrize("dtype", DTYPES)
def test_far_out(dtype):
    check_pair(gate_forward, gate_backward, [np.ones_like(FAR), FAR], dtype, "sanitized")


FAULTS = {
    "a missing term": ("gate * (1 + v * (1 - gate))", "gate"),
    "a sign": ("v * (1 - gate)", "v * (1 + gate)"),
    "a factor": ("tanh(A(0.5) * v)", "tanh(v)"),
    "the other branch": ("dx[i] = T(d * v * gate);", "dx[i] = T(d * A(x[i]) * gate);"),
    "a number left out": ("map_numbers(x, z, y, count,", "map_numbers(x, z, y, count - 1,"),
    "a write behind the end": ("dx[i] = T(", "dx[i + 1] = T("),
}


@pytest.mark.slow(reason="a kernel is compiled again for each fault, and twice where the first way does not notice")
@pytest.mark.parametrize("fault", FAULTS)
def test_fault_is_caught(fault):
    inputs = [normal((33,), 1), normal((33,), 2)]
    said = assert_caught("gate", *FAULTS[fault], lambda way: check_pair(gate_forward, gate_backward, inputs, "float64", way))
    assert "behind" not in fault or "AddressSanitizer" in said
