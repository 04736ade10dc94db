"""Cross-scan and cross-merge: mvnp/layers/cross_scan.py."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvnp.errors import InputError
from mvnp.layers.cross_scan import ROUTES, cross_merge, cross_scan
from support.checks import assert_float32_follows, assert_gradients, assert_oracle, normal
from support.tolerance import assert_close

# B, H, W: a row, a column, a pixel, and maps that are not square.
CASES = [(1, 1, 1), (2, 1, 4), (1, 3, 1), (2, 2, 3), (3, 4, 2)]
# All four, and VMamba's ablations: one direction, two of them, some twice, in another order.
CHOICES = [ROUTES, (0, 0, 0, 0), (0, 0, 2, 2), (1,), (3, 1), (2, 0, 3, 3, 1)]


def scan(routes):
    return lambda x: (cross_scan(x, routes), x.shape)


def scan_backward(routes):
    return lambda ds, shape: cross_merge(ds, shape[1], shape[2], routes)


def order(route, H, W):
    """(row, column) of each token."""
    pixels = [(t // W, t % W) if route % 2 == 0 else (t % H, t // H) for t in range(H * W)]
    return pixels if route < 2 else pixels[::-1]


def test_by_hand():
    #                            0 1 2
    #                            3 4 5
    x = np.arange(6.0).reshape(1, 2, 3, 1)
    s = cross_scan(x)
    assert s.shape == (4, 1, 6, 1)
    np.testing.assert_array_equal(
        s[:, 0, :, 0], [[0, 1, 2, 3, 4, 5], [0, 3, 1, 4, 2, 5], [5, 4, 3, 2, 1, 0], [5, 2, 4, 1, 3, 0]]
    )
    # The same orders put back: 1 where each route reads its second token.
    y = np.zeros((4, 1, 6, 1))
    y[:, :, 1] = np.array([1.0, 10, 100, 1000]).reshape(4, 1, 1)
    np.testing.assert_array_equal(cross_merge(y, 2, 3)[0, ..., 0], [[0, 1, 1000], [10, 100, 0]])


@pytest.mark.parametrize("routes", CHOICES, ids=str)
@pytest.mark.parametrize(("B", "H", "W"), CASES)
def test_gradients(B, H, W, routes):
    """Each is the other's backward."""
    assert_gradients(scan(routes), scan_backward(routes), {"x": normal((B, H, W, 2), seed=1)}, knows_shape=False)
    y = {"y": normal((len(routes), B, H * W, 2), seed=2)}
    assert_gradients(lambda y: (cross_merge(y, H, W, routes), None), lambda dx, _: cross_scan(dx, routes), y, knows_shape=False)


@settings(max_examples=60)
@given(
    B=st.integers(1, 3),
    H=st.integers(1, 6),
    W=st.integers(1, 6),
    C=st.integers(1, 3),
    routes=st.lists(st.sampled_from(ROUTES), min_size=1, max_size=6),
)
def test_adjoint(B, H, W, C, routes):
    """⟨scan(x), y⟩ = ⟨x, merge(y)⟩; merging undoes scanning, but for the number of routes."""
    x = normal((B, H, W, C), seed=1)
    s = cross_scan(x, routes)
    y = normal(s.shape, seed=2)
    assert s.shape == (len(routes), B, H * W, C)
    assert_close(np.sum(s * y), np.sum(x * cross_merge(y, H, W, routes)), scale=np.linalg.norm(s) * np.linalg.norm(y))
    assert_close(cross_merge(s, H, W, routes), len(routes) * x)


@pytest.mark.parametrize("routes", CHOICES, ids=str)
@pytest.mark.parametrize(("B", "H", "W"), CASES)
def test_oracle(B, H, W, routes):
    import autograd.numpy as anp

    def independent(x):
        return anp.stack([anp.stack([x[:, i, j] for i, j in order(route, H, W)], axis=1) for route in routes])

    assert_oracle(scan(routes), scan_backward(routes), independent, {"x": normal((B, H, W, 3), seed=4)})


def test_after_four_routes_every_token_has_been_before_every_other():
    """What the four are for: of any two pixels each comes first in two of them."""
    H, W = 3, 4
    before = np.zeros((H * W, H * W), int)
    for route in ROUTES:
        place = {pixel: t for t, pixel in enumerate(order(route, H, W))}
        for one in place:
            for other in place:
                before[one[0] * W + one[1], other[0] * W + other[1]] += place[one] < place[other]
    np.testing.assert_array_equal(before, 2 * (1 - np.eye(H * W)))


def test_float32():
    assert_float32_follows(scan(ROUTES), scan_backward(ROUTES), {"x": normal((2, 5, 7, 3), seed=1)})


def test_wrong_routes():
    for routes in ((0, 4), (-1,), ("row",)):
        with pytest.raises(InputError, match=r"cross_scan: routes are .*, expected some of \(0, 1, 2, 3\)"):
            cross_scan(np.zeros((1, 2, 2, 1)), routes)
        with pytest.raises(InputError, match=r"cross_merge: routes are .*, expected some of \(0, 1, 2, 3\)"):
            cross_merge(np.zeros((len(routes), 1, 4, 1)), 2, 2, routes)
    with pytest.raises(InputError, match=r"cross_scan: routes are \(\), expected some of"):
        cross_scan(np.zeros((1, 2, 2, 1)), ())


def test_wrong_shape():
    with pytest.raises(InputError, match=r"cross_scan: x has shape \(4, 4, 3\), expected \(B, H, W, C\)"):
        cross_scan(np.zeros((4, 4, 3)))
    with pytest.raises(InputError, match=r"cross_scan: x is empty"):
        cross_scan(np.zeros((0, 4, 4, 3)))
    with pytest.raises(InputError, match=r"cross_merge: y has shape \(4, 1, 6, 3\), expected \(4, B, 4, C\)"):
        cross_merge(np.zeros((4, 1, 6, 3)), 2, 2)
    with pytest.raises(InputError, match=r"cross_merge: y has shape \(3, 1, 4, 3\), expected \(4, B, 4, C\)"):
        cross_merge(np.zeros((3, 1, 4, 3)), 2, 2)


@pytest.mark.parametrize("dtype", ["int64", "complex64"])
def test_wrong_dtype(dtype):
    with pytest.raises(InputError, match=rf"cross_scan: x has dtype {dtype}"):
        cross_scan(np.zeros((1, 4, 4, 3), dtype))
    with pytest.raises(InputError, match=rf"cross_merge: y has dtype {dtype}"):
        cross_merge(np.zeros((4, 1, 16, 3), dtype), 4, 4)
