"""SiLU: mvnp/layers/silu.py."""

import math

import numpy as np
import pytest

from mvnp import gradcheck_layer
from mvnp.errors import InputError
from mvnp.layers.silu import SiLU, silu_backward, silu_forward
from support.checks import assert_float32_follows, assert_gradients, assert_oracle, normal
from support.tolerance import assert_close


def test_by_hand():
    # x = ln 3: e⁻ˣ = 1/3, σ = 1/(1 + 1/3) = 3/4, y = 3/4 ln 3, dx = 3/4 (1 + ln 3 · 1/4).
    # x = −ln 3: σ = 1/4, y = −1/4 ln 3, dx = 1/4 (1 − ln 3 · 3/4). x = 0: y = 0, dx = σ = 1/2.
    ln3 = math.log(3)
    y, cache = silu_forward(np.array([ln3, -ln3, 0.0]))
    assert_close(y, [0.75 * ln3, -0.25 * ln3, 0.0], terms=16)
    dx = silu_backward(np.array([1.0, 8.0, 1.0]), cache)
    assert_close(dx, [0.75 * (1 + 0.25 * ln3), 2 * (1 - 0.75 * ln3), 0.5], terms=16)


def test_minimum():
    """Where the slope vanishes, 1 + x (1 − σ) = 0, so y = x σ = x + 1: the lowest value of SiLU, at −1.2784645427610738."""
    y, cache = silu_forward(np.array([-1.2784645427610738]))
    assert_close(y, [-0.2784645427610738], terms=16)
    assert_close(silu_backward(np.ones(1), cache), [0.0], terms=16, scale=1.0)


@pytest.mark.parametrize("shape", [(), (1,), (9,), (3, 4), (2, 1, 3, 2)])
def test_gradients(shape):
    assert_gradients(silu_forward, silu_backward, {"x": 2 * normal(shape, seed=1)})


def test_oracle():
    import autograd.numpy as anp

    assert_oracle(silu_forward, silu_backward, lambda x: x / (1 + anp.exp(-x)), {"x": 3 * normal((3, 5, 7), seed=2)})


def test_as_in_torch():
    torch = pytest.importorskip("torch")
    x, dy = 10 * normal((200,), seed=3), normal((200,), seed=4)
    theirs = torch.tensor(x, requires_grad=True)
    torch.nn.functional.silu(theirs).backward(torch.tensor(dy))
    y, cache = silu_forward(x)
    assert_close(y, torch.nn.functional.silu(theirs).detach(), terms=16)
    assert_close(silu_backward(dy, cache), theirs.grad, terms=16)


def test_float32():
    assert_float32_follows(silu_forward, silu_backward, {"x": 3 * normal((8, 32), seed=5)})


def test_float32_left_tail():
    """There σ is a difference of nearly equal numbers; the error stays below a few units of the last digit of 1, times |x|."""
    x = np.linspace(-30, 0, 301)
    y, cache = silu_forward(x.astype(np.float32))
    assert_close(y, x / (1 + np.exp(-x)), terms=1, scale=1.0)
    assert_close(silu_backward(np.ones(301, np.float32), cache), silu_backward(np.ones(301), x), terms=1, scale=1.0)


def test_layer_has_the_gradients_of_the_functions():
    gradcheck_layer(SiLU(), normal((2, 3, 5), seed=1)).raise_for_error()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_extremes(dtype):
    x = np.array([-1e4, -88, 88, 1e4], dtype)
    y, cache = silu_forward(x)
    assert_close(y, np.array([0, 0, 88, 1e4], dtype), terms=16)
    assert_close(silu_backward(np.ones(4, dtype), cache), [0, 0, 1, 1], terms=16)


def test_nan_passes_through():
    y, cache = silu_forward(np.array([1.0, np.nan, 2.0]))
    np.testing.assert_array_equal(np.isnan(y), [False, True, False])
    np.testing.assert_array_equal(np.isnan(silu_backward(np.ones(3), cache)), [False, True, False])


def test_empty():
    with pytest.raises(InputError, match=r"SiLU: x is empty, shape \(0, 3\)"):
        SiLU()(np.zeros((0, 3)))


@pytest.mark.parametrize("dtype", ["int64", "complex64", "bool"])
def test_wrong_dtype(dtype):
    with pytest.raises(InputError, match=rf"SiLU: x has dtype {dtype}, expected a floating one"):
        SiLU()(np.zeros((2, 3), dtype))


def test_not_an_array():
    with pytest.raises(InputError, match="SiLU: x is a list, expected an array"):
        SiLU()([1.0])
