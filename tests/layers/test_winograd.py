"""Winograd's convolution: mvnp/layers/winograd.py. It has to be the convolution of mvnp/layers/conv2d.py."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvnp.errors import InputError
from mvnp.layers import winograd
from mvnp.layers.conv2d import conv2d_backward, conv2d_forward
from mvnp.layers.winograd import PATCH, POINTS, TAPS, TILE, winograd_backward, winograd_forward
from support.checks import assert_float32_follows, assert_gradients, assert_oracle, normal
from support.tolerance import assert_close

# x (B, H, W, I), outputs, padding
CASES = [
    ((1, 1, 1, 1), 1, (1, 1)),  # a single pixel in a single tile
    ((2, 4, 8, 3), 2, (1, 1)),  # whole tiles
    ((2, 5, 7, 2), 3, (1, 1)),  # tiles that hang over
    ((1, 6, 5, 2), 2, (0, 2)),
    ((1, 3, 4, 1), 2, (2, 0)),
    ((1, 3, 3, 2), 1, (0, 0)),  # a single output
]


def inputs_of(shape, outputs, bias=True):
    inputs = {"x": normal(shape, seed=1), "weight": normal((outputs, shape[3], 3, 3), seed=2)}
    return {**inputs, "bias": normal((outputs,), seed=3)} if bias else inputs


def padded_by(padding):
    return lambda x, weight, bias=None: winograd_forward(x, weight, bias, padding)


def backward_without_bias(dy, cache):
    dx, dweight, dbias = winograd_backward(dy, cache)
    assert dbias is None
    return dx, dweight


def test_by_hand():
    # All of x is 1 and all of w is 1: an output counts the pixels in reach, 9 inside, 6 at an edge, 4 in a corner; plus 7.
    y, cache = winograd_forward(np.ones((1, 5, 5, 1)), np.ones((1, 1, 3, 3)), np.array([7.0]))
    row, inner = [4.0, 6.0, 6.0, 6.0, 4.0], [6.0, 9.0, 9.0, 9.0, 6.0]
    assert_close(y[0, :, :, 0] - 7.0, [row, inner, inner, inner, row], terms=16)
    # dy is 1 at the centre alone: dx is the kernel around it, dw the pixels that the centre saw, db that 1.
    dy = np.zeros((1, 5, 5, 1))
    dy[0, 2, 2] = 1.0
    dx, dweight, dbias = winograd_backward(dy, cache)
    assert_close(dx[0, :, :, 0], np.pad(np.ones((3, 3)), 1), terms=16)
    assert_close(dweight[0, 0], np.ones((3, 3)), terms=16)
    assert_close(dbias, [1.0])


@pytest.mark.parametrize(("shape", "outputs", "padding"), CASES)
def test_gradients(shape, outputs, padding):
    assert_gradients(padded_by(padding), winograd_backward, inputs_of(shape, outputs))
    assert_gradients(padded_by(padding), backward_without_bias, inputs_of(shape, outputs, bias=False))


@pytest.mark.parametrize(("shape", "outputs", "padding"), CASES)
def test_oracle(shape, outputs, padding):
    import autograd.numpy as anp

    def independent(x, weight, bias):
        (ph, pw), (H, W) = padding, shape[1:3]
        padded = anp.pad(x, ((0, 0), (ph, ph), (pw, pw), (0, 0)), mode="constant")
        rows = []
        for top in range(H + 2 * ph - 2):
            row = [
                anp.einsum("bijc,ocij->bo", padded[:, top : top + 3, left : left + 3], weight) + bias
                for left in range(W + 2 * pw - 2)
            ]
            rows.append(anp.stack(row, axis=1))
        return anp.stack(rows, axis=1)

    assert_oracle(padded_by(padding), winograd_backward, independent, inputs_of(shape, outputs))


@settings(max_examples=40)
@given(
    B=st.integers(1, 3), H=st.integers(1, 11), W=st.integers(1, 11), I=st.integers(1, 4), O=st.integers(1, 4),
    padding=st.tuples(st.integers(0, 2), st.integers(0, 2)),
)  # fmt: skip
def test_any_size_as_by_im2col(B, H, W, I, O, padding):
    H, W = max(H, 3 - 2 * padding[0]), max(W, 3 - 2 * padding[1])
    inputs = inputs_of((B, H, W, I), O).values()
    y, cache = padded_by(padding)(*inputs)
    expected, other = conv2d_forward(*inputs, (1, 1), padding)
    dy = normal(y.shape, seed=9)
    assert_close(y, expected)
    for got, want in zip(winograd_backward(dy, cache), conv2d_backward(dy, other), strict=True):
        assert_close(got, want)


def test_float32():
    assert_float32_follows(winograd_forward, winograd_backward, inputs_of((2, 9, 9, 16), 16), terms=4)


def test_float32_error_is_as_documented():
    """Largest error over largest output, at the size of a block: about 2e-6, below 1e-5."""
    inputs = {"x": normal((1, 28, 28, 160), seed=1), "weight": normal((160, 160, 3, 3), seed=2) / 38}
    expected, _ = conv2d_forward(*inputs.values(), None, (1, 1), (1, 1))
    y, _ = winograd_forward(*(value.astype(np.float32) for value in inputs.values()))
    assert np.abs(y - expected).max() / np.abs(expected).max() < 4e-6


def test_transforms_multiply_polynomials():
    """The one-dimensional identity behind (1): A (6, 4), G (6, 3), T (6, 6) correlate 6 numbers with 3."""
    A, G, T = (np.asarray(m) for m in winograd._transforms(np, np.dtype("float64")))
    assert (A.shape, G.shape, T.shape) == ((PATCH**2, TILE**2), (PATCH**2, TAPS**2), (PATCH**2, PATCH**2))
    d, g = normal((PATCH, PATCH), seed=1), normal((TAPS, TAPS), seed=2)
    want = [[np.sum(d[i : i + 3, j : j + 3] * g) for j in range(TILE)] for i in range(TILE)]
    assert_close((A.T @ ((G @ g.ravel()) * (T @ d.ravel()))).reshape(TILE, TILE), want, terms=16)
    assert len(set(POINTS)) == PATCH - 1


def test_wrong_input():
    x, weight = np.zeros((1, 8, 8, 3)), np.zeros((4, 3, 3, 3))
    with pytest.raises(InputError, match=r"winograd: x has shape \(1, 8, 8, 2\), expected \(B, H, W, 3\)"):
        winograd_forward(x[..., :2], weight)
    with pytest.raises(InputError, match=r"winograd: weight has shape \(4, 3, 5, 5\), expected \(O, I, 3, 3\)"):
        winograd_forward(x, np.zeros((4, 3, 5, 5)))
    with pytest.raises(InputError, match="winograd: an image of 2x8 with padding 0x0 is smaller than the kernel, 3x3"):
        winograd_forward(x[:, :2], weight, None, (0, 0))
    with pytest.raises(InputError, match=r"winograd: padding is \(3, 1\), expected 0 to 2"):
        winograd_forward(x, weight, None, (3, 1))
    with pytest.raises(InputError, match="winograd: x has dtype int64, expected a floating one"):
        winograd_forward(x.astype("int64"), weight)
    _, cache = winograd_forward(x, weight)
    with pytest.raises(InputError, match=r"winograd: dy has shape \(1, 8, 8, 3\), expected \(1, 8, 8, 4\)"):
        winograd_backward(x, cache)
