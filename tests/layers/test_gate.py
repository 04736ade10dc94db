"""The gate: mvnp/layers/gate.py."""

import numpy as np
import pytest

from mvnp.backend import from_numpy
from mvnp.errors import BackendError, InputError
from mvnp.layers.gate import gate_backward, gate_forward
from support.checks import assert_float32_follows, assert_gradients, assert_oracle, normal
from support.tolerance import assert_close


def inputs_of(shape):
    return {"x": normal(shape, seed=1), "z": normal(shape, seed=2)}


def test_by_hand():
    # At z = ln 3 the sigmoid is 3/4: z σ(z) = 3/4 ln 3. At 0 nothing passes, and the slope of SiLU is 1/2.
    z = np.array([np.log(3.0), 0.0])
    y, cache = gate_forward(np.array([4.0, 5.0]), z)
    assert_close(y, [3 * np.log(3.0), 0.0])
    dx, dz = gate_backward(np.array([2.0, 3.0]), cache)
    assert_close(dx, [1.5 * np.log(3.0), 0.0])
    assert_close(dz, [2 * 4 * 0.75 * (1 + np.log(3.0) / 4), 3 * 5 / 2])


@pytest.mark.parametrize("shape", [(5,), (4, 5), (2, 3, 5), (1, 1)])
def test_gradients(shape):
    assert_gradients(gate_forward, gate_backward, inputs_of(shape))


def test_oracle():
    import autograd.numpy as anp

    assert_oracle(gate_forward, gate_backward, lambda x, z: x * z / (1 + anp.exp(-z)), inputs_of((2, 6, 7)))


def test_float32():
    assert_float32_follows(gate_forward, gate_backward, inputs_of((4, 16)))


def test_a_closed_gate_lets_nothing_through():
    """SiLU of −1e4 is exactly 0, also in float32, and so are both gradients."""
    x, z = np.ones(3, np.float32), np.full(3, -1e4, np.float32)
    y, cache = gate_forward(x, z)
    for array in (y, *gate_backward(x, cache)):
        np.testing.assert_array_equal(array, 0.0)


def test_wrong_shape():
    with pytest.raises(InputError, match=r"gate: z has shape \(2, 3\), expected \(2, 4\)"):
        gate_forward(np.zeros((2, 4)), np.zeros((2, 3)))
    with pytest.raises(InputError, match=r"gate: z has shape \(4,\), expected \(2, 4\)"):
        gate_forward(np.zeros((2, 4)), np.zeros(4))  # would fit by broadcasting
    with pytest.raises(InputError, match=r"gate: x is empty"):
        gate_forward(np.zeros((0, 4)), np.zeros((0, 4)))


def test_wrong_dtype():
    with pytest.raises(InputError, match="gate: x has dtype int64"):
        gate_forward(np.zeros((2, 8), np.int64), np.zeros((2, 8)))
    with pytest.raises(InputError, match="gate: z has dtype bool"):
        gate_forward(np.zeros((2, 8)), np.zeros((2, 8), bool))


def test_host_and_device_do_not_mix(strict_cupy):
    with pytest.raises(BackendError, match="a NumPy array met a CuPy array"):
        gate_forward(from_numpy(np.ones((2, 3))), np.ones((2, 3)))
    _, cache = gate_forward(from_numpy(np.ones((2, 3))), from_numpy(np.ones((2, 3))))
    with pytest.raises(BackendError, match="a NumPy array met a CuPy array"):
        gate_backward(np.ones((2, 3)), cache)
