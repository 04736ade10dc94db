"""Depthwise 2-d convolution: mvnp/layers/depthwise_conv2d.py."""

import warnings

import numpy as np
import pytest

from mvnp import gradcheck_layer
from mvnp.core import Initializer
from mvnp.errors import InputError
from mvnp.layers.depthwise_conv2d import DepthwiseConv2d, depthwise_conv2d_backward, depthwise_conv2d_forward
from support.checks import assert_float32_follows, assert_gradients, assert_oracle, normal
from support.tolerance import assert_close

# H, W, Kh, Kw: maps smaller than the kernel, kernels that are even, or not square.
CASES = [(1, 1, 3, 3), (3, 4, 3, 3), (4, 2, 1, 3), (2, 5, 2, 1), (5, 3, 4, 5), (3, 3, 2, 2), (2, 2, 1, 1)]


def inputs_of(H, W, Kh, Kw, bias=True, batch=2, channels=3):
    inputs = {"x": normal((batch, H, W, channels), seed=1), "weight": normal((channels, 1, Kh, Kw), seed=2)}
    return {**inputs, "bias": normal((channels,), seed=3)} if bias else inputs


def backward_without_bias(dy, cache):
    dx, dweight, dbias = depthwise_conv2d_backward(dy, cache)
    assert dbias is None
    return dx, dweight


def test_by_hand():
    # y_hw = 1 x_(h−1, w) + 10 x_hw + 100 x_(h, w+1) + 5, zeros around   1 2
    #                                                                     3 4
    x = np.array([[1.0, 2.0], [3.0, 4.0]]).reshape(1, 2, 2, 1)
    weight = np.array([[0.0, 1.0, 0.0], [0.0, 10.0, 100.0], [0.0, 0.0, 0.0]]).reshape(1, 1, 3, 3)
    y, cache = depthwise_conv2d_forward(x, weight, np.array([5.0]))
    assert_close(y[0, ..., 0], [[10 + 200 + 5, 20 + 5], [1 + 30 + 400 + 5, 2 + 40 + 5]])
    # A dy of the lower left pixel alone: dx are the taps that y_10 was made with, dw the pixels that they met.
    dy = np.array([[0.0, 0.0], [1.0, 0.0]]).reshape(1, 2, 2, 1)
    dx, dweight, dbias = depthwise_conv2d_backward(dy, cache)
    assert_close(dx[0, ..., 0], [[1, 0], [10, 100]])
    assert_close(dweight[0, 0], [[0, 1, 2], [0, 3, 4], [0, 0, 0]])
    assert_close(dbias, [1.0])


def test_even_kernel_by_hand():
    # A kernel of 1x2 looks at its pixel and the one to the right, one of 2x1 at the one below.
    x = np.array([[1.0, 2.0], [3.0, 4.0]]).reshape(1, 2, 2, 1)
    taps = np.array([1.0, 10.0])
    across, _ = depthwise_conv2d_forward(x, taps.reshape(1, 1, 1, 2))
    down, _ = depthwise_conv2d_forward(x, taps.reshape(1, 1, 2, 1))
    assert_close(across[0, ..., 0], [[21, 2], [43, 4]])
    assert_close(down[0, ..., 0], [[31, 42], [3, 4]])


def test_channels_do_not_mix():
    x, weight = normal((2, 4, 5, 4), seed=1), normal((4, 1, 3, 3), seed=2)
    y, _ = depthwise_conv2d_forward(x, weight)
    for c in range(4):
        alone, _ = depthwise_conv2d_forward(x[..., c : c + 1], weight[c : c + 1])
        assert_close(y[..., c : c + 1], alone)


@pytest.mark.parametrize("case", CASES)
def test_gradients(case):
    assert_gradients(depthwise_conv2d_forward, depthwise_conv2d_backward, inputs_of(*case))
    assert_gradients(depthwise_conv2d_forward, backward_without_bias, inputs_of(*case, bias=False))


def test_gradients_of_single_channel_and_sample():
    assert_gradients(depthwise_conv2d_forward, depthwise_conv2d_backward, inputs_of(3, 4, 3, 3, batch=1, channels=1))


@pytest.mark.parametrize("case", CASES)
def test_oracle(case):
    import autograd.numpy as anp

    H, W, Kh, Kw = case
    p, q = (Kh - 1) // 2, (Kw - 1) // 2

    def independent(x, weight, bias):
        # The definition, pixel by pixel: pixel (r, s) is met by tap (r − h + p, s − w + q) of pixel (h, w).
        rows = []
        for h in range(H):
            pixels = []
            for w in range(W):
                terms = [
                    weight[:, 0, r - h + p, s - w + q] * x[:, r, s]
                    for r in range(H)
                    for s in range(W)
                    if 0 <= r - h + p < Kh and 0 <= s - w + q < Kw
                ]
                pixels.append(sum(terms) + bias)
            rows.append(anp.stack(pixels, axis=1))
        return anp.stack(rows, axis=1)

    assert_oracle(depthwise_conv2d_forward, depthwise_conv2d_backward, independent, inputs_of(*case))


