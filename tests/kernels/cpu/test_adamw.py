"""The CPU twin of AdamW's update: mvnp/kernels/cpu/adamw.py."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes

from mvnp.training.adamw import adamw_update
from support.checks import normal
from support.tolerance import assert_close
from support.twins import needs_numba, refused, twin_function

pytestmark = needs_numba


def arrays(shape, seed, dtype):
    p, g, m, v = (np.array(normal(shape, seed + number)).astype(dtype) for number in range(4))
    return [p, g, m, np.array(v**2)]


@settings(max_examples=25)
@given(
    shape=array_shapes(min_dims=0, max_dims=4, max_side=9),
    t=st.integers(1, 1000),
    decay=st.sampled_from([0.0, 0.05]),
    seed=st.integers(0, 9),
)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-14), ("float32", 1e-6)])
def test_numbers(shape, t, decay, seed, dtype, tolerance):
    want, got = arrays(shape, seed, "float64"), arrays(shape, seed, dtype)
    if dtype == "float32":
        want = [array.astype(float) for array in got]
    gradient = got[1].copy()
    settings = t, 0.01, decay, (0.9, 0.999), 1e-8
    adamw_update.book(*want, *settings)
    assert twin_function(adamw_update)(*got, *settings) is None
    for here, there in zip(got, want, strict=True):
        assert_close(here, there)
    np.testing.assert_array_equal(got[1], gradient)


def test_a_gradient_in_another_layout_and_many_numbers():
    want, got = arrays((700, 500), 1, "float64"), arrays((700, 500), 1, "float64")
    got[1] = np.asfortranarray(got[1])
    adamw_update.book(*want, 3, 0.01, 0.05, (0.9, 0.999), 1e-8)
    adamw_update(*got, 3, 0.01, 0.05, (0.9, 0.999), 1e-8)
    for here, there in zip(got, want, strict=True):
        assert_close(here, there, terms=16)


def test_what_it_leaves_to_the_book():
    settings = 3, 0.01, 0.05, (0.9, 0.999), 1e-8
    p, g, m, v = arrays((4, 5), 1, "float32")
    refused(adamw_update, p, g.astype(np.float16), m, v, *settings)
    refused(adamw_update, p, g[:3], m, v, *settings)
    for wrong in ((p[:3], g, m, v), (p, g, m[:3], v), (p, g, m, v[:3])):
        refused(adamw_update, *wrong, *settings)


def test_arrays_in_other_layouts():
    settings = 3, 0.01, 0.05, (0.9, 0.999), 1e-8
    by_rows = arrays((4, 5), 1, "float32")
    twin_function(adamw_update)(*by_rows, *settings)
    for layout in (np.asfortranarray, lambda array: np.repeat(array, 2, axis=1)[:, ::2]):
        elsewhere = [layout(array) for array in arrays((4, 5), 1, "float32")]
        assert twin_function(adamw_update)(*elsewhere, *settings) is None
        for one, other in zip(elsewhere, by_rows, strict=True):
            np.testing.assert_array_equal(one, other)
