"""Depthwise 1-d convolution: mvnp/layers/conv1d.py."""

import warnings
from functools import partial

import numpy as np
import pytest

from mvnp import gradcheck_layer
from mvnp.core import Initializer
from mvnp.errors import InputError
from mvnp.layers.conv1d import Conv1d, conv1d_backward, conv1d_forward
from support.checks import assert_float32_follows, assert_gradients, assert_oracle, normal
from support.tolerance import assert_close, chance

CASES = [(length, kernel) for length in (1, 2, 7) for kernel in (1, 2, 3, 4, 5)]


def inputs_of(length, kernel, bias=True, batch=2, channels=3):
    inputs = {"x": normal((batch, length, channels), seed=1), "weight": normal((channels, 1, kernel), seed=2)}
    return {**inputs, "bias": normal((channels,), seed=3)} if bias else inputs


def backward_without_bias(dy, cache):
    dx, dweight, dbias = conv1d_backward(dy, cache)
    assert dbias is None
    return dx, dweight


def test_by_hand():
    # K = 3, p = 1: y_t = 1 x_(t−1) + 10 x_t + 100 x_(t+1) + 5, with x = (1, 2, 3) and zeros around it.
    x, weight = np.array([1.0, 2.0, 3.0]).reshape(1, 3, 1), np.array([1.0, 10.0, 100.0]).reshape(1, 1, 3)
    y, cache = conv1d_forward(x, weight, np.array([5.0]))
    assert_close(y.ravel(), [0 + 10 + 200 + 5, 1 + 20 + 300 + 5, 2 + 30 + 0 + 5])
    # dy = (1, 0, 0) asks how y_0 = 10 x_0 + 100 x_1 + b changes: dx = (10, 100, 0), dw = (x_(−1), x_0, x_1) = (0, 1, 2).
    dx, dweight, dbias = conv1d_backward(np.array([1.0, 0.0, 0.0]).reshape(1, 3, 1), cache)
    assert_close(dx.ravel(), [10.0, 100.0, 0.0])
    assert_close(dweight.ravel(), [0.0, 1.0, 2.0])
    assert_close(dbias, [1.0])


def test_even_kernel_by_hand():
    # K = 2: p = 0, the one zero of padding stands on the right: y_t = 1 x_t + 10 x_(t+1).
    x, weight = np.array([1.0, 2.0, 3.0]).reshape(1, 3, 1), np.array([1.0, 10.0]).reshape(1, 1, 2)
    assert_close(conv1d_forward(x, weight)[0].ravel(), [1 + 20, 2 + 30, 3 + 0])


def test_causal_by_hand():
    # K = 3, two zeros on the left: y_t = 1 x_(t−2) + 10 x_(t−1) + 100 x_t.
    x, weight = np.array([1.0, 2.0, 3.0]).reshape(1, 3, 1), np.array([1.0, 10.0, 100.0]).reshape(1, 1, 3)
    y, cache = conv1d_forward(x, weight, causal=True)
    assert_close(y.ravel(), [100, 10 + 200, 1 + 20 + 300])
    # dy = (0, 1, 0): y_1 reads x_0 with 10 and x_1 with 100; its taps met (0, x_0, x_1).
    dx, dweight, _ = conv1d_backward(np.array([0.0, 1.0, 0.0]).reshape(1, 3, 1), cache)
    assert_close(dx.ravel(), [10.0, 100.0, 0.0])
    assert_close(dweight.ravel(), [0.0, 1.0, 2.0])


@pytest.mark.parametrize("silu", [True, False])
@pytest.mark.parametrize(("length", "kernel"), CASES)
def test_causal(length, kernel, silu):
    forward, inputs = partial(conv1d_forward, silu=silu, causal=True), inputs_of(length, kernel)
    assert_gradients(forward, conv1d_backward, inputs)
    # It is that of a sequence with K − 1 zeros in front, without any other padding.
    longer = {**inputs, "x": np.pad(inputs["x"], ((0, 0), (kernel - 1, kernel), (0, 0)))}
    p = (kernel - 1) // 2
    assert_close(forward(*inputs.values())[0], conv1d_forward(*longer.values(), silu)[0][:, p : p + length])


def test_what_comes_later_does_not_show_in_a_causal_one():
    x, weight = normal((1, 6, 2), 1), normal((2, 1, 4), 2)
    later = x.copy()
    later[:, 3:] += 1.0
    got, want = (conv1d_forward(v, weight, silu=True, causal=True)[0] for v in (later, x))
    np.testing.assert_array_equal(got[:, :3], want[:, :3])
    assert (got[:, 3:] != want[:, 3:]).all()


def test_channels_do_not_mix():
    x, weight = normal((2, 6, 4), seed=1), normal((4, 1, 3), seed=2)
    y, _ = conv1d_forward(x, weight)
    for c in range(4):
        alone, _ = conv1d_forward(x[..., c : c + 1], weight[c : c + 1])
        assert_close(y[..., c : c + 1], alone)


@pytest.mark.parametrize(("length", "kernel"), CASES)
def test_gradients(length, kernel):
    assert_gradients(conv1d_forward, conv1d_backward, inputs_of(length, kernel))
    assert_gradients(conv1d_forward, backward_without_bias, inputs_of(length, kernel, bias=False))


