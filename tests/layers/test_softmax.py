"""Softmax: mvnp/layers/softmax.py."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes

from mvnp import gradcheck_layer
from mvnp.errors import InputError
from mvnp.layers.softmax import Softmax, softmax_backward, softmax_forward
from support.checks import assert_float32_follows, assert_gradients, assert_oracle, normal
from support.tolerance import DEEP, assert_close


def test_by_hand():
    # x = (0, ln 3): e^x = (1, 3), y = (1/4, 3/4). dy = (1, 0): Σ dy y = 1/4, dx = (1/4 · 3/4, 3/4 · (−1/4)) = (3/16, −3/16).
    y, cache = softmax_forward(np.array([[0.0, math.log(3)]]))
    assert_close(y, [[0.25, 0.75]], terms=16)
    assert_close(softmax_backward(np.array([[1.0, 0.0]]), cache), [[3 / 16, -3 / 16]], terms=16)


def test_each_row_by_itself():
    # Rows (0, ln 3) and (ln 4, 0): (1/4, 3/4) and (4/5, 1/5). With dy = (1, 0) in both: 3/16 and 4/5 · 1/5 = 4/25.
    y, cache = softmax_forward(np.array([[0.0, math.log(3)], [math.log(4), 0.0]]))
    assert_close(y, [[0.25, 0.75], [0.8, 0.2]], terms=16)
    dx = softmax_backward(np.array([[1.0, 0.0], [1.0, 0.0]]), cache)
    assert_close(dx, [[3 / 16, -3 / 16], [4 / 25, -4 / 25]], terms=16)


@pytest.mark.parametrize("shape", [(5,), (2,), (4, 5), (2, 3, 4), (2, 1, 2, 3), (3, 1), (1,)])
def test_gradients(shape):
    assert_gradients(softmax_forward, softmax_backward, {"x": normal(shape, seed=1)})


def test_oracle():
    import autograd.numpy as anp

    def independent(x):
        # y_i = 1 / Σ_j e^(x_j − x_i): every pair of entries, nothing subtracted, nothing divided twice.
        return 1 / anp.sum(anp.exp(x[..., None, :] - x[..., :, None]), axis=-1)

    assert_oracle(softmax_forward, softmax_backward, independent, {"x": 2 * normal((2, 3, 7), seed=2)})


@settings(max_examples=40)
@given(shape=array_shapes(min_dims=1, max_dims=4, max_side=6), seed=st.integers(0, 99), offset=st.floats(-1e3, 1e3))
def test_laws_at_any_shape(shape, seed, offset):
    """Rows sum to one; an offset of the row changes nothing, so dx sums to zero along it and a constant dy gives nothing."""
    x, dy = 3 * normal(shape, seed), normal(shape, seed + 100)
    y, cache = softmax_forward(x)
    assert (y > 0).all()
    assert_close(y.sum(axis=-1), 1.0, terms=16)
    assert_close(softmax_forward(x + offset)[0], y, terms=DEEP)
    assert_close(softmax_backward(dy, cache).sum(axis=-1), 0.0, scale=1.0)
    assert_close(softmax_backward(np.full(shape, 2.5), cache), 0.0, scale=1.0)


def test_float32():
    assert_float32_follows(softmax_forward, softmax_backward, {"x": 3 * normal((8, 32), seed=5)})


def test_layer_has_the_gradients_of_the_functions():
    gradcheck_layer(Softmax(), normal((2, 3, 5), seed=1)).raise_for_error()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_extremes(dtype):
    x = np.array([[1e4, 0, -1e4], [88, 88, -88], [-1e4, -1e4, -1e4], [-88, -1e4, -88]], dtype)
    y, cache = softmax_forward(x)
    expected = np.array([[1, 0, 0], [0.5, 0.5, 0], [1 / 3, 1 / 3, 1 / 3], [0.5, 0, 0.5]], dtype)
    assert_close(y, expected, terms=1)
    assert np.isfinite(softmax_backward(normal(x.shape, seed=1).astype(dtype), cache)).all()


def test_minus_infinity_is_a_mask():
    """Masked entries get weight 0 and gradient 0; the others are what they would be without them."""
    x, dy = normal((3, 5), seed=1), normal((3, 5), seed=2)
    masked = x.copy()
    masked[:, 1] = masked[:, 4] = -np.inf
    y, cache = softmax_forward(masked)
    alone, cache_alone = softmax_forward(x[:, [0, 2, 3]])
    np.testing.assert_array_equal(y[:, [1, 4]], np.zeros((3, 2)))
    assert_close(y[:, [0, 2, 3]], alone, terms=16)
    dx = softmax_backward(dy, cache)
    np.testing.assert_array_equal(dx[:, [1, 4]], np.zeros((3, 2)))
    assert_close(dx[:, [0, 2, 3]], softmax_backward(dy[:, [0, 2, 3]], cache_alone), terms=16)


def test_nothing_but_minus_infinity_has_no_softmax():
    with np.errstate(invalid="ignore"):  # −∞ − (−∞)
        y, _ = softmax_forward(np.array([[-np.inf, -np.inf], [0.0, 0.0]]))
    np.testing.assert_array_equal(y, [[np.nan, np.nan], [0.5, 0.5]])


def test_nan_passes_through_its_row():
    y, cache = softmax_forward(np.array([[1.0, np.nan], [0.0, 0.0]]))
    np.testing.assert_array_equal(y, [[np.nan, np.nan], [0.5, 0.5]])
    np.testing.assert_array_equal(np.isnan(softmax_backward(np.ones((2, 2)), cache)), [[True, True], [False, False]])


def test_wrong_shape():
    with pytest.raises(InputError) as caught:
        Softmax()(np.array(1.0))
    assert str(caught.value) == "Softmax: x has shape (), expected (..., C)"
    with pytest.raises(InputError, match=r"Softmax: x is empty, shape \(3, 0\)"):
        Softmax()(np.zeros((3, 0)))


@pytest.mark.parametrize("dtype", ["int64", "complex64", "bool"])
def test_wrong_dtype(dtype):
    with pytest.raises(InputError, match=rf"Softmax: x has dtype {dtype}, expected a floating one"):
        Softmax()(np.zeros((2, 3), dtype))
