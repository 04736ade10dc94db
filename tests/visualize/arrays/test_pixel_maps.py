"""The arrays behind the figure: mvnp/visualize/arrays/pixel_maps.py."""

import numpy as np

from mvnp.visualize.arrays.pixel_maps import cell_side, cell_sums
from support.tolerance import assert_close


def test_cells_add_up_to_the_map():
    values = np.random.default_rng(0).standard_normal((10, 7))
    sums = cell_sums(values, 3)
    assert sums.shape == (4, 3)
    assert_close(sums.sum(), values.sum())
    assert_close(sums[1, 2], values[3:6, 6:7].sum())
    assert_close(sums[3, 0], values[9:, :3].sum())


def test_a_side_of_cells_for_any_image():
    assert [cell_side(size) for size in ((224, 224), (64, 64), (28, 20), (5, 5))] == [16, 5, 2, 1]
