"""The figure of a scan's state: mvnp/visualize/scan_state.py."""

import numpy as np
import pytest

from mvnp.backend import from_numpy
from mvnp.errors import InputError
from mvnp.visualize.geometry import WindowGeometry
from mvnp.visualize.internals import internals
from mvnp.visualize.overlay import as_picture
from mvnp.visualize.scan_state import mean_steps, scan_path, scan_state, state_norms, states_by_timescale
from mvnp.visualize.style import png
from support.figures import image, marks
from support.tiny import tiny

BLOCK = "levels.2.blocks.0.mixer"


def test_the_path_runs_row_by_row_inside_each_window():
    # A 3x3 map in windows of 2, stride 16: (x, y) in pixels.
    path = scan_path(WindowGeometry(3, 3, 2, stride=16)).tolist()
    assert path[0] == [[0, 0], [16, 0], [0, 16], [16, 16]]
    assert path[3] == [[32, 32], [48, 32], [32, 48], [48, 48]]


def test_norms_and_steps():
    scan = internals(tiny(dtype="float64"), image()).scans[BLOCK]
    np.testing.assert_allclose(state_norms(scan)[1, 2], np.linalg.norm(scan.states[1, 2]))
    np.testing.assert_allclose(mean_steps(scan)[1, 2], scan.delta[1, 2].mean())


def test_states_are_sorted_by_timescale():
    scan = internals(tiny(dtype="float64"), image()).scans[BLOCK]
    lines, timescale = states_by_timescale(scan)
    assert (np.diff(timescale) >= 0).all()
    windows, tokens, channels, states = scan.states.shape
    assert lines.shape == (channels * states, windows * tokens)
    for line, tau in zip(lines, timescale, strict=True):
        d, n = np.argwhere(scan.timescale == tau)[0]
        np.testing.assert_array_equal(line, scan.states[:, :, d, n].ravel())


@pytest.mark.parametrize("narrow", [False, True])
def test_what_is_drawn_is_what_was_recorded(narrow):
    model, x = tiny(dtype="float64"), image()
    scan = internals(model, x).scans[BLOCK]
    figure = scan_state(model, x, block=BLOCK, narrow=narrow)
    panels = {axes.get_title(loc="left"): axes for axes in figure.axes}

    for title, values in (("State ‖h‖ after each token", state_norms(scan)), ("Step Δ of each token", mean_steps(scan))):
        centres, drawn = marks(panels[title])
        order = np.lexsort(scan.windows.positions.reshape(-1, 2).T[::-1])
        np.testing.assert_allclose(drawn, values.ravel()[order])
        np.testing.assert_allclose(centres, scan_path(scan.windows).reshape(-1, 2)[order], atol=1e-9)

    lines, timescale = states_by_timescale(scan)
    heat = panels["States along the scan"].images[0].get_array()
    np.testing.assert_allclose(heat * np.abs(lines).max(axis=1, keepdims=True), lines)
    side = next(axes for axes in figure.axes if axes.get_xlabel() == "τ in tokens")
    np.testing.assert_array_equal(side.lines[0].get_xdata(), timescale)
    assert png(figure).startswith(b"\x89PNG")


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
    np.testing.assert_allclose(picture[2, 4], (x[0, :, 2, 4] - x.min()) / (x.max() - x.min()))
    assert as_picture(x[:, :1]).shape == as_picture(np.zeros((1, 5, 6, 6))).shape == (6, 6)
    assert not as_picture(np.full((1, 1, 6, 6), 3.0)).any()


def test_nothing_to_draw():
    x = image()
    x[0, 0, 3, 3] = np.nan
    with pytest.raises(InputError, match="values that are not finite"):
        scan_state(tiny(), x)
