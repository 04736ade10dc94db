"""Linear: mvnp/layers/linear.py."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvnp import Tape, gradcheck_layer
from mvnp.core import Initializer
from mvnp.errors import BackendError, InputError
from mvnp.layers.linear import Linear, linear_backward, linear_forward
from support.checks import assert_float32_follows, assert_gradients, assert_oracle, normal
from support.randomise import randomised
from support.tolerance import DEEP, assert_close, chance

SHAPES = [((3,), 2), ((4, 3), 2), ((2, 3, 4), 5), ((2, 1, 3, 2), 4), ((1, 1), 1), ((5, 1), 3), ((1, 4), 1)]  # of x, and O


def inputs_of(shape, outputs, bias=True):
    inputs = {"x": normal(shape, seed=1), "weight": normal((outputs, shape[-1]), seed=2)}
    return {**inputs, "bias": normal((outputs,), seed=3)} if bias else inputs


def backward_without_bias(dy, cache):
    dx, dweight, dbias = linear_backward(dy, cache)
    assert dbias is None
    return dx, dweight


def test_by_hand():
    # x = (1, 2), W = ((3, 4), (5, 6), (7, 8)): x Wᵀ = (3 + 8, 5 + 12, 7 + 16) = (11, 17, 23), and b = (10, 20, 30) on top.
    weight, bias = np.array([[3.0, 4.0], [5.0, 6.0], [7.0, 8.0]]), np.array([10.0, 20.0, 30.0])
    y, cache = linear_forward(np.array([[1.0, 2.0]]), weight, bias)
    np.testing.assert_array_equal(y, [[21.0, 37.0, 53.0]])
    # dy = (1, 0, 2): dx = 1 (3, 4) + 2 (7, 8) = (17, 20); row o of dW is dy_o x; db = dy.
    dx, dweight, dbias = linear_backward(np.array([[1.0, 0.0, 2.0]]), cache)
    np.testing.assert_array_equal(dx, [[17.0, 20.0]])
    np.testing.assert_array_equal(dweight, [[1.0, 2.0], [0.0, 0.0], [2.0, 4.0]])
    np.testing.assert_array_equal(dbias, [1.0, 0.0, 2.0])


def test_rows_add_up_by_hand():
    # One weight, W = 2, that three rows meet: dW = 1·10 + 2·20 + 3·30 = 140 and db = 10 + 20 + 30 = 60.
    _, cache = linear_forward(np.array([[1.0], [2.0], [3.0]]), np.array([[2.0]]), np.zeros(1))
    dx, dweight, dbias = linear_backward(np.array([[10.0], [20.0], [30.0]]), cache)
    np.testing.assert_array_equal(dx, [[20.0], [40.0], [60.0]])
    np.testing.assert_array_equal(dweight, [[140.0]])
    np.testing.assert_array_equal(dbias, [60.0])


@pytest.mark.parametrize(("shape", "outputs"), SHAPES)
def test_gradients(shape, outputs):
    assert_gradients(linear_forward, linear_backward, inputs_of(shape, outputs))
    assert_gradients(linear_forward, backward_without_bias, inputs_of(shape, outputs, bias=False))


@pytest.mark.parametrize("shape", [(6,), (4, 6), (2, 3, 6)])
def test_oracle(shape):
    import autograd.numpy as anp

    def independent(x, weight, bias):
        return anp.stack([anp.sum(x * weight[o], axis=-1) + bias[o] for o in range(5)], axis=-1)

    assert_oracle(linear_forward, linear_backward, independent, inputs_of(shape, 5))
    assert_oracle(
        linear_forward,
        backward_without_bias,
        lambda x, weight: independent(x, weight, np.zeros(5)),
        inputs_of(shape, 5, bias=False),
    )


SIZES = st.integers(1, 5)


@settings(max_examples=40)
@given(leading=st.lists(SIZES, max_size=3), inputs=SIZES, outputs=SIZES, seed=st.integers(0, 99))
def test_adjoint_at_any_shape(leading, inputs, outputs, seed):
    """y is linear in x and in W, so ⟨dy, y⟩ = ⟨dx, x⟩ = ⟨dW, W⟩ without any step size."""
    x, weight = normal((*leading, inputs), seed), normal((outputs, inputs), seed + 100)
    y, cache = linear_forward(x, weight)
    dy = normal((*leading, outputs), seed + 200)
    assert y.shape == dy.shape
    dx, dweight, _ = linear_backward(dy, cache)
    assert dx.shape == x.shape
    assert_close([(dx * x).sum(), (dweight * weight).sum()], (dy * y).sum(), terms=DEEP)


def test_strided_input():
    """What window partition hands over is a view whose axes are not in memory order."""
    x, weight = normal((4, 2, 3), seed=1).swapaxes(0, 1), normal((5, 3), seed=2)
    y, cache = linear_forward(x, weight)
    assert_close(y, linear_forward(np.ascontiguousarray(x), weight)[0])
    dy = normal((4, 2, 5), seed=3).swapaxes(0, 1)
    for got, want in zip(linear_backward(dy, cache)[:2], linear_backward(np.ascontiguousarray(dy), cache)[:2], strict=True):
        assert_close(got, want)


def test_float32():
    assert_float32_follows(linear_forward, linear_backward, inputs_of((4, 8, 32), 16))
    assert_float32_follows(linear_forward, backward_without_bias, inputs_of((4, 8, 32), 16, bias=False))


@pytest.mark.parametrize("bias", [True, False])
def test_layer_has_the_gradients_of_the_functions(bias):
    layer = randomised(Linear(3, 4, bias=bias))
    gradcheck_layer(layer, normal((2, 5, 3), seed=1)).raise_for_error()
    expected = {"weight": (4, 3), "bias": (4,)} if bias else {"weight": (4, 3)}
    assert {key: param.shape for key, param in layer.named_parameters()} == expected


def test_initial_values():
    layer = Linear(400, 300, init=Initializer(seed=3))
    weight = np.asarray(layer.weight)
    assert weight.dtype == np.float32
    assert abs(weight.std() - 0.02) < chance(0.02, 2 * weight.size)
    assert abs(weight.mean()) < chance(0.02, weight.size)
    np.testing.assert_array_equal(layer.bias, np.zeros(300))


def test_nan_stays_in_its_row():
    x = normal((3, 4), seed=1)
    x[1, 2] = np.nan
    y, cache = linear_forward(x, normal((2, 4), seed=2), np.zeros(2))
    np.testing.assert_array_equal(np.isnan(y), [[False] * 2, [True] * 2, [False] * 2])
    assert np.isfinite(linear_backward(np.ones((3, 2)), cache)[0]).all(), "dx does not depend on x"


@pytest.mark.parametrize("shape", [(2, 9), (9,), (8, 2), ()])
def test_wrong_shape(shape):
    with pytest.raises(InputError) as caught:
        Linear(8, 4)(np.zeros(shape, np.float32))
    assert str(caught.value) == f"Linear: x has shape {shape}, expected (..., 8)"


def test_empty():
    with pytest.raises(InputError, match=r"Linear: x is empty, shape \(0, 8\); expected \(\.\.\., 8\) with no axis of size 0"):
        Linear(8, 4)(np.zeros((0, 8), np.float32), Tape())


@pytest.mark.parametrize("dtype", ["int64", "complex64", "bool"])
def test_wrong_dtype(dtype):
    with pytest.raises(InputError, match=rf"Linear: x has dtype {dtype}, expected a floating one.*convert it first"):
        Linear(8, 4)(np.zeros((2, 8), dtype))


def test_not_an_array():
    with pytest.raises(InputError, match=r"Linear: x is a list, expected an array \(\.\.\., 8\)"):
        Linear(8, 4)([[0.0] * 8])
    with pytest.raises(BackendError, match="expected a NumPy or CuPy array, got a list"):
        linear_forward(np.zeros((2, 3)), np.zeros((4, 3)), [0.0] * 4)


def test_same_result_as_in_torch():
    """Not for the formula, which is plain, but for the layout of the official weights: (O, I)."""
    torch = pytest.importorskip("torch")
    inputs = inputs_of((2, 7, 6), 4)
    expected = torch.nn.functional.linear(*(torch.tensor(v) for v in inputs.values()))
    assert_close(linear_forward(*inputs.values())[0], expected, terms=16)


def test_wrong_cotangent():
    _, cache = linear_forward(np.zeros((2, 5)), np.zeros((3, 5)))
    with pytest.raises(InputError, match=r"Linear: dy has shape \(4, 3\), expected \(2, 3\)"):
        linear_backward(np.zeros((4, 3)), cache)
