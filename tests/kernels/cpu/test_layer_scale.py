"""The CPU twin of layer scale: mvnp/kernels/cpu/layer_scale.py."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes

from mvnp.layers.layer_scale import layer_scale_backward, layer_scale_forward
from support.checks import normal
from support.tolerance import assert_close
from support.twins import check_edges, check_layouts, check_twins, needs_numba, refused

pytestmark = needs_numba

PAIR = layer_scale_forward, layer_scale_backward


@settings(max_examples=25)
@given(shape=array_shapes(min_dims=1, max_dims=4, max_side=9), seed=st.integers(0, 99))
def test_numbers(shape, seed):
    check_twins(*PAIR, [normal(shape, seed), normal(shape[-1:], seed + 1)])


def test_rows_of_several_blocks():
    check_twins(*PAIR, [normal((1568, 33), 1), normal((33,), 2)])


def test_layouts():
    check_layouts(*PAIR, [normal((6, 5, 7), 1), normal((7,), 2)])


def test_edges():
    x = normal((70, 20), 1)
    x[3, 4], x[5, 6], x[68, 19] = np.nan, np.inf, -np.inf
    check_edges(*PAIR, x, normal((20,), 2))


def test_sums_over_100_000_tokens_keep_their_digits():
    x, dy = (1 + normal((100_000, 3), seed) for seed in (1, 2))
    for function in (layer_scale_backward, layer_scale_backward.book):
        _, dgamma = function(dy.astype(np.float32), (x.astype(np.float32), np.ones(3, np.float32)))
        assert_close(dgamma, (dy * x).sum(axis=0))


def test_what_it_leaves_to_the_book():
    refused(layer_scale_forward, np.ones((2, 1)), np.ones(8))
    refused(layer_scale_forward, np.array(2.0), np.array(3.0))
    refused(layer_scale_forward, np.ones((2, 8), np.float32), np.ones(8))
    refused(layer_scale_backward, np.ones((2, 7)), (np.ones((2, 8)), np.ones(8)))
    refused(layer_scale_backward, np.ones((2, 8), np.float32), (np.ones((2, 8)), np.ones(8)))
