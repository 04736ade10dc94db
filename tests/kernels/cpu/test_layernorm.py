"""The CPU twin of LayerNorm: mvnp/kernels/cpu/layernorm.py."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes

from mvnp.execution import parallel
from mvnp.layers.layernorm import layernorm_backward, layernorm_forward
from support.checks import normal
from support.tolerance import DEEP, assert_close
from support.twins import check_edges, check_layouts, check_twins, needs_numba, refused

pytestmark = needs_numba

PAIR = layernorm_forward, layernorm_backward


def inputs(shape, offset=3.0, seed=1):
    return [offset + normal(shape, seed), *(normal(shape[-1:], seed + n) for n in (1, 2))]


@settings(max_examples=25)
@given(shape=array_shapes(min_dims=1, max_dims=4, min_side=2, max_side=9), seed=st.integers(0, 99))
def test_numbers(shape, seed):
    # ε is large beside the variance of two numbers, which may be next to nothing.
    check_twins(*PAIR, inputs(shape, seed=seed), eps=0.1)


def test_a_single_channel_is_its_own_mean():
    x, weight, bias = inputs((5, 1))
    y, cache = layernorm_forward(x, weight, bias)
    np.testing.assert_array_equal(y, np.full((5, 1), bias))
    dx, dweight, dbias = layernorm_backward(normal((5, 1), 2), cache)
    assert_close(dx, 0, scale=1.0)
    assert dweight == 0
    assert_close(dbias, normal((5, 1), 2).sum(axis=0))


@pytest.mark.parametrize("shape", [(1568, 320), (130, 640), (65, 33)], ids=str)
def test_rows_of_several_blocks(shape):
    check_twins(*PAIR, inputs(shape))


def test_layouts():
    check_layouts(*PAIR, inputs((6, 5, 7)))


@pytest.mark.parametrize("C", [3, 7, 320])
@pytest.mark.parametrize("value", [0.1, 1e5 + 0.3, -3e7])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("function", [layernorm_forward, layernorm_forward.book], ids=["twin", "book"])
def test_a_constant_row_is_the_bias(C, value, dtype, function):
    weight, bias = normal((C,), 1).astype(dtype), normal((C,), 2).astype(dtype)
    y, _ = function(np.full((2, C), value, dtype), weight, bias)
    np.testing.assert_array_equal(y, [bias, bias])


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_spoil_their_row_alone(number):
    x, weight, bias = inputs((4, 20))
    for place in (0, 7, 19):
        x[1, place] = number
        check_edges(*PAIR, x, weight, bias)


@pytest.mark.parametrize("functions", [PAIR, tuple(f.book for f in PAIR)], ids=["twin", "book"])
def test_sums_over_100_000_tokens_keep_their_digits(functions):
    x, weight, bias = (a.astype(np.float32) for a in inputs((100_000, 8)))
    dy = (1 + normal(x.shape, 5)).astype(np.float32)
    _, cache = functions[0](x, weight, bias)
    _, dweight, dbias = functions[1](dy, cache)
    _, exact = layernorm_forward.book(*(a.astype(float) for a in (x, weight, bias)))
    _, want_dweight, want_dbias = layernorm_backward.book(dy.astype(float), exact)
    assert_close(dbias, want_dbias, terms=DEEP)
    assert_close(dweight, want_dweight)


def test_how_many_cores_there_are_does_not_show(monkeypatch):
    results = []
    for threads in (1, 2, 3):
        monkeypatch.setattr(parallel, "_chosen", threads)
        y, cache = layernorm_forward(*inputs((5000, 64)))
        results.append([y, *layernorm_backward(y**2, cache)])
    for other in results[1:]:
        for one, two in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(one, two)


def test_what_it_leaves_to_the_book():
    x, weight, bias = inputs((4, 5))
    refused(layernorm_forward, x[:, :4], weight, bias)
    refused(layernorm_forward, x.astype(np.float32), weight, bias)
    refused(layernorm_forward, x, weight, bias[:4])
    refused(layernorm_forward, np.array(2.0), np.array(3.0), np.array(1.0))
    refused(layernorm_backward, x[:3], layernorm_forward(x, weight, bias)[1])
    refused(layernorm_backward, x.astype(np.float32), layernorm_forward(x, weight, bias)[1])
