"""The figure of a scan's state: mvnp/visualize/figures/scan_state.py."""

import numpy as np
import pytest
from matplotlib.collections import LineCollection

from mvnp.backend import from_numpy
from mvnp.errors import InputError
from mvnp.visualize.arrays.internals import internals
from mvnp.visualize.arrays.picture import as_picture
from mvnp.visualize.arrays.scan_state import mean_steps, path_points, state_norms, states_by_timescale
from mvnp.visualize.figures.scan_state import scan_path, scan_state, state_heat_map, state_map, step_map
from mvnp.visualize.figures.style import png
from support.figures import image, marks
from support.tiny import tiny
from support.tolerance import DEEP, assert_close

BLOCK = "levels.2.blocks.0.mixer"


@pytest.mark.parametrize("narrow", [False, True])
def test_what_is_drawn_is_what_was_recorded(narrow):
    model, x = tiny(dtype="float64"), image()
    scan = internals(model, x).scans[BLOCK]
    figure = scan_state(model, x, block=BLOCK, narrow=narrow)
    panels = {axes.get_title(loc="left"): axes for axes in figure.axes}

    for title, values in (("State ‖h‖ after each token", state_norms(scan)), ("Step Δ of each token", mean_steps(scan))):
        centres, drawn = marks(panels[title])
        order = np.lexsort(scan.windows.positions.reshape(-1, 2).T[::-1])
        assert_close(drawn, values.ravel()[order])
        assert_close(centres, path_points(scan.windows).reshape(-1, 2)[order], terms=DEEP)

    lines, timescale = states_by_timescale(scan)
    heat = panels["States along the scan"].images[0].get_array()
    assert_close(heat * np.abs(lines).max(axis=1, keepdims=True), lines)
    side = next(axes for axes in figure.axes if axes.get_xlabel() == "τ in tokens")
    np.testing.assert_array_equal(side.lines[0].get_xdata(), timescale)
    assert png(figure).startswith(b"\x89PNG")


@pytest.mark.parametrize("narrow", [False, True])
def test_the_parts_alone_show_the_same(narrow):
    model, x = tiny(dtype="float64"), image()
    scan = internals(model, x).scans[BLOCK]
    order = np.lexsort(scan.windows.positions.reshape(-1, 2).T[::-1])
    for draw, values in ((state_map, state_norms(scan)), (step_map, mean_steps(scan))):
        figure = draw(model, x, block="levels.2.blocks.0", narrow=narrow)
        assert_close(marks(figure.axes[0])[1], values.ravel()[order])
        assert "levels.2.blocks.0" in figure.get_suptitle()
    lines, timescale = states_by_timescale(scan)
    heat, side = state_heat_map(model, x, narrow=narrow).axes[:2]
    assert_close(heat.images[0].get_array() * np.abs(lines).max(axis=1, keepdims=True), lines)
    np.testing.assert_array_equal(side.lines[0].get_xdata(), timescale)
    png(scan_path(model, x, narrow=narrow))


def test_the_path_is_drawn_through_every_token_in_order():
    model, x = tiny(dtype="float64"), image()
    points = path_points(internals(model, x).windows["levels.2"])
    (panel,) = scan_path(model, x).axes
    coloured = [part for part in panel.collections if isinstance(part, LineCollection) and part.get_array() is not None]
    drawn = {}
    for part in coloured:
        for segment, step in zip(part.get_segments(), part.get_array(), strict=True):
            drawn.setdefault(int(step), set()).add(tuple(map(tuple, segment)))
    for step in range(3):
        expected = {tuple(map(tuple, window[step : step + 2])) for window in points}
        assert drawn[step] == expected


def test_masked_padding_has_no_squares():
    model = tiny(dtype="float64", padding="masked")
    windows = internals(model, image()).windows["levels.2"]
    figure = scan_state(model, image())
    for axes in figure.axes[1:3]:
        centres, drawn = marks(axes)
        assert len(drawn) == windows.H * windows.W < windows.real.size
        assert centres.max() == 16 * 4


def test_other_blocks_and_devices(strict_cupy):
    model = tiny(window_size=(8, 8, 2, 4))
    figure = scan_state(model, from_numpy(image().astype(np.float32)), block="levels.3.blocks.0")
    assert "levels.3.blocks.0" in figure.get_suptitle()


def test_a_state_that_is_zero_throughout():
    model = tiny()
    for _, mixer in model.named_layers():
        if hasattr(mixer, "in_proj"):
            mixer.in_proj.weight.data[...] = 0
    png(scan_state(model, image()))


def test_pictures():
    x = image(6)
    picture = as_picture(x)
    assert picture.shape == (6, 6, 3)
    assert (picture.min(), picture.max()) == (0, 1)
    assert_close(picture[2, 4], (x[0, :, 2, 4] - x.min()) / (x.max() - x.min()))
    assert as_picture(x[:, :1]).shape == as_picture(np.zeros((1, 5, 6, 6))).shape == (6, 6)
    assert not as_picture(np.full((1, 1, 6, 6), 3.0)).any()


def test_nothing_to_draw():
    x = image()
    x[0, 0, 3, 3] = np.nan
    with pytest.raises(InputError, match="values that are not finite"):
        scan_state(tiny(), x)
