"""The CPU twins of cross-scan and cross-merge: mvnp/kernels/cpu/cross_scan.py. The first moves numbers; the second adds them
up in the book's order. Both are the book's to the bit."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mvnp.execution import parallel
from mvnp.layers.cross_scan import ROUTES, cross_merge, cross_scan
from support.checks import normal
from support.twins import needs_numba, refused, twin_function

pytestmark = needs_numba


def check(x, *routes):
    H, W = x.shape[1:3]
    kept = x.copy()
    s = twin_function(cross_scan)(x, *routes)
    np.testing.assert_array_equal(s, cross_scan.book(x, *routes), strict=True)
    np.testing.assert_array_equal(x, kept)
    y = normal(s.shape, 2).astype(x.dtype)
    np.testing.assert_array_equal(twin_function(cross_merge)(y, H, W, *routes), cross_merge.book(y, H, W, *routes), strict=True)


@settings(max_examples=60)
@given(
    B=st.integers(1, 3),
    H=st.integers(1, 9),
    W=st.integers(1, 9),
    C=st.integers(1, 20),
    dtype=st.sampled_from(["float32", "float64"]),
)
def test_numbers(B, H, W, C, dtype):
    x = normal((B, H, W, C), 1).astype(dtype)
    x[0, 0, 0, 0] = np.nan
    check(x, ROUTES)


def test_the_same_routes_as_in_the_book():
    from mvnp.kernels.cpu import cross_scan as twins

    assert twins.ROUTES == ROUTES
    check(normal((2, 3, 5, 4), 1))
    check(normal((2, 3, 5, 4), 1), list(ROUTES))


def test_any_layout():
    """A map as NCHW turned round, sequences as columns of a wider array."""
    check(normal((2, 4, 5, 3), 1).transpose(0, 3, 2, 1))
    y = normal((4, 2, 12, 10), 2)[..., ::2]
    np.testing.assert_array_equal(twin_function(cross_merge)(y, 3, 4), cross_merge.book(y, 3, 4))


def test_on_several_cores(monkeypatch):
    monkeypatch.setattr("mvnp.kernels.cpu.team.LEAST", 0.0)
    monkeypatch.setattr(parallel, "_chosen", 3)
    check(normal((2, 7, 5, 6), 1))


def test_what_it_does_not_take():
    x, y = np.zeros((2, 3, 4, 5), np.float32), np.zeros((4, 2, 12, 5), np.float32)
    for wrong in ((x.astype("float16"),), (x[0],), (x[:0],), (x, ()), (x, (0, 2)), (x, (0, 1, 3, 2)), (x, (0, 1, 2, 4))):
        refused(cross_scan, *wrong)
    for wrong in (
        (y.astype("float16"), 3, 4),
        (y[0], 3, 4),
        (y[..., 0], 3, 4),
        (y[:, :0], 3, 4),
        (y, 3, 5),
        (y[:3], 3, 4),
        (y, 3, 4, (0, 1, 2, 2)),
    ):
        refused(cross_merge, *wrong)
