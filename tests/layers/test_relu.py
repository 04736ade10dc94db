"""ReLU: mvnp/layers/relu.py."""

import numpy as np
import pytest

from mvnp import Tape, gradcheck_layer
from mvnp.errors import InputError
from mvnp.layers.relu import ReLU, relu_backward, relu_forward
from support.checks import assert_float32_follows, assert_gradients, assert_oracle, normal


def off_the_kink(shape):
    return {"x": normal(shape, seed=1, away_from_zero=0.1)}


def test_by_hand():
    # x = (−2, 3, 5): what is below 0 is cut off, in y and in dx; the rest passes unchanged.
    y, cache = relu_forward(np.array([-2.0, 3.0, 5.0]))
    np.testing.assert_array_equal(y, [0.0, 3.0, 5.0])
    np.testing.assert_array_equal(relu_backward(np.array([10.0, 20.0, -30.0]), cache), [0.0, 20.0, -30.0])


def test_derivative_at_zero_is_zero():
    y, cache = relu_forward(np.array([0.0, -0.0]))
    np.testing.assert_array_equal(y, [0.0, 0.0])
    np.testing.assert_array_equal(relu_backward(np.array([7.0, 7.0]), cache), [0.0, 0.0])


@pytest.mark.parametrize("shape", [(), (1,), (7,), (3, 4), (2, 3, 1, 2), (1, 1, 1, 1)])
def test_gradients(shape):
    assert_gradients(relu_forward, relu_backward, off_the_kink(shape))


def test_oracle():
    import autograd.numpy as anp

    def independent(x):
        return (x + anp.abs(x)) / 2

    assert_oracle(relu_forward, relu_backward, independent, off_the_kink((3, 5, 7)))


def test_float32():
    assert_float32_follows(relu_forward, relu_backward, off_the_kink((8, 16)))


def test_layer_has_the_gradients_of_the_functions():
    gradcheck_layer(ReLU(), off_the_kink((2, 3, 5))["x"]).raise_for_error()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_extremes(dtype):
    x = np.array([-np.inf, -1e4, -1e-30, 1e-30, 1e4, np.inf], dtype)
    y, cache = relu_forward(x)
    np.testing.assert_array_equal(y, np.array([0, 0, 0, 1e-30, 1e4, np.inf], dtype))
    np.testing.assert_array_equal(relu_backward(np.ones(6, dtype), cache), [0, 0, 0, 1, 1, 1])


def test_nan_passes_through():
    y, cache = relu_forward(np.array([1.0, np.nan, -1.0]))
    np.testing.assert_array_equal(y, [1.0, np.nan, 0.0])
    np.testing.assert_array_equal(relu_backward(np.array([np.nan, 1.0, 1.0]), cache), [np.nan, np.nan, 0.0])


def test_empty():
    with pytest.raises(InputError, match=r"ReLU: x is empty, shape \(0, 3\)"):
        ReLU()(np.zeros((0, 3)), Tape())


@pytest.mark.parametrize("dtype", ["int64", "complex64", "bool"])
def test_wrong_dtype(dtype):
    with pytest.raises(InputError, match=rf"ReLU: x has dtype {dtype}, expected a floating one"):
        ReLU()(np.zeros((2, 3), dtype))


def test_not_an_array():
    with pytest.raises(InputError, match=r"ReLU: x is a float, expected an array \(\.\.\.,\)"):
        ReLU()(1.0)
