"""The CPU twin of GELU, exact and by tanh: mvnp/kernels/cpu/gelu.py."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes

from mvnp.layers.gelu import gelu_backward, gelu_forward, gelu_tanh_backward, gelu_tanh_forward
from support.checks import normal
from support.tolerance import assert_close
from support.twins import check_edges, check_layouts, check_twins, needs_numba, refused

pytestmark = needs_numba

PAIRS = {"exact": (gelu_forward, gelu_backward), "tanh": (gelu_tanh_forward, gelu_tanh_backward)}
EDGES = np.array([np.nan, np.inf, -np.inf, 1e20, -1e20, 1e4, -1e4, 88.0, -88.0, 5.0, -5.0, 1e-6, -1e-6, 1e-30, 0.0, -0.0])


@pytest.mark.parametrize("kind", PAIRS)
@settings(max_examples=25)
@given(shape=array_shapes(min_dims=1, max_dims=4, max_side=9), scale=st.sampled_from([1e-3, 1.0]), seed=st.integers(0, 99))
def test_numbers(kind, shape, scale, seed):
    check_twins(*PAIRS[kind], [np.array(scale * normal(shape, seed))])


@pytest.mark.parametrize("kind", PAIRS)
def test_many_numbers(kind):
    check_twins(*PAIRS[kind], [3 * normal((101, 1003), 1)])


@pytest.mark.parametrize("kind", PAIRS)
def test_layouts(kind):
    check_layouts(*PAIRS[kind], [normal((6, 5, 7), 1)])


@pytest.mark.parametrize("kind", PAIRS)
def test_edges(kind):
    check_edges(*PAIRS[kind], EDGES)
    for number in EDGES:  # by itself, and beside others that share its vector
        check_edges(*PAIRS[kind], np.full(3, number))
        check_edges(*PAIRS[kind], np.concatenate([normal((40,), 2), [number]]))


@pytest.mark.parametrize("kind", PAIRS)
def test_what_it_leaves_to_the_book(kind):
    forward, backward = PAIRS[kind]
    refused(forward, np.ones(3, np.float16))
    refused(forward, np.ones(3, int))
    refused(forward, np.ones((0, 3)))
    refused(backward, np.ones(3), np.ones(4))
    refused(backward, np.ones(3, np.float32), np.ones(3))


@pytest.mark.parametrize("kind", PAIRS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_backward_is_finite_far_out(kind, dtype):
    forward, backward = PAIRS[kind]
    y, cache = forward(np.array([1e20, -1e20], dtype))
    np.testing.assert_array_equal(y, np.array([1e20, 0], dtype))
    np.testing.assert_array_equal(backward(np.ones(2, dtype), cache), [1, 0])


def test_each_number_keeps_its_digits_in_float32():
    """Also where y is next to nothing: at −3.5 it is −8e-4."""
    x = np.linspace(-3.5, 12, 20001)
    want = gelu_forward.book(x)[0]
    got = gelu_forward(x.astype(np.float32))[0]
    assert_close(got, want, terms=16, each=True)
