"""Global average pooling: mvnp/layers/pool.py."""

import numpy as np
import pytest

from mvnp import gradcheck_layer
from mvnp.errors import InputError
from mvnp.layers.pool import AveragePool, pool_backward, pool_forward
from support.checks import assert_float32_follows, assert_gradients, assert_oracle, normal
from support.tolerance import assert_close

SHAPES = [(2, 3, 4, 5), (1, 1, 1, 1), (2, 1, 3, 2), (3, 2, 1, 1), (1, 7, 7, 2)]


def test_by_hand():
    # One image of 2 × 2 and two channels: (1 + 2 + 3 + 6)/4 = 3 and (10 + 20 + 30 + 60)/4 = 30.
    x = np.array([[[1.0, 10.0], [2.0, 20.0]], [[3.0, 30.0], [6.0, 60.0]]])[None]
    y, cache = pool_forward(x)
    np.testing.assert_array_equal(y, [[3.0, 30.0]])
    # dy = (4, 8): every pixel's share is a quarter, (1, 2).
    dx = pool_backward(np.array([[4.0, 8.0]]), cache)
    np.testing.assert_array_equal(dx, np.broadcast_to([1.0, 2.0], (1, 2, 2, 2)))


@pytest.mark.parametrize("shape", SHAPES)
def test_gradients(shape):
    assert_gradients(pool_forward, pool_backward, {"x": normal(shape, seed=1)})


def test_oracle():
    import autograd.numpy as anp

    def independent(x):
        B, H, W, _ = x.shape
        return anp.stack([sum(x[b, h, w] for h in range(H) for w in range(W)) / (H * W) for b in range(B)])

    assert_oracle(pool_forward, pool_backward, independent, {"x": normal((2, 3, 5, 4), seed=2)})


def test_float32():
    assert_float32_follows(pool_forward, pool_backward, {"x": 3 + normal((2, 14, 14, 8), seed=3)})


def test_single_pixel_is_itself():
    x = normal((3, 1, 1, 4), seed=4)
    y, cache = pool_forward(x)
    np.testing.assert_array_equal(y, x[:, 0, 0])
    np.testing.assert_array_equal(pool_backward(y, cache), x)


def test_place_does_not_matter():
    x = normal((2, 3, 4, 5), seed=5)
    assert_close(pool_forward(x)[0], pool_forward(x[:, ::-1, ::-1])[0])


def test_layer_has_the_gradients_of_the_functions():
    gradcheck_layer(AveragePool(), normal((2, 3, 2, 4), seed=1)).raise_for_error()


def test_nan_passes_through_its_channel():
    x = np.ones((2, 2, 2, 3))
    x[0, 1, 0, 2] = np.nan
    np.testing.assert_array_equal(pool_forward(x)[0], [[1.0, 1.0, np.nan], [1.0, 1.0, 1.0]])


def test_wrong_shape():
    with pytest.raises(InputError, match=r"AveragePool: x has shape \(2, 3, 4\), expected \(B, H, W, C\)"):
        AveragePool()(np.zeros((2, 3, 4)))
    with pytest.raises(InputError, match=r"AveragePool: x is empty, shape \(2, 0, 4, 3\)"):
        AveragePool()(np.zeros((2, 0, 4, 3)))


@pytest.mark.parametrize("dtype", ["int64", "complex64", "bool"])
def test_wrong_dtype(dtype):
    with pytest.raises(InputError, match=rf"AveragePool: x has dtype {dtype}, expected a floating one"):
        AveragePool()(np.zeros((2, 3, 4, 5), dtype))


def test_wrong_cotangent():
    _, cache = pool_forward(np.zeros((2, 4, 4, 3)))
    with pytest.raises(InputError, match=r"AveragePool: dy has shape \(5, 3\), expected \(2, 3\)"):
        pool_backward(np.zeros((5, 3)), cache)
    with pytest.raises(InputError, match=r"AveragePool: dy has dtype float32, expected float64, that of the forward"):
        pool_backward(np.zeros((2, 3), np.float32), cache)
