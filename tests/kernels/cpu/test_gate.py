"""The CPU twin of the gate: mvnp/kernels/cpu/gate.py."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes

from mvnp.layers.gate import gate_backward, gate_forward
from support.checks import normal
from support.twins import check_edges, check_layouts, check_twins, needs_numba, refused

pytestmark = needs_numba

PAIR = gate_forward, gate_backward
EDGES = np.array([np.nan, np.inf, -np.inf, 1e20, -1e20, 1e4, -1e4, 88.0, -88.0, 5.0, -5.0, 1e-6, -1e-6, 1e-30, 0.0, -0.0])


@settings(max_examples=25)
@given(shape=array_shapes(min_dims=1, max_dims=4, max_side=9), scale=st.sampled_from([1e-3, 1.0, 6.0]), seed=st.integers(0, 99))
def test_numbers(shape, scale, seed):
    check_twins(*PAIR, [np.array(normal(shape, seed + 1)), np.array(scale * normal(shape, seed))])


def test_many_numbers():
    check_twins(*PAIR, [normal((101, 1003), 2), 3 * normal((101, 1003), 1)])


def test_layouts():
    check_layouts(*PAIR, [normal((6, 5, 7), 1), normal((6, 5, 7), 2)])


def test_edges():
    check_edges(*PAIR, normal(EDGES.shape, 3), EDGES)
    check_edges(*PAIR, EDGES, normal(EDGES.shape, 3))


def test_what_it_leaves_to_the_book():
    forward, backward = PAIR
    refused(forward, np.ones(3, np.float16), np.ones(3, np.float16))
    refused(forward, np.ones(3), np.ones(3, np.float32))
    refused(forward, np.ones((2, 3)), np.ones(3))
    refused(forward, np.ones((0, 3)), np.ones((0, 3)))
    refused(backward, np.ones(4), (np.ones(3), np.ones(3)))
    refused(backward, np.ones(3, np.float32), (np.ones(3), np.ones(3)))
