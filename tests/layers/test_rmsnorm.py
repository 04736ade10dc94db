"""RMSNorm: mvnp/layers/rmsnorm.py."""

import numpy as np
import pytest

from mvnp import gradcheck_layer
from mvnp.backend import from_numpy
from mvnp.core import Initializer
from mvnp.errors import BackendError, InputError
from mvnp.layers.layernorm import layernorm_forward
from mvnp.layers.rmsnorm import RMSNorm, rmsnorm_backward, rmsnorm_forward
from support.checks import assert_float32_follows, assert_gradients, assert_oracle, normal
from support.randomise import randomised
from support.tolerance import assert_close


def inputs_of(shape):
    return {"x": normal(shape, seed=1), "weight": normal(shape[-1:], seed=2)}


def test_by_hand():
    # x = (1, 7): ⟨x²⟩ = 25, r = 1/5, x̂ = (0.2, 1.4). With γ = (10, 100): y = (2, 140).
    y, cache = rmsnorm_forward(np.array([[1.0, 7.0]]), np.array([10.0, 100.0]), eps=0.0)
    assert_close(y, [[2.0, 140.0]])
    # dy = (1, 0): g = (10, 0), ⟨g x̂⟩ = 1, so dx = ((10 − 0.2)/5, (0 − 1.4)/5).
    dx, dweight = rmsnorm_backward(np.array([[1.0, 0.0]]), cache)
    assert_close(dx, [[1.96, -0.28]])
    assert_close(dweight, [0.2, 0.0])


def test_epsilon_is_inside_the_root():
    # ⟨x²⟩ = 1 and ε = 3: r = 1/2.
    y, _ = rmsnorm_forward(np.array([[1.0, -1.0]]), np.ones(2), eps=3.0)
    assert_close(y, [[0.5, -0.5]])
    assert RMSNorm(3).eps == 1e-5


@pytest.mark.parametrize("shape", [(5,), (4, 5), (2, 3, 5), (2, 3, 2, 5), (3, 1)])
def test_gradients(shape):
    assert_gradients(rmsnorm_forward, rmsnorm_backward, inputs_of(shape))


def test_oracle():
    import autograd.numpy as anp

    def independent(x, weight):
        return weight * x / anp.sqrt(anp.sum(x**2, axis=-1, keepdims=True) / 7 + 1e-5)

    assert_oracle(rmsnorm_forward, rmsnorm_backward, independent, inputs_of((2, 6, 7)))


def test_as_in_torch():
    torch = pytest.importorskip("torch")
    x, weight, dy = normal((3, 4, 7), 1), normal((7,), 2), normal((3, 4, 7), 3)
    leaves = [torch.tensor(v, requires_grad=True) for v in (x, weight)]
    expected = torch.nn.functional.rms_norm(leaves[0], (7,), leaves[1], eps=1e-5)
    expected.backward(torch.tensor(dy))
    y, cache = rmsnorm_forward(x, weight)
    assert_close(y, expected.detach())
    for got, leaf in zip(rmsnorm_backward(dy, cache), leaves, strict=True):
        assert_close(got, leaf.grad)


def test_of_a_centred_vector_it_is_layernorm():
    x, weight = normal((4, 6), 1), normal((6,), 2)
    x = x - x.mean(axis=-1, keepdims=True)
    assert_close(rmsnorm_forward(x, weight)[0], layernorm_forward(x, weight, np.zeros(6))[0])


def test_float32():
    assert_float32_follows(rmsnorm_forward, rmsnorm_backward, {"x": 3 + normal((4, 16), 1), "weight": normal((16,), 2)})


def test_layer_has_the_gradients_of_the_functions():
    layer = randomised(RMSNorm(5))
    gradcheck_layer(layer, normal((2, 3, 5), seed=1)).raise_for_error()
    assert list(layer.state_dict()) == ["weight"]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_starts_with_a_weight_of_one(dtype):
    layer = RMSNorm(3, init=Initializer(dtype=dtype))
    np.testing.assert_array_equal(layer.weight.data, np.ones(3))
    assert layer.weight.data.dtype == dtype


def test_wrong_shape():
    with pytest.raises(InputError, match=r"RMSNorm: x has shape \(2, 3, 9\), expected \(\.\.\., 8\)"):
        RMSNorm(8)(np.zeros((2, 3, 9), np.float32))


def test_wrong_dtype():
    with pytest.raises(InputError, match="dtype int64"):
        RMSNorm(8)(np.zeros((2, 8), np.int64))


def test_host_and_device_do_not_mix(strict_cupy):
    with pytest.raises(BackendError, match="a NumPy array met a CuPy array"):
        rmsnorm_forward(from_numpy(normal((2, 3), seed=1)), np.ones(3))
    _, cache = rmsnorm_forward(*map(from_numpy, (normal((2, 3), seed=1), np.ones(3))))
    with pytest.raises(BackendError, match="a NumPy array met a CuPy array"):
        rmsnorm_backward(np.ones((2, 3)), cache)
