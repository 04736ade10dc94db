"""The arrays behind the figure: mvnp/visualize/arrays/window_attention.py."""

import numpy as np
import pytest

from mvnp.visualize.arrays.internals import internals
from mvnp.visualize.arrays.window_attention import query_weights
from support.figures import image
from support.tiny import tiny
from support.tolerance import assert_close

BLOCK = "levels.2.blocks.1.mixer"


@pytest.mark.parametrize("padding", ["visible", "masked"])
def test_weights_on_the_image_add_up_to_one_inside_the_window(padding):
    record = internals(tiny(dtype="float64", padding=padding), image()).attentions[BLOCK]
    windows = record.windows
    for row in range(windows.H):
        for column in range(windows.W):
            maps = query_weights(record, row, column)
            assert maps.shape == (2, *windows.padded)
            inside = np.isfinite(maps[0])
            top, left = row // 2 * 2, column // 2 * 2
            assert inside[top : top + 2, left : left + 2].all()
            assert inside.sum() == 4
            assert_close(np.nansum(maps, axis=(1, 2)), 1.0)
            if padding == "masked":
                assert_close(np.nansum(maps[:, : windows.H, : windows.W], axis=(1, 2)), 1.0)


def test_a_weight_by_hand():
    record = internals(tiny(dtype="float64"), image()).attentions[BLOCK]
    # On a map of 5x5 in windows of 2, query (3, 2) is token 2 of window 4, and (2, 3) is its token 1.
    assert query_weights(record, 3, 2)[1, 2, 3] == record.weights[4, 1, 2, 1]
