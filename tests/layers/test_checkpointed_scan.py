"""Checkpointed scan: mvnp/layers/checkpointed_scan.py."""

import math
import re
import tracemalloc

import autograd.numpy as anp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvnp.errors import InputError
from mvnp.layers.checkpointed_scan import checkpointed_scan_backward, checkpointed_scan_forward
from mvnp.layers.linear_recurrence import METHODS
from mvnp.layers.selective_scan import selective_scan_backward, selective_scan_forward
from support.checks import assert_float32_follows, assert_gradients, assert_oracle, normal
from support.tolerance import assert_close

SHAPES = [(1, 1, 1, 1), (2, 1, 3, 2), (1, 5, 1, 1), (2, 4, 2, 3), (1, 7, 3, 1)]  # b, l, d, n


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
    return lambda *inputs: checkpointed_scan_forward(*inputs, **options)


def backward_without_bias(dy, cache):
    *gradients, dbias = checkpointed_scan_backward(dy, cache)
    assert dbias is None
    return tuple(gradients)


def results(inputs, dy, **options):
    y, cache = checkpointed_scan_forward(*inputs.values(), **options)
    return [y, *checkpointed_scan_backward(dy, cache)]


def test_by_hand():
    # Three tokens, blocks of two. No softplus, A = −ln 2, Δ = 1, B = C = 1, D = 0, x = (4, 2, 1): h = (4, 4, 3).
    # Kept is h before tokens 0 and 2: 0 and 4.
    def sequence(*values):
        return np.array(values, float).reshape(1, -1, 1)

    one, A = sequence(1, 1, 1), np.array([[-math.log(2)]])
    y, cache = checkpointed_scan_forward(sequence(4, 2, 1), one, A, one, one, np.zeros(1), softplus=False)
    assert_close(y.ravel(), [4, 4, 3])
    assert cache.keep_every == 2
    assert_close(np.ravel(cache.kept), [0, 4])
    # dy = (0, 0, 1): g = (1/4, 1/2, 1), the 1/2 carried over the border. dx = g, dA = Σ g h_(t−1)/2 = 1/2·4/2 + 4/2 = 3.
    dx, _, dA, *_ = checkpointed_scan_backward(sequence(0, 0, 1), cache)
    assert_close(dx.ravel(), [0.25, 0.5, 1])
    assert_close(dA, [[3.0]])


@pytest.mark.parametrize("softplus", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_gradients(shape, softplus):
    assert_gradients(scan(softplus=softplus), checkpointed_scan_backward, inputs_of(*shape))
    assert_gradients(scan(softplus=softplus), backward_without_bias, inputs_of(*shape, bias=False))


@pytest.mark.parametrize("keep_every", [1, 2, 3, 9])
@pytest.mark.parametrize("method", METHODS)
def test_gradients_of_any_kept_distance(keep_every, method):
    assert_gradients(scan(keep_every=keep_every, method=method), checkpointed_scan_backward, inputs_of(2, 7, 2, 2))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(2, 9, 3, 2), (1, 1, 2, 2)])
def test_oracle(shape, bias):
    def independent(x, dt, A, B, C, D, dt_bias=0.0):
        delta, h, ys = anp.log(1.0 + anp.exp(dt + dt_bias)), 0.0, []
        for t in range(x.shape[1]):
            step = delta[:, t, :, None]
            h = anp.exp(step * A) * h + step * x[:, t, :, None] * B[:, t, None, :]
            ys.append(anp.sum(C[:, t, None, :] * h, axis=2) + D * x[:, t])
        return anp.stack(ys, axis=1)

    backward = checkpointed_scan_backward if bias else backward_without_bias
    assert_oracle(scan(), backward, independent, inputs_of(*shape, bias=bias))


@settings(max_examples=40)
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 40), st.integers(1, 3), st.integers(1, 3)),
    keep_every=st.none() | st.integers(1, 45),
    method=st.sampled_from(list(METHODS)),
)
def test_any_size_and_distance_as_the_plain_scan(shape, keep_every, method):
    inputs, dy = inputs_of(*shape), normal(shape[:3], seed=9)
    y, cache = selective_scan_forward(*inputs.values())
    want = [y, *selective_scan_backward(dy, cache)]
    for got, expected in zip(results(inputs, dy, keep_every=keep_every, method=method), want, strict=True):
        assert_close(got, expected, scale=max(1.0, np.abs(expected).max()))


