"""The CPU twin of RMSNorm: mvnp/kernels/cpu/rmsnorm.py."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes

from mvnp.execution import parallel
from mvnp.layers.rmsnorm import rmsnorm_backward, rmsnorm_forward
from support.checks import normal
from support.tolerance import assert_close
from support.twins import check_edges, check_layouts, check_twins, needs_numba, refused

pytestmark = needs_numba

PAIR = rmsnorm_forward, rmsnorm_backward


def inputs(shape, offset=3.0, seed=1):
    return [offset + normal(shape, seed), normal(shape[-1:], seed + 1)]


@settings(max_examples=25)
@given(shape=array_shapes(min_dims=1, max_dims=4, min_side=2, max_side=9), seed=st.integers(0, 99))
def test_numbers(shape, seed):
    check_twins(*PAIR, inputs(shape, seed=seed), eps=0.1)


@pytest.mark.parametrize("shape", [(1568, 320), (130, 640), (65, 33)], ids=str)
def test_rows_of_several_blocks(shape):
    check_twins(*PAIR, inputs(shape))


def test_layouts():
    check_layouts(*PAIR, inputs((6, 5, 7)))


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_spoil_their_row_alone(number):
    x, weight = inputs((4, 20))
    for place in (0, 7, 19):
        x[1, place] = number
        check_edges(*PAIR, x, weight)


@pytest.mark.parametrize("functions", [PAIR, tuple(f.book for f in PAIR)], ids=["twin", "book"])
def test_sums_over_100_000_tokens_keep_their_digits(functions):
    x, weight = (a.astype(np.float32) for a in inputs((100_000, 8)))
    dy = (1 + normal(x.shape, 5)).astype(np.float32)
    _, cache = functions[0](x, weight)
    _, dweight = functions[1](dy, cache)
    _, exact = rmsnorm_forward.book(*(a.astype(float) for a in (x, weight)))
    _, want = rmsnorm_backward.book(dy.astype(float), exact)
    assert_close(dweight, want)


def test_how_many_cores_there_are_does_not_show(monkeypatch):
    results = []
    for threads in (1, 2, 3):
        monkeypatch.setattr(parallel, "_chosen", threads)
        y, cache = rmsnorm_forward(*inputs((5000, 64)))
        results.append([y, *rmsnorm_backward(y**2, cache)])
    for other in results[1:]:
        for one, two in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(one, two)


def test_what_it_leaves_to_the_book():
    x, weight = inputs((4, 5))
    refused(rmsnorm_forward, x[:, :4], weight)
    refused(rmsnorm_forward, x.astype(np.float32), weight)
    refused(rmsnorm_forward, np.array(2.0), np.array(3.0))
    refused(rmsnorm_backward, x[:3], rmsnorm_forward(x, weight)[1])
    refused(rmsnorm_backward, x.astype(np.float32), rmsnorm_forward(x, weight)[1])
