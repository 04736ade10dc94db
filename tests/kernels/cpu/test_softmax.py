"""The CPU twin of softmax: mvnp/kernels/cpu/softmax.py."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes

from mvnp.layers.softmax import softmax_backward, softmax_forward
from support.checks import normal
from support.twins import check_edges, check_layouts, check_twins, needs_numba, refused

pytestmark = needs_numba

PAIR = softmax_forward, softmax_backward


@settings(max_examples=25)
@given(shape=array_shapes(min_dims=1, max_dims=4, max_side=9), scale=st.sampled_from([0.1, 3.0]), seed=st.integers(0, 99))
def test_numbers(shape, scale, seed):
    check_twins(*PAIR, [scale * normal(shape, seed)])


@pytest.mark.parametrize("C", [1, 15, 16, 17, 49, 196, 1000])
def test_rows_that_fill_vectors_and_rows_that_do_not(C):
    check_twins(*PAIR, [3 * normal((33, C), 1)])


def test_layouts():
    check_layouts(*PAIR, [normal((6, 5, 7), 1)])


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_largest_is_found_wherever_it_stands(sign):
    x = sign * (5 + normal((40, 40), 1))
    x[np.arange(40), np.arange(40)] = 1e4
    check_edges(*PAIR, x)


def test_masked_keys():
    x = normal((4, 20), 1)
    x[:, 13:] = -np.inf
    x[2, 1:] = -np.inf  # one left
    x[3] = -np.inf  # none: NaN
    check_edges(*PAIR, x)
    y, _ = softmax_forward(x[:3].astype(np.float32))
    assert (y[:, 13:] == 0).all()


@pytest.mark.parametrize("place", [0, 7, 19])
@pytest.mark.parametrize("number", [np.nan, -np.nan, np.inf])
def test_nan_and_infinity_spoil_their_row_alone(place, number):
    x = normal((3, 20), 1)
    x[1, place] = number
    check_edges(*PAIR, x)


def test_what_it_leaves_to_the_book():
    refused(softmax_forward, np.array(1.0))
    refused(softmax_forward, np.ones((2, 3), np.float16))
    refused(softmax_backward, np.ones((3, 2)), np.ones((2, 3)))
    refused(softmax_backward, np.ones((2, 3), np.float32), np.ones((2, 3)))
