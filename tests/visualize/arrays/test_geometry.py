"""Where tokens stand: mvnp/visualize/arrays/geometry.py."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvnp import Tape
from mvnp.errors import InputError
from mvnp.layers.window import window_mask, window_partition
from mvnp.visualize.arrays.geometry import WindowGeometry
from support.tiny import tiny

sizes = st.integers(1, 9)


def test_by_hand():
    # A map of 3x3 in windows of 2: padded to 4x4, four windows, of which the first is all real and the last has one token.
    windows = WindowGeometry(3, 3, 2, stride=16)
    assert (windows.padded, windows.grid, windows.count) == ((4, 4), (2, 2), 4)
    assert windows.positions[1].tolist() == [[0, 2], [0, 3], [1, 2], [1, 3]]
    assert windows.real.tolist() == [[True] * 4, [True, False] * 2, [True, True, False, False], [True, False, False, False]]
    assert windows.extent == (-8, 56, 56, -8)
    assert windows.find(2, 1) == (2, 1)


@given(sizes, sizes, sizes)
def test_tokens_come_in_raster_order_inside_windows_in_raster_order(H, W, P):
    windows = WindowGeometry(H, W, P, stride=16)
    expected = [
        [(top + row, left + column) for row in range(P) for column in range(P)]
        for top in range(0, windows.padded[0], P)
        for left in range(0, windows.padded[1], P)
    ]
    assert [[tuple(place) for place in window] for window in windows.positions.tolist()] == expected
    for window, places in enumerate(expected):
        for token, (row, column) in enumerate(places):
            assert windows.real[window, token] == (row < H and column < W)
            if row < H and column < W:
                assert windows.find(row, column) == (window, token)


@given(sizes, sizes, sizes)
def test_laid_out_tokens_are_where_the_model_took_them_from(H, W, P):
    windows = WindowGeometry(H, W, P, stride=16)
    x = np.random.default_rng(0).standard_normal((1, H, W, 3))
    laid = windows.lay_out(window_partition(x, P))
    np.testing.assert_array_equal(laid[:H, :W], x[0])
    assert not laid[H:].any()
    assert not laid[:, W:].any()
    real = window_mask(x, 1, H, W, P)
    np.testing.assert_array_equal(windows.real, True if real is None else real)


def test_the_wrong_number_of_tokens():
    with pytest.raises(InputError, match=r"values have shape \(3, 4\), expected \(4, 4, …\): 4 windows of 2x2 tokens"):
        WindowGeometry(3, 3, 2, stride=16).lay_out(np.zeros((3, 4)))


@pytest.mark.parametrize("place", [(3, 0), (0, 3), (-1, 0)])
def test_no_token_outside_the_map(place):
    with pytest.raises(InputError, match="is not on the map of 3x3 tokens"):
        WindowGeometry(3, 3, 2, stride=16).find(*place)


@pytest.mark.parametrize(("level", "stride", "token"), [(2, 16, (6, 7)), (3, 32, (3, 4))])
def test_a_token_sees_the_image_around_its_place(level, stride, token):
    # Windows of one token: then nothing but convolutions reaches from one place to another, and the pixels that a token
    # depends on are a square around its centre.
    model = tiny(window_size=(8, 8, 1, 1), in_chans=1, dtype="float64")
    tape = Tape(training=False)
    features = model.features(np.random.default_rng(0).standard_normal((1, 1, 256, 256)), tape)
    dfeatures = [np.zeros_like(stage) for stage in features]
    dfeatures[level][0, :, token[0], token[1]] = np.random.default_rng(1).standard_normal(features[level].shape[1])
    touched = model.features_backward(dfeatures, tape)[0, 0] != 0
    for axis in (0, 1):
        pixels = np.flatnonzero(touched.any(axis=1 - axis))
        assert pixels[0] + pixels[-1] == 2 * stride * token[axis]
