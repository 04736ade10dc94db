"""The CPU twin of global average pooling: mvnp/kernels/cpu/pool.py."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mvnp.layers.pool import pool_forward
from support.checks import normal
from support.tolerance import DEEP, assert_close
from support.twins import DTYPES, LAYOUTS, assert_near, computed, laid_out, needs_numba, refused, twin_function

pytestmark = needs_numba


@settings(max_examples=25)
@given(shape=st.tuples(*[st.integers(1, 12)] * 4), seed=st.integers(0, 99))
def test_numbers(shape, seed):
    x = 3 + normal(shape, seed)
    want, _ = pool_forward.book(x)
    for dtype in DTYPES:
        y, (kept, whole) = computed(twin_function(pool_forward)(x.astype(dtype)), pool_forward)
        assert_near(y, want, dtype, dtype)
        assert kept is y
        assert whole == shape


def test_layouts():
    x = normal((3, 10, 9, 5), 1)
    want, _ = pool_forward(x)
    for layout in LAYOUTS:
        np.testing.assert_array_equal(pool_forward(laid_out(x, layout))[0], want)


def test_a_large_map_keeps_its_digits():
    x = 1000 + normal((1, 320, 320, 2), 1)
    for function in (pool_forward, pool_forward.book):
        y, _ = function(x.astype(np.float32))
        assert_close(y, x.mean(axis=(1, 2)), terms=DEEP)


def test_nan_stays_in_its_channel():
    x = np.ones((2, 9, 9, 3), np.float32)
    x[0, 8, 0, 2], x[1, 0, 0, 1] = np.nan, np.inf
    np.testing.assert_array_equal(pool_forward(x)[0], [[1, 1, np.nan], [1, np.inf, 1]])


def test_what_it_leaves_to_the_book():
    refused(pool_forward, np.ones((2, 3, 4)))
    refused(pool_forward, np.ones((2, 3, 4, 5), np.float16))
    refused(pool_forward, np.ones((2, 0, 4, 5)))
