"""What the tests of a twin ask that takes one number at a time, with no other argument: those of ReLU, SiLU and softplus.

TestTwin = twin_tests(silu_forward, silu_backward)
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes

from support.checks import normal
from support.twins import check_edges, check_layouts, check_twins, needs_numba, refused

EDGES = np.array([np.nan, np.inf, -np.inf, 1e20, -1e20, 1e4, -1e4, 88.0, -88.0, 5.0, -5.0, 1e-6, -1e-6, 1e-30, 0.0, -0.0])
SHAPES = array_shapes(min_dims=1, max_dims=4, max_side=9)


def twin_tests(forward: Callable, backward: Callable) -> type:
    """A class of tests for the twins of a pair of the book."""

    @needs_numba
    class TestTwin:
        @settings(max_examples=25)
        @given(shape=SHAPES, scale=st.sampled_from([1e-3, 1.0, 6.0]), seed=st.integers(0, 99))
        def test_numbers(self, shape, scale, seed):
            check_twins(forward, backward, [np.array(scale * normal(shape, seed))])

        def test_many_numbers(self):
            check_twins(forward, backward, [3 * normal((101, 1003), 1)])

        def test_layouts(self):
            check_layouts(forward, backward, [normal((6, 5, 7), 1)])

        def test_edges(self):
            check_edges(forward, backward, EDGES)
            for number in EDGES:  # by itself, and beside others that share its vector
                check_edges(forward, backward, np.full(3, number))
                check_edges(forward, backward, np.concatenate([normal((40,), 2), [number]]))

        def test_what_it_leaves_to_the_book(self):
            refused(forward, np.ones(3, np.float16))
            refused(forward, np.ones(3, int))
            refused(forward, np.ones((0, 3)))
            refused(backward, np.ones(3), np.ones(4))
            refused(backward, np.ones(3, np.float32), np.ones(3))

    return TestTwin
