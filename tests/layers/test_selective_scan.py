"""Selective scan: mvnp/layers/selective_scan.py."""

import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvnp.errors import InputError
from mvnp.layers.selective_scan import selective_scan_backward, selective_scan_forward, selective_scan_states
from support.checks import assert_float32_follows, assert_gradients, assert_oracle, normal
from support.tolerance import assert_close

SHAPES = [(1, 1, 1, 1), (2, 1, 3, 2), (1, 5, 1, 1), (2, 4, 2, 3), (1, 7, 3, 1), (3, 2, 1, 4)]  # b, l, d, n


def inputs_of(b, l, d, n, bias=True):
    inputs = {
        "x": normal((b, l, d), seed=1),
        "dt": normal((b, l, d), seed=2),
        "A": -np.exp(0.5 * normal((d, n), seed=3)),
        "B": normal((b, l, n), seed=4),
        "C": normal((b, l, n), seed=5),
        "D": normal((d,), seed=6),
    }
    return {**inputs, "dt_bias": normal((d,), seed=7)} if bias else inputs


def scan(**options):
    return lambda *inputs: selective_scan_forward(*inputs, **options)


def backward_without_bias(dy, cache):
    *gradients, dbias = selective_scan_backward(dy, cache)
    assert dbias is None
    return tuple(gradients)


def recurrence(x, dt, A, B, C, D, dt_bias=None, softplus=True, xp=np):
    """The definition, one sample, channel and token after the other. Returns y and the states (b, l, n, d)."""
    (b, l, d), n = x.shape, A.shape[1]
    delta = dt if dt_bias is None else dt + dt_bias
    if softplus:
        delta = xp.log(1.0 + xp.exp(delta))
    ys, states = [], []
    for i in range(b):
        rows, state_rows = [], []
        h = [np.zeros(n) for _ in range(d)]
        for t in range(l):
            h = [xp.exp(delta[i, t, c] * A[c]) * h[c] + delta[i, t, c] * x[i, t, c] * B[i, t] for c in range(d)]
            rows.append(xp.stack([xp.sum(C[i, t] * h[c]) + D[c] * x[i, t, c] for c in range(d)]))
            state_rows.append(xp.stack(h, axis=1))
        ys.append(xp.stack(rows))
        states.append(xp.stack(state_rows))
    return xp.stack(ys), xp.stack(states)


def test_by_hand():
    # No softplus, A = −ln 2, Δ = (1, 2): decays exp(ΔA) = 1/2, 1/4.  x = (1, 2), B = (1, 3), C = (2, 1), D = 10.
    # h_0 = 1·1·1 = 1, h_1 = 1/4·1 + 2·3·2 = 12.25.  y_0 = 2·1 + 10·1 = 12, y_1 = 12.25 + 10·2 = 32.25.
    def sequence(*values):
        return np.array(values, float).reshape(1, 2, 1)

    A, D = np.array([[-math.log(2)]]), np.array([10.0])
    x, delta, B, C = sequence(1, 2), sequence(1, 2), sequence(1, 3), sequence(2, 1)
    y, cache = selective_scan_forward(x, delta, A, B, C, D, softplus=False)
    assert_close(y.ravel(), [12.0, 32.25])
    assert_close(selective_scan_states(cache).ravel(), [1.0, 12.25])
    # dy = (1, 1): g_1 = C_1 = 1, g_0 = C_0 + 1/4·g_1 = 2.25.  e_1 = g_1 h_0/4 = 1/4, e_0 = 0.
    dx, ddt, dA, dB, dC, dD, dbias = selective_scan_backward(sequence(1, 1), cache)
    assert_close(dx.ravel(), [1 * 2.25 * 1 + 10, 2 * 1 * 3 + 10])  # Δ g B + D
    assert_close(ddt.ravel(), [1 * 2.25 * 1, -math.log(2) / 4 + 2 * 1 * 3])  # e A + x g B
    assert_close(dA, [[2 / 4]])  # Σ e Δ
    assert_close(dB.ravel(), [2.25 * 1 * 1, 1 * 2 * 2])  # g Δ x
    assert_close(dC.ravel(), [1.0, 12.25])  # h
    assert_close(dD, [3.0])  # Σ x
    assert dbias is None


