"""LayerNorm: mvnp/layers/layernorm.py."""

import numpy as np
import pytest

from mvnp.backend import from_numpy
from mvnp.core import Initializer
from mvnp.errors import BackendError, InputError
from mvnp.layers.layernorm import LayerNorm, layernorm_backward, layernorm_forward
from support.checks import assert_float32_follows, assert_gradients, assert_oracle, normal
from support.tolerance import assert_close


def test_by_hand():
    # x = (1, 3): μ = 2, σ² = 1, x̂ = (−1, 1). With γ = (2, 3), β = (10, 20): y = (8, 23).
    y, cache = layernorm_forward(np.array([[1.0, 3.0]]), np.array([2.0, 3.0]), np.array([10.0, 20.0]), eps=0.0)
    assert_close(y, [[8.0, 23.0]])
    # dy = (1, 0): g = (2, 0), ⟨g⟩ = 1, ⟨g x̂⟩ = −1, so dx = (2 − 1 − 1, 0 − 1 + 1) = 0: two channels have no freedom left.
    dx, dweight, dbias = layernorm_backward(np.array([[1.0, 0.0]]), cache)
    assert_close(dx, [[0.0, 0.0]], terms=16, scale=1.0)
    assert_close(dweight, [-1.0, 0.0])
    assert_close(dbias, [1.0, 0.0])


@pytest.mark.parametrize("shape", [(5,), (4, 5), (2, 3, 5), (2, 3, 2, 5), (3, 1)])
def test_gradients(shape):
    inputs = {"x": normal(shape, seed=1), "weight": normal(shape[-1:], seed=2), "bias": normal(shape[-1:], seed=3)}
    assert_gradients(layernorm_forward, layernorm_backward, inputs)


def test_oracle():
    import autograd.numpy as anp

    def independent(x, weight, bias):
        centred = x - anp.mean(x, axis=-1, keepdims=True)
        return weight * centred / anp.sqrt(anp.var(x, axis=-1, keepdims=True) + 1e-5) + bias

    inputs = {"x": normal((2, 6, 7), seed=4), "weight": normal((7,), seed=5), "bias": normal((7,), seed=6)}
    assert_oracle(layernorm_forward, layernorm_backward, independent, inputs)


def test_float32():
    inputs = {"x": 3 + normal((4, 16), seed=7), "weight": normal((16,), seed=8), "bias": normal((16,), seed=9)}
    assert_float32_follows(layernorm_forward, layernorm_backward, inputs)


def test_layer_has_the_gradients_of_the_functions():
    from mvnp import gradcheck_layer

    gradcheck_layer(LayerNorm(5), normal((2, 3, 5), seed=1)).raise_for_error()


def test_wrong_shape():
    with pytest.raises(InputError, match=r"LayerNorm: x has shape \(2, 3, 9\), expected \(\.\.\., 8\)"):
        LayerNorm(8)(np.zeros((2, 3, 9), np.float32))


def test_wrong_dtype():
    with pytest.raises(InputError, match="dtype int64"):
        LayerNorm(8)(np.zeros((2, 8), np.int64))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_starts_as_the_standardised_vector(dtype):
    layer = LayerNorm(3, init=Initializer(dtype=dtype))
    assert layer.eps == 1e-5
    np.testing.assert_array_equal(layer.weight.data, np.ones(3))
    np.testing.assert_array_equal(layer.bias.data, np.zeros(3))
    assert layer.weight.data.dtype == layer.bias.data.dtype == dtype


def test_host_and_device_do_not_mix(strict_cupy):
    _, cache = layernorm_forward(*map(from_numpy, (normal((2, 3), seed=1), np.ones(3), np.zeros(3))))
    with pytest.raises(BackendError, match="a NumPy array met a CuPy array"):
        layernorm_backward(np.ones((2, 3)), cache)
