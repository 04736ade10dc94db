"""Softplus: mvnp/layers/softplus.py."""

import math

import numpy as np
import pytest

from mvnp import gradcheck_layer
from mvnp.errors import InputError
from mvnp.layers.softplus import Softplus, softplus_backward, softplus_forward
from support.checks import assert_float32_follows, assert_gradients, assert_oracle, normal
from support.tolerance import assert_close


def test_by_hand():
    # x = ln 3: y = log(1 + 3) = 2 ln 2, dx = 3/4. x = −ln 3: y = log(4/3), dx = 1/4. x = 0: y = ln 2, dx = 1/2.
    y, cache = softplus_forward(np.array([math.log(3), -math.log(3), 0.0]))
    assert_close(y, [2 * math.log(2), math.log(4 / 3), math.log(2)], terms=16)
    assert_close(softplus_backward(np.array([1.0, 8.0, 1.0]), cache), [0.75, 2.0, 0.5], terms=16)


@pytest.mark.parametrize("shape", [(), (1,), (9,), (3, 4), (2, 1, 3, 2)])
def test_gradients(shape):
    assert_gradients(softplus_forward, softplus_backward, {"x": 2 * normal(shape, seed=1)})


def test_oracle():
    import autograd.numpy as anp

    assert_oracle(softplus_forward, softplus_backward, lambda x: anp.log(1 + anp.exp(x)), {"x": 3 * normal((3, 5, 7), seed=2)})


def test_float32():
    assert_float32_follows(softplus_forward, softplus_backward, {"x": 3 * normal((8, 32), seed=5)})


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_digit_in_both_tails(dtype):
    """Entry by entry, not in the norm: a Δ of 1e-9 wants to be right as well. On the left y ≈ eˣ, on the right y ≈ x."""
    x = np.linspace(-80, 80, 1601).astype(dtype)
    y, cache = softplus_forward(x)
    wide = x.astype(np.longdouble)
    want, slope = np.log1p(np.exp(-np.abs(wide))) + np.maximum(wide, 0), 1 / (1 + np.exp(-wide))
    np.testing.assert_array_max_ulp(y, want.astype(dtype), maxulp=4)
    np.testing.assert_array_max_ulp(softplus_backward(np.ones_like(x), cache), slope.astype(dtype), maxulp=4)


def test_layer_has_the_gradients_of_the_functions():
    gradcheck_layer(Softplus(), normal((2, 3, 5), seed=1)).raise_for_error()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_extremes(dtype):
    x = np.array([-np.inf, -1e4, 88, 1e4, np.inf], dtype)
    y, cache = softplus_forward(x)
    np.testing.assert_array_equal(y, np.array([0, 0, 88, 1e4, np.inf], dtype))
    np.testing.assert_array_equal(softplus_backward(np.ones(5, dtype), cache), [0, 0, 1, 1, 1])
    smallest, _ = softplus_forward.book(np.array([-88], dtype))
    assert 0 < smallest[0] < 1e-37, "always positive, as far as the dtype reaches"
    smallest, _ = softplus_forward(np.array([-86], dtype))
    assert 0 < smallest[0] < 1e-36, "a kernel takes what is below 1e-37 for 0"


def test_nan_passes_through():
    y, cache = softplus_forward(np.array([1.0, np.nan, 2.0]))
    np.testing.assert_array_equal(np.isnan(y), [False, True, False])
    np.testing.assert_array_equal(np.isnan(softplus_backward(np.ones(3), cache)), [False, True, False])


def test_empty():
    with pytest.raises(InputError, match=r"Softplus: x is empty, shape \(0, 3\)"):
        Softplus()(np.zeros((0, 3)))


@pytest.mark.parametrize("dtype", ["int64", "complex64", "bool"])
def test_wrong_dtype(dtype):
    with pytest.raises(InputError, match=rf"Softplus: x has dtype {dtype}, expected a floating one"):
        Softplus()(np.zeros((2, 3), dtype))


def test_not_an_array():
    with pytest.raises(InputError, match="Softplus: x is a list, expected an array"):
        Softplus()([1.0])