def test_softplus_and_bias_by_hand():
    # Δ = softplus(ln 2 + ln 1.5) = ln(1 + 3) = ln 4. A single token: y = C Δ B x + D x = ln 4, dΔ = 1, and
    # ddt = dΔ (1 − e^−Δ) = 3/4, which is also that of the bias.
    one = np.ones((1, 1, 1))
    dt, bias = np.log(2.0) * one, np.log([1.5])
    y, cache = selective_scan_forward(one, dt, -one[0], one, one, np.zeros(1), bias)
    assert_close(y.ravel(), [math.log(4)])
    gradients = selective_scan_backward(one, cache)
    assert_close([gradients[1].item(), gradients[6].item()], [0.75, 0.75])


@pytest.mark.parametrize("softplus", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_gradients(shape, softplus):
    assert_gradients(scan(softplus=softplus), selective_scan_backward, inputs_of(*shape))
    assert_gradients(scan(softplus=softplus), backward_without_bias, inputs_of(*shape, bias=False))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("softplus", [True, False])
@pytest.mark.parametrize("shape", [(2, 9, 3, 2), (1, 1, 2, 2), (3, 5, 1, 1)])
def test_oracle(shape, softplus, bias):
    import autograd.numpy as anp

    def independent(x, dt, A, B, C, D, dt_bias=None):
        return recurrence(x, dt, A, B, C, D, dt_bias, softplus, xp=anp)[0]

    backward = selective_scan_backward if bias else backward_without_bias
    assert_oracle(scan(softplus=softplus), backward, independent, inputs_of(*shape, bias=bias))


@pytest.mark.parametrize("l", [1, 11])
def test_inference_leaves_no_cache(l):
    inputs = inputs_of(2, l, 3, 2)
    y, cache = selective_scan_forward(*inputs.values(), keep=False)
    np.testing.assert_array_equal(y, selective_scan_forward(*inputs.values())[0])
    assert cache is None


@settings(max_examples=25)
@given(b=st.integers(1, 3), l=st.integers(1, 20), d=st.integers(1, 3), n=st.integers(1, 3))
def test_any_size_as_the_recurrence(b, l, d, n):
    inputs = inputs_of(b, l, d, n)
    y, cache = selective_scan_forward(*inputs.values())
    expected, states = recurrence(*inputs.values())
    assert_close(y, expected)
    assert_close(selective_scan_states(cache), states)


def test_no_future():
    """y_t depends on the tokens up to t only, and for a long decay on the first one."""
    inputs = inputs_of(1, 8, 2, 2)
    y, _ = selective_scan_forward(*inputs.values())
    changed = inputs["x"].copy()
    changed[:, 5] += 1
    moved, _ = selective_scan_forward(*{**inputs, "x": changed}.values())
    np.testing.assert_array_equal(moved[:, :5], y[:, :5])
    assert np.abs(moved[:, 5:] - y[:, 5:]).min() > 1e-9


@pytest.mark.parametrize("offset", [-20.0, -8.0, 8.0])
def test_small_and_large_steps(offset):
    """Where softplus is in its tails: against a recurrence that takes log1p, so that it stays exact there."""
    import autograd.numpy as anp

    def independent(x, dt, A, B, C, D, dt_bias):
        return recurrence(x, anp.log1p(anp.exp(dt + dt_bias)), A, B, C, D, softplus=False, xp=anp)[0]

    inputs = inputs_of(2, 6, 2, 2)
    inputs["dt"] = inputs["dt"] + offset
    assert_oracle(scan(), selective_scan_backward, independent, inputs)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_extreme_steps_do_not_overflow(dtype):
    """Warnings are errors here. dt = −1000: Δ = 0 and y = D x. dt = 1000: Δ = 1000, h holds only the newest token."""
    inputs = {name: value.astype(dtype) for name, value in inputs_of(2, 5, 3, 2).items()}
    x, _, _, B, C, D, _ = inputs.values()
    dy = normal(x.shape, seed=9).astype(dtype)
    y, cache = selective_scan_forward(*{**inputs, "dt": np.full_like(x, -1000)}.values())
    assert_close(y, D * x)
    dx, ddt, dA, *_ = selective_scan_backward(dy, cache)
    assert_close(dx, D * dy)
    assert not ddt.any()
    assert not dA.any()

    y, cache = selective_scan_forward(*{**inputs, "dt": np.full_like(x, 1000)}.values())
    gate = np.sum(B * C, axis=-1, keepdims=True)
    assert_close(y, (1000 + inputs["dt_bias"]) * gate * x + D * x, terms=16)
    for gradient in selective_scan_backward(dy, cache):
        assert np.isfinite(gradient).all()


def test_negative_steps_grow_without_softplus():
    """Without softplus Δ may be negative, as a step back in time: the same formula."""
    inputs = inputs_of(1, 4, 2, 2, bias=False)
    inputs["dt"] = -np.abs(inputs["dt"])
    y, _ = selective_scan_forward(*inputs.values(), softplus=False)
    assert_close(y, recurrence(*inputs.values(), softplus=False)[0])


def test_float32():
    assert_float32_follows(scan(), selective_scan_backward, inputs_of(2, 50, 4, 3), terms=4)


def test_float32_over_a_long_sequence():
    """Errors of the recurrence die out with the state: they do not add up over the tokens."""
    inputs = inputs_of(1, 3000, 2, 2)
    y, _ = selective_scan_forward(*inputs.values())
    y32, _ = selective_scan_forward(*(value.astype(np.float32) for value in inputs.values()))
    assert y32.dtype == np.float32
    assert_close(y32, y)


WRONG_SHAPES = [
    ("x", (2, 5), r"x has shape \(2, 5\), expected \(b, l, d\)"),
    ("dt", (2, 5, 4), r"dt has shape \(2, 5, 4\), expected \(2, 5, 3\)"),
    ("A", (2, 3), r"A has shape \(2, 3\), expected \(3, n\)"),
    ("B", (2, 5, 3), r"B has shape \(2, 5, 3\), expected \(2, 5, 2\)"),
    ("C", (2, 2, 5), r"C has shape \(2, 2, 5\), expected \(2, 5, 2\)"),
    ("D", (2,), r"D has shape \(2,\), expected \(3,\)"),
    ("dt_bias", (4,), r"dt_bias has shape \(4,\), expected \(3,\)"),
]


@pytest.mark.parametrize(("name", "shape", "message"), WRONG_SHAPES)
def test_wrong_shape(name, shape, message):
    inputs = {**inputs_of(2, 5, 3, 2), name: np.zeros(shape)}
    with pytest.raises(InputError, match="selective_scan: " + message):
        selective_scan_forward(*inputs.values())


def test_empty():
    inputs = {**inputs_of(2, 5, 3, 2), "x": np.zeros((2, 0, 3))}
    with pytest.raises(InputError, match=r"selective_scan: x is empty, shape \(2, 0, 3\)"):
        selective_scan_forward(*inputs.values())


@pytest.mark.parametrize("name", ["x", "dt", "A", "B", "C", "D", "dt_bias"])
@pytest.mark.parametrize("dtype", ["int64", "complex64"])
def test_wrong_dtype(name, dtype):
    inputs = inputs_of(2, 5, 3, 2)
    inputs[name] = inputs[name].astype(dtype)
    with pytest.raises(InputError, match=rf"selective_scan: {name} has dtype {dtype}, expected a floating one"):
        selective_scan_forward(*inputs.values())


def test_mixed_dtypes():
    inputs = inputs_of(2, 5, 3, 2)
    inputs["dt"], inputs["D"] = inputs["dt"].astype("float32"), inputs["D"].astype("float32")
    message = "selective_scan: dtypes are mixed, x and A and B and C and dt_bias of float64, dt and D of float32; convert"
    with pytest.raises(InputError, match=message):
        selective_scan_forward(*inputs.values())


def test_positive_A():
    inputs = inputs_of(2, 5, 3, 2)
    inputs["A"][2, 1] = 0.25
    message = r"selective_scan: A is up to 0\.25, expected negative numbers, .* takes −exp\(A_log\)"
    with pytest.raises(InputError, match=message):
        selective_scan_forward(*inputs.values())
    inputs["A"][2, 1] = 0.0  # a state that never fades
    y, _ = selective_scan_forward(*inputs.values())
    assert_close(y, recurrence(*inputs.values())[0])


@pytest.mark.parametrize("shape", [(2, 5, 2), (2, 4, 3), (5, 3), (3, 5, 3)])
def test_wrong_dy(shape):
    _, cache = selective_scan_forward(*inputs_of(2, 5, 3, 2).values())
    with pytest.raises(InputError, match=rf"selective_scan: dy has shape {re.escape(str(shape))}, expected \(2, 5, 3\)"):
        selective_scan_backward(np.zeros(shape), cache)


def test_dy_of_integers():
    y, cache = selective_scan_forward(*inputs_of(2, 5, 3, 2).values())
    with pytest.raises(InputError, match="selective_scan: dy has dtype int64, expected a floating one"):
        selective_scan_backward(y.astype(np.int64), cache)
