"""GELU, exact and by tanh: mvnp/layers/gelu.py."""

import math

import numpy as np
import pytest

from mvnp import Tape, gradcheck_layer
from mvnp.errors import InputError
from mvnp.layers.gelu import GELU, gelu_backward, gelu_forward, gelu_tanh_backward, gelu_tanh_forward
from support.checks import assert_float32_follows, assert_gradients, assert_oracle, normal
from support.tolerance import assert_close, near

EXACT, TANH = (gelu_forward, gelu_backward), (gelu_tanh_forward, gelu_tanh_backward)
both = pytest.mark.parametrize("pair", [EXACT, TANH], ids=["exact", "tanh"])


def test_exact_by_hand():
    # Tables of the normal distribution: Φ(1) = 0.841344746068543, φ(1) = 0.241970724519143.
    # At 1: y = 1 Φ(1), y' = Φ(1) + 1 φ(1) = 1.083315470587686. At 0: y = 0, y' = Φ(0) = 1/2.
    # At −1: y = −(1 − Φ(1)), y' = 1 − Φ(1) − φ(1) = −0.083315470587686.
    y, cache = gelu_forward(np.array([1.0, -1.0, 0.0]))
    assert_close(y, [0.841344746068543, -0.158655253931457, 0.0], terms=16)
    dx = gelu_backward(np.array([1.0, 10.0, 1.0]), cache)
    assert_close(dx, [1.083315470587686, -0.83315470587686, 0.5], terms=16)


def test_tanh_by_hand():
    # √(2/π) = 0.797884560802865. At x = 1: u = 0.797884560802865 · 1.044715 = 0.833561968939165, tanh u = 0.682383981216553,
    # y = (1 + 0.682383981216553)/2 = 0.841191990608277. u' = 0.797884560802865 · 1.134145 = 0.904916785211765,
    # 1 − tanh² u = 0.534352102179 and dx = (1.682383981217 + 0.534352102179 · 0.904916785212)/2 = 1.082964084.
    u = 0.797884560802865 * 1.044715
    tanh = (math.exp(2 * u) - 1) / (math.exp(2 * u) + 1)
    y, cache = gelu_tanh_forward(np.array([1.0, 0.0]))
    assert_close(y, [(1 + tanh) / 2, 0.0], terms=16)
    assert y[0] == near(0.841191990608277, terms=16)
    dx = gelu_tanh_backward(np.array([1.0, 1.0]), cache)
    assert_close(dx, [(1 + tanh + (1 - tanh * tanh) * 0.904916785211765) / 2, 0.5], terms=16)
    assert dx[0] == near(1.082964084, noise=5e-10)


@both
@pytest.mark.parametrize("shape", [(), (1,), (9,), (3, 4), (2, 1, 3, 2)])
def test_gradients(pair, shape):
    assert_gradients(*pair, {"x": 1.5 * normal(shape, seed=1)})


def test_exact_oracle():
    from autograd.scipy.special import erfc

    assert_oracle(*EXACT, lambda x: x * erfc(-x / 2**0.5) / 2, {"x": 2 * normal((3, 5, 7), seed=2)})


def test_tanh_oracle():
    import autograd.numpy as anp

    def independent(x):
        # (1 + tanh u)/2 is the logistic function of 2u.
        return x / (1 + anp.exp(-2 * (2 / np.pi) ** 0.5 * (x + 0.044715 * x**3)))

    assert_oracle(*TANH, independent, {"x": 2 * normal((3, 5, 7), seed=2)})


@pytest.mark.parametrize(("pair", "approximate"), [(EXACT, "none"), (TANH, "tanh")])
def test_as_in_torch(pair, approximate):
    torch = pytest.importorskip("torch")
    x, dy = 3 * normal((4, 50), seed=3), normal((4, 50), seed=4)
    theirs = torch.tensor(x, requires_grad=True)
    expected = torch.nn.functional.gelu(theirs, approximate=approximate)
    expected.backward(torch.tensor(dy))
    y, cache = pair[0](x)
    assert_close(y, expected.detach(), terms=16)
    assert_close(pair[1](dy, cache), theirs.grad)


