"""Maps as fine as the image: mvnp/visualize/figures/pixel_maps.py."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from mvnp.visualize.figures.pixel_maps import around_zero, show_cells, show_signed
from support.figures import marks
from support.tolerance import assert_close


def test_squares_stand_on_their_cells_and_areas_are_amounts():
    sums = np.array([[1.0, -4.0], [0.0, 2.0]])
    axes = Figure().subplots()
    drawn = show_cells(axes, np.zeros((6, 6)), sums, 3)
    centres, values = marks(axes)
    assert_close(centres, [(1, 1), (4, 1), (1, 4), (4, 4)])
    np.testing.assert_array_equal(values, sums.ravel())
    areas = [path.get_extents().width ** 2 for path in drawn.get_paths()]
    assert_close(areas, (0.94 * 3) ** 2 * np.abs(sums).ravel() / 4)
    reds, blues = drawn.to_rgba([4.0])[0], drawn.to_rgba([-4.0])[0]
    assert reds[0] > reds[2]
    assert blues[2] > blues[0]
    assert (axes.get_xlim(), axes.get_ylim()) == ((-0.5, 5.5), (5.5, -0.5))  # the picture's, whatever squares reach beyond


def test_a_scale_around_zero():
    values = np.array([[-1.0, 0.5], [3.0, 0.0]])
    norm = around_zero(values, 1.0)
    assert (norm.vmin, norm.vmax) == (-3.0, 3.0)
    extreme = np.concatenate([np.linspace(-1, 1, 1000), [100.0]])
    assert around_zero(extreme).vmax < 1.1
    assert around_zero(np.zeros((2, 2))).vmax == 1.0


@pytest.mark.parametrize("shape", [(3, 4), (6, 8)])
def test_a_map_is_stretched_over_the_image(shape):
    axes = Figure().subplots()
    drawn = show_signed(axes, np.zeros(shape), (6, 8), around_zero(np.ones(shape)))
    assert list(drawn.get_extent()) == [-0.5, 7.5, 5.5, -0.5]