@pytest.mark.parametrize("l", [1, 2, 16, 17, 40])
def test_what_is_kept(l):
    """A state for each block, K = ⌈√l⌉ unless told otherwise."""
    inputs = inputs_of(2, l, 3, 2)
    for keep_every in (1, 3, l + 5, None):
        cache = checkpointed_scan_forward(*inputs.values(), keep_every=keep_every)[1]
        assert cache.keep_every == (keep_every or math.ceil(math.sqrt(l)))
        assert [h.shape for h in cache.kept] == [(2, 2, 3)] * -(-l // cache.keep_every)


@pytest.mark.parametrize("l", [4096, 16384])
def test_memory_does_not_grow_with_all_states(l):
    """What a forward leaves behind is y, Δ and ⌈√l⌉ states; forward and backward together need far less than all states."""
    d = n = 32
    inputs = {name: value.astype(np.float32) for name, value in inputs_of(1, l, d, n).items()}
    results(inputs, inputs["x"])  # what is compiled or imported on first use is no memory of the scan
    tracemalloc.start()
    try:
        y, cache = checkpointed_scan_forward(*inputs.values())
        left, _ = tracemalloc.get_traced_memory()
        checkpointed_scan_backward(y, cache)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    slack = (32 << 10) + 256 * math.isqrt(l)  # what Python notes on the way, and the object of each state
    assert left < 4 * (2 * l * d + math.isqrt(l) * n * d) + slack
    assert peak < 4 * l * d * n / 2


def test_float32():
    assert_float32_follows(scan(), checkpointed_scan_backward, inputs_of(2, 50, 4, 3), terms=4)


def test_float32_over_a_long_sequence():
    """Errors of the recurrence die out with the state: they do not add up over the tokens, and sums keep their digits."""
    inputs, dy = inputs_of(1, 3000, 2, 2), np.abs(normal((1, 3000, 2), seed=9))
    want = results(inputs, dy)
    got = results({name: value.astype(np.float32) for name, value in inputs.items()}, dy.astype(np.float32))
    for one, other in zip(got, want, strict=True):
        assert one.dtype == np.float32
        assert_close(one, other)


def test_arguments_are_left_alone():
    inputs, dy = inputs_of(2, 9, 3, 2), normal((2, 9, 3), seed=9)
    before = {name: value.copy() for name, value in inputs.items()}
    again = dy.copy()
    results(inputs, dy)
    for name, value in before.items():
        np.testing.assert_array_equal(inputs[name], value)
    np.testing.assert_array_equal(dy, again)


def test_wrong_kept_distance():
    with pytest.raises(InputError, match="checkpointed_scan: keep_every is 0, expected at least 1"):
        checkpointed_scan_forward(*inputs_of(1, 4, 1, 1).values(), keep_every=0)


def test_wrong_method():
    with pytest.raises(InputError, match=r"unknown method .*'chunk' \(did you mean 'chunked'\?\); choose one of sequential,"):
        checkpointed_scan_forward(*inputs_of(1, 4, 1, 1).values(), method="chunk")


def test_wrong_input():
    inputs = {**inputs_of(2, 5, 3, 2), "B": np.zeros((2, 5, 3))}
    with pytest.raises(InputError, match=r"selective_scan: B has shape \(2, 5, 3\), expected \(2, 5, 2\)"):
        checkpointed_scan_forward(*inputs.values())


@pytest.mark.parametrize("shape", [(2, 5, 2), (2, 4, 3), (5, 3)])
def test_wrong_dy(shape):
    _, cache = checkpointed_scan_forward(*inputs_of(2, 5, 3, 2).values())
    with pytest.raises(InputError, match=rf"checkpointed_scan: dy has shape {re.escape(str(shape))}, expected \(2, 5, 3\)"):
        checkpointed_scan_backward(np.zeros(shape), cache)