def test_gradients_of_single_channel_and_sample():
    assert_gradients(conv1d_forward, conv1d_backward, inputs_of(5, 3, batch=1, channels=1))


@pytest.mark.parametrize(("length", "kernel"), CASES)
def test_oracle(length, kernel):
    import autograd.numpy as anp

    def independent(x, weight, bias):
        # The definition, token by token: a matrix of taps for each channel, from the distance of two tokens.
        columns = []
        for c in range(3):
            rows = []
            for t in range(length):
                terms = [
                    weight[c, 0, k] * x[:, t + k - (kernel - 1) // 2, c]
                    for k in range(kernel)
                    if 0 <= t + k - (kernel - 1) // 2 < length
                ]
                rows.append(sum(terms) + bias[c])
            columns.append(anp.stack(rows, axis=1))
        return anp.stack(columns, axis=2)

    assert_oracle(conv1d_forward, conv1d_backward, independent, inputs_of(length, kernel))


@pytest.mark.parametrize(("length", "kernel"), CASES)
def test_same_padding_as_in_torch(length, kernel):
    torch = pytest.importorskip("torch")
    inputs, dy = inputs_of(length, kernel), normal((2, length, 3), seed=9)
    x, weight, bias = (torch.tensor(v, requires_grad=True) for v in inputs.values())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that an even kernel costs torch a copy
        expected = torch.nn.functional.conv1d(x.transpose(1, 2), weight, bias, padding="same", groups=3).transpose(1, 2)
    expected.backward(torch.tensor(dy))
    y, cache = conv1d_forward(*inputs.values())
    assert_close(y, expected.detach())
    for got, want in zip(conv1d_backward(dy, cache), (x, weight, bias), strict=True):
        assert_close(got, want.grad)


def test_float32():
    assert_float32_follows(conv1d_forward, conv1d_backward, inputs_of(16, 3))
    assert_float32_follows(conv1d_forward, backward_without_bias, inputs_of(16, 4, bias=False))


def test_with_silu():
    inputs = inputs_of(7, 3)
    with_silu = partial(conv1d_forward, silu=True)
    y, _ = with_silu(*inputs.values())
    v, _ = conv1d_forward(*inputs.values())
    assert_close(y, v / (1 + np.exp(-v)), terms=16)
    assert_gradients(with_silu, conv1d_backward, inputs)
    assert_gradients(with_silu, backward_without_bias, inputs_of(4, 4, bias=False))


def test_wrong_dy():
    for silu in (False, True):
        _, cache = conv1d_forward(*inputs_of(7, 3).values(), silu)
        with pytest.raises(InputError, match=r"Conv1d: dy has shape \(2, 6, 3\), expected \(2, 7, 3\)"):
            conv1d_backward(np.zeros((2, 6, 3)), cache)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("silu", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_layer_has_the_gradients_of_the_functions(bias, silu, causal):
    layer = Conv1d(3, 3, bias=bias, silu=silu, causal=causal)
    x, parameters = (
        normal((2, 5, 3), seed=2).astype(np.float32),
        [None if p is None else p.data for p in (layer.weight, layer.bias)],
    )
    np.testing.assert_array_equal(layer(x), conv1d_forward(x, *parameters, silu, causal)[0])
    gradcheck_layer(layer, normal((2, 5, 3), seed=1)).raise_for_error()
    assert {key: param.shape for key, param in layer.named_parameters()} == {
        "weight": (3, 1, 3),
        **({"bias": (3,)} if bias else {}),
    }


def test_initial_values():
    # Uniform in ±1/√K: each channel's kernel has a fan-in of K.
    weight = np.asarray(Conv1d(4000, 4).weight)
    assert np.abs(weight).max() <= 0.5
    assert abs(weight.std() - 0.5 / np.sqrt(3)) < chance(0.5 / np.sqrt(3), 2 * weight.size)


def test_wrong_shape():
    with pytest.raises(InputError, match=r"Conv1d: x has shape \(2, 5, 9\), expected \(B, L, 8\)"):
        Conv1d(8, 3)(np.zeros((2, 5, 9), np.float32))
    with pytest.raises(InputError, match=r"Conv1d: x has shape \(5, 8\), expected \(B, L, 8\)"):
        Conv1d(8, 3)(np.zeros((5, 8), np.float32))
    with pytest.raises(InputError, match=r"Conv1d: x is empty, shape \(2, 0, 8\)"):
        Conv1d(8, 3)(np.zeros((2, 0, 8), np.float32))


@pytest.mark.parametrize("dtype", ["int64", "complex64"])
def test_wrong_dtype(dtype):
    with pytest.raises(InputError, match=rf"Conv1d: x has dtype {dtype}, expected a floating one"):
        Conv1d(8, 3)(np.zeros((2, 5, 8), dtype))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_a_layer_is_unless_told_otherwise(dtype):
    """Linear in x: neither a bias nor a SiLU. Its parameters have the dtype of the initializer."""
    layer = Conv1d(3, 2, init=Initializer(dtype=dtype))
    assert layer.bias is None
    assert layer.weight.data.dtype == dtype
    x = normal((2, 5, 3), seed=1).astype(dtype)
    np.testing.assert_array_equal(layer(-2 * x), -2 * layer(x))
    np.testing.assert_array_equal(layer(x), conv1d_forward(x, layer.weight.data, causal=False)[0])