@pytest.mark.parametrize("case", CASES)
def test_same_padding_as_in_torch(case):
    torch = pytest.importorskip("torch")
    inputs, dy = inputs_of(*case), normal((2, *case[:2], 3), seed=9)
    x, weight, bias = (torch.tensor(v, requires_grad=True) for v in inputs.values())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that an even kernel costs torch a copy
        expected = torch.nn.functional.conv2d(x.permute(0, 3, 1, 2), weight, bias, padding="same", groups=3).permute(0, 2, 3, 1)
    expected.backward(torch.tensor(dy))
    y, cache = depthwise_conv2d_forward(*inputs.values())
    assert_close(y, expected.detach())
    for got, want in zip(depthwise_conv2d_backward(dy, cache), (x, weight, bias), strict=True):
        assert_close(got, want.grad)


def test_float32():
    assert_float32_follows(depthwise_conv2d_forward, depthwise_conv2d_backward, inputs_of(9, 8, 3, 3))
    assert_float32_follows(depthwise_conv2d_forward, backward_without_bias, inputs_of(9, 8, 2, 3, bias=False))


@pytest.mark.parametrize("bias", [True, False])
def test_layer_has_the_gradients_of_the_functions(bias):
    layer = DepthwiseConv2d(3, (3, 2), bias=bias)
    gradcheck_layer(layer, normal((2, 4, 5, 3), seed=1)).raise_for_error()
    assert {key: param.shape for key, param in layer.named_parameters()} == {
        "weight": (3, 1, 3, 2),
        **({"bias": (3,)} if bias else {}),
    }


def test_initial_values():
    # Uniform in ±1/√(Kh Kw): each channel's kernel has a fan-in of Kh Kw.
    layer = DepthwiseConv2d(4000, (2, 8))
    for parameter in (layer.weight, layer.bias):
        values = np.asarray(parameter)
        assert np.abs(values).max() <= 0.25
        assert abs(values.std() - 0.25 / np.sqrt(3)) < 0.005


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_a_layer_is_unless_told_otherwise(dtype):
    """It has a bias, and its parameters have the dtype of the initializer."""
    layer = DepthwiseConv2d(3, 3, init=Initializer(dtype=dtype))
    assert layer.weight.shape == (3, 1, 3, 3)
    assert layer.weight.dtype == layer.bias.dtype == dtype


def test_wrong_dy():
    _, cache = depthwise_conv2d_forward(*inputs_of(3, 4, 3, 3).values())
    with pytest.raises(InputError, match=r"DepthwiseConv2d: dy has shape \(2, 4, 3, 3\), expected \(2, 3, 4, 3\)"):
        depthwise_conv2d_backward(np.zeros((2, 4, 3, 3)), cache)


def test_wrong_shape():
    layer = DepthwiseConv2d(8, 3)
    with pytest.raises(InputError, match=r"DepthwiseConv2d: x has shape \(2, 5, 5, 9\), expected \(B, H, W, 8\)"):
        layer(np.zeros((2, 5, 5, 9), np.float32))
    with pytest.raises(InputError, match=r"DepthwiseConv2d: x has shape \(5, 5, 8\), expected \(B, H, W, 8\)"):
        layer(np.zeros((5, 5, 8), np.float32))
    with pytest.raises(InputError, match=r"DepthwiseConv2d: x is empty, shape \(2, 0, 5, 8\)"):
        layer(np.zeros((2, 0, 5, 8), np.float32))
    with pytest.raises(InputError, match=r"DepthwiseConv2d: kernel_size is 0, expected an integer from 1"):
        DepthwiseConv2d(8, 0)
    with pytest.raises(InputError, match=r"DepthwiseConv2d: kernel_size is \(3, 3, 3\), expected"):
        DepthwiseConv2d(8, (3, 3, 3))


def test_not_an_array():
    with pytest.raises(InputError, match="DepthwiseConv2d: bias is a list, expected an array"):
        depthwise_conv2d_forward(np.zeros((2, 3, 3, 1)), np.zeros((1, 1, 3, 3)), [0.0])


@pytest.mark.parametrize("dtype", ["int64", "complex64"])
def test_wrong_dtype(dtype):
    with pytest.raises(InputError, match=rf"DepthwiseConv2d: x has dtype {dtype}, expected a floating one"):
        DepthwiseConv2d(8, 3)(np.zeros((2, 5, 5, 8), dtype))