def test_how_far_the_two_forms_are_apart():
    x = np.linspace(-6, 6, 2001)
    apart = np.abs(gelu_forward(x)[0] - gelu_tanh_forward(x)[0]).max()
    assert 4e-4 < apart < 5e-4


@both
def test_what_it_adds_to_its_mirror_image_is_x(pair):
    """y(x) − y(−x) = x, since Φ(x) + Φ(−x) = 1; the slopes at x and −x sum to one."""
    x = np.linspace(-5, 5, 101)
    (y, cache), (mirrored, mirrored_cache) = pair[0](x), pair[0](-x)
    assert_close(y - mirrored, x, terms=16)
    ones = np.ones_like(x)
    assert_close(pair[1](ones, cache) + pair[1](ones, mirrored_cache), ones, terms=16)


@both
def test_float32(pair):
    assert_float32_follows(*pair, {"x": 2 * normal((8, 32), seed=5)})


@both
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_extremes(pair, dtype):
    x = np.array([-1e4, -88, 88, 1e4], dtype)
    y, cache = pair[0](x)
    np.testing.assert_array_equal(y, np.array([0, 0, 88, 1e4], dtype))
    np.testing.assert_array_equal(pair[1](np.ones(4, dtype), cache), [0, 0, 1, 1])


@both
def test_nan_passes_through(pair):
    y, cache = pair[0](np.array([1.0, np.nan, 2.0]))
    np.testing.assert_array_equal(np.isnan(y), [False, True, False])
    np.testing.assert_array_equal(np.isnan(pair[1](np.ones(3), cache)), [False, True, False])


@pytest.mark.parametrize(("approximate", "pair"), [("none", EXACT), ("tanh", TANH)])
def test_layer_has_the_gradients_of_the_functions(approximate, pair):
    layer, x, dy, tape = GELU(approximate), normal((2, 3, 5), seed=1), normal((2, 3, 5), seed=2), Tape()
    gradcheck_layer(layer, x).raise_for_error()
    y, cache = pair[0](x)
    np.testing.assert_array_equal(layer(x, tape), y)
    np.testing.assert_array_equal(layer.backward(dy, tape), pair[1](dy, cache))


def test_exact_is_the_default():
    x = normal((5,), seed=1)
    np.testing.assert_array_equal(GELU()(x), gelu_forward(x)[0])


def test_unknown_approximation():
    with pytest.raises(InputError) as caught:
        GELU("tahn")
    assert str(caught.value) == "unknown GELU approximation 'tahn' (did you mean 'tanh'?); choose one of none, tanh"


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_wrong_dtype_and_shape(approximate):
    with pytest.raises(InputError, match="GELU: x has dtype int64, expected a floating one"):
        GELU(approximate)(np.zeros((2, 3), np.int64))
    with pytest.raises(InputError, match="GELU: x has dtype complex64"):
        GELU(approximate)(np.zeros((2, 3), np.complex64))
    with pytest.raises(InputError, match=r"GELU: x is empty, shape \(2, 0\)"):
        GELU(approximate)(np.zeros((2, 0)))
    with pytest.raises(InputError, match="GELU: x is a NoneType, expected an array"):
        GELU(approximate)(None)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_tanh_far_out(dtype):
    """Where x³ is beyond every number of the dtype: 0 on the left and x on the right, without a warning."""
    x = np.array([-1e20, 1e20], dtype) if dtype == "float32" else np.array([-1e200, 1e200])
    y, cache = gelu_tanh_forward(x)
    np.testing.assert_array_equal(y, [0.0, x[1]])
    np.testing.assert_array_equal(gelu_tanh_backward(np.ones(2, dtype), cache), [0.0, 1.0])
