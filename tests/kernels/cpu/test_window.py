"""The CPU twins of windows: mvnp/kernels/cpu/window.py. They move numbers and must move them right to the bit."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mvnp.execution import parallel
from mvnp.layers.window import window_partition, window_reverse
from support.checks import normal
from support.twins import needs_numba, twin_function

pytestmark = needs_numba


@settings(max_examples=80)
@given(
    B=st.integers(1, 3), H=st.integers(1, 9), W=st.integers(1, 9), C=st.integers(1, 20), P=st.integers(1, 6),
    dtype=st.sampled_from(["float32", "float64"]),
)  # fmt: skip
def test_numbers(B, H, W, C, P, dtype):
    x = normal((B, H, W, C), 1).astype(dtype)
    x[0, 0, 0, 0] = np.nan
    want = window_partition.book(x, P)
    np.testing.assert_array_equal(twin_function(window_partition)(x, P), want, strict=True)
    tokens = normal(want.shape, 2).astype(dtype)
    np.testing.assert_array_equal(
        twin_function(window_reverse)(tokens, P, H, W), window_reverse.book(tokens, P, H, W), strict=True
    )


@settings(max_examples=20)
@given(H=st.integers(1, 9), W=st.integers(1, 9), P=st.integers(1, 9))
def test_any_layout(H, W, P):
    """Maps as NCHW turned round, tokens as columns of a wider array."""
    x = normal((2, 5, W, H), 1).transpose(0, 3, 2, 1)
    want = window_partition.book(x, P)
    np.testing.assert_array_equal(twin_function(window_partition)(x, P), want)
    tokens = normal((*want.shape[:2], 10), 2)[..., ::2]
    np.testing.assert_array_equal(twin_function(window_reverse)(tokens, P, H, W), window_reverse.book(tokens, P, H, W))


def test_on_several_cores(monkeypatch):
    monkeypatch.setattr(parallel, "_chosen", 2)
    x = normal((5, 40, 41, 64), 1)
    tokens = twin_function(window_partition)(x, 7)
    np.testing.assert_array_equal(tokens, window_partition.book(x, 7))
    np.testing.assert_array_equal(twin_function(window_reverse)(tokens, 7, 40, 41), x)


def test_what_it_does_not_take():
    partition, reverse = twin_function(window_partition), twin_function(window_reverse)
    x = np.zeros((1, 4, 4, 3), np.float32)
    for wrong in ((x.astype("float16"), 2), (x.astype("int64"), 2), (x[0], 2), (x[:0], 2), (x, 0)):
        assert partition(*wrong) is NotImplemented
    tokens = np.zeros((4, 4, 3), np.float32)
    for wrong in (
        (tokens.astype("float16"), 2),
        (tokens[0], 2),
        (tokens[:3], 2),
        (tokens, 3),
        (tokens[:, :3], 2),
        (tokens[..., 0], 2),
        (tokens, -2),
    ):
        assert reverse(*wrong, 4, 4) is NotImplemented
