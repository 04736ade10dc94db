"""The CPU twin of dropout, and of drop path's masks: mvnp/kernels/cpu/dropout.py."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes

from mvnp.layers.dropout import draw_mask, dropout_backward, dropout_forward
from support.checks import normal
from support.twins import check_edges, check_layouts, check_twins, needs_numba, refused

pytestmark = needs_numba

PAIR = dropout_forward, dropout_backward


def drawn(shape, seed=0, each=False):
    """x, and a mask with a number for each sample, or for each number of x."""
    x = np.array(normal(shape, seed))
    return x, draw_mask(np.random.default_rng(seed), x.shape if each else (len(x),) + (1,) * (x.ndim - 1), 0.4, x)


@settings(max_examples=25)
@given(shape=array_shapes(min_dims=1, max_dims=4, max_side=9), seed=st.integers(0, 99), each=st.booleans())
def test_numbers(shape, seed, each):
    check_twins(*PAIR, drawn(shape, seed, each))


@pytest.mark.parametrize("each", [False, True])
def test_many_numbers(each):
    check_twins(*PAIR, drawn((101, 17, 59), each=each))


@pytest.mark.parametrize("each", [False, True])
def test_layouts(each):
    check_layouts(*PAIR, drawn((6, 5, 7), each=each))


def test_edges():
    """What is not finite stays so where a sample is silenced, as in the book."""
    edges = np.array([np.nan, np.inf, -np.inf, 1e30, 0.0, -0.0])
    check_edges(*PAIR, np.stack([edges, edges]), np.array([[0.0], [1.25]]))
    check_edges(*PAIR, np.stack([edges, edges]), np.repeat([[0.0], [1.25]], 6, axis=1))


def test_what_it_leaves_to_the_book():
    forward, backward = PAIR
    refused(forward, np.ones((2, 3), np.float16), np.ones((2, 1), np.float16))
    refused(forward, np.ones((2, 3)), np.ones((2, 1), np.float32))
    refused(forward, np.ones((2, 3)), np.ones((1, 3)))  # a number of the mask for each column of x
    refused(forward, np.ones((2, 3)), np.ones((3, 1)))
    refused(forward, np.ones((2, 3)), np.ones(2))
    refused(forward, np.array(1.0), np.ones(2))
    refused(backward, np.ones((2, 3)), np.ones((1, 1)))
    refused(backward, np.ones((0, 3)), np.ones((0, 1)))
