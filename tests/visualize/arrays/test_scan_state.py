"""The arrays behind the figures of a scan: mvnp/visualize/arrays/scan_state.py."""

import numpy as np

from mvnp.visualize.arrays.geometry import WindowGeometry
from mvnp.visualize.arrays.internals import internals
from mvnp.visualize.arrays.scan_state import mean_steps, path_points, state_norms, states_by_timescale
from support.figures import image
from support.tiny import tiny
from support.tolerance import assert_close

BLOCK = "levels.2.blocks.0.mixer"


def test_the_path_runs_row_by_row_inside_each_window():
    # A 3x3 map in windows of 2, stride 16: (x, y) in pixels.
    path = path_points(WindowGeometry(3, 3, 2, stride=16)).tolist()
    assert path[0] == [[0, 0], [16, 0], [0, 16], [16, 16]]
    assert path[3] == [[32, 32], [48, 32], [32, 48], [48, 48]]


def test_norms_and_steps():
    scan = internals(tiny(dtype="float64"), image()).scans[BLOCK]
    assert_close(state_norms(scan)[1, 2], np.linalg.norm(scan.states[1, 2]))
    assert_close(mean_steps(scan)[1, 2], scan.delta[1, 2].mean())


def test_states_are_sorted_by_timescale():
    scan = internals(tiny(dtype="float64"), image()).scans[BLOCK]
    lines, timescale = states_by_timescale(scan)
    assert (np.diff(timescale) >= 0).all()
    windows, tokens, channels, states = scan.states.shape
    assert lines.shape == (channels * states, windows * tokens)
    for line, tau in zip(lines, timescale, strict=True):
        d, n = np.argwhere(scan.timescale == tau)[0]
        np.testing.assert_array_equal(line, scan.states[:, :, d, n].ravel())


def test_masked_tokens_have_neither_norm_nor_step():
    scan = internals(tiny(dtype="float64", padding="masked"), image()).scans[BLOCK]
    for values in (state_norms(scan), mean_steps(scan)):
        np.testing.assert_array_equal(np.isfinite(values), scan.windows.real)
