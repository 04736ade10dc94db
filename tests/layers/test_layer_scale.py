"""Layer scale: mvnp/layers/layer_scale.py."""

import numpy as np
import pytest

from mvnp import Layer, gradcheck_layer
from mvnp.backend import from_numpy
from mvnp.core import Initializer
from mvnp.errors import BackendError, InputError
from mvnp.layers.layer_scale import LayerScale, layer_scale_backward, layer_scale_forward
from support.checks import assert_float32_follows, assert_gradients, assert_oracle, normal
from support.randomise import randomised


def inputs_of(shape):
    return {"x": normal(shape, seed=1), "gamma": normal(shape[-1:], seed=2)}


def test_by_hand():
    # γ = (10, 100), x = ((1, 2), (3, 4)): y = ((10, 200), (30, 400)).
    y, cache = layer_scale_forward(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([10.0, 100.0]))
    np.testing.assert_array_equal(y, [[10.0, 200.0], [30.0, 400.0]])
    # dy = ((5, 6), (7, 8)): dx = ((50, 600), (70, 800)), dγ = (5·1 + 7·3, 6·2 + 8·4) = (26, 44).
    dx, dgamma = layer_scale_backward(np.array([[5.0, 6.0], [7.0, 8.0]]), cache)
    np.testing.assert_array_equal(dx, [[50.0, 600.0], [70.0, 800.0]])
    np.testing.assert_array_equal(dgamma, [26.0, 44.0])


@pytest.mark.parametrize("shape", [(5,), (4, 5), (2, 3, 5), (2, 3, 2, 5), (3, 1), (1, 1, 1, 1)])
def test_gradients(shape):
    assert_gradients(layer_scale_forward, layer_scale_backward, inputs_of(shape))


def test_oracle():
    import autograd.numpy as anp

    def independent(x, gamma):
        return anp.stack([x[..., c] * gamma[c] for c in range(7)], axis=-1)

    assert_oracle(layer_scale_forward, layer_scale_backward, independent, inputs_of((2, 3, 4, 7)))


def test_float32():
    assert_float32_follows(layer_scale_forward, layer_scale_backward, inputs_of((4, 4, 16)))


def test_layer_has_the_gradients_of_the_functions():
    gradcheck_layer(randomised(LayerScale(4, 1e-5)), normal((2, 3, 4), seed=1)).raise_for_error()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_initial_value(dtype):
    layer = LayerScale(4, 1e-5, init=Initializer(dtype=dtype))
    np.testing.assert_array_equal(layer.gamma, np.full(4, 1e-5, dtype))
    assert layer.gamma.dtype == dtype


def test_key_is_the_name_in_the_block():
    """`levels.0.blocks.1.gamma_1` of the official checkpoints, not `….gamma_1.gamma`."""

    class Parent(Layer):
        def __init__(self):
            self.gamma_1 = LayerScale(3, 1.0)

    assert list(Parent().state_dict()) == ["gamma_1"]


def test_nan_stays_in_its_entry():
    y, _ = layer_scale_forward(np.array([[1.0, np.nan], [3.0, 4.0]]), np.ones(2))
    np.testing.assert_array_equal(y, [[1.0, np.nan], [3.0, 4.0]])


def test_wrong_shape():
    with pytest.raises(InputError, match=r"LayerScale: x has shape \(2, 3, 9\), expected \(\.\.\., 8\)"):
        LayerScale(8, 1.0)(np.zeros((2, 3, 9), np.float32))
    with pytest.raises(InputError, match=r"LayerScale: x has shape \(2, 1\), expected \(\.\.\., 8\)"):
        LayerScale(8, 1.0)(np.zeros((2, 1), np.float32))  # would fit by broadcasting
    with pytest.raises(InputError, match=r"LayerScale: x is empty, shape \(0, 8\)"):
        LayerScale(8, 1.0)(np.zeros((0, 8), np.float32))


@pytest.mark.parametrize("dtype", ["int64", "complex64", "bool"])
def test_wrong_dtype(dtype):
    with pytest.raises(InputError, match=rf"LayerScale: x has dtype {dtype}, expected a floating one"):
        LayerScale(8, 1.0)(np.zeros((2, 8), dtype))


def test_host_and_device_do_not_mix(strict_cupy):
    with pytest.raises(BackendError, match="a NumPy array met a CuPy array"):
        layer_scale_forward(from_numpy(np.ones((2, 3))), np.ones(3))
