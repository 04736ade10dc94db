"""The figure of timescales: mvnp/visualize/figures/timescales.py."""

import numpy as np
import pytest

from mvnp.visualize.arrays.internals import record_scan
from mvnp.visualize.arrays.timescales import by_pace, share_by_timescale
from mvnp.visualize.figures.style import png
from mvnp.visualize.figures.timescales import timescales
from support.figures import image
from support.tiny import tiny


@pytest.mark.parametrize("narrow", [False, True])
def test_what_is_drawn_is_what_was_recorded(narrow):
    model, x = tiny(dtype="float64"), image()
    scan = record_scan(model, x)
    curve, states = timescales(model, x, narrow=narrow).axes[:2]
    length, share = share_by_timescale(scan)
    np.testing.assert_array_equal(curve.lines[0].get_xydata(), np.stack([length, share], axis=1))
    assert [line.get_xdata()[0] for line in curve.lines[1:]] == [1, 2, 4]
    np.testing.assert_array_equal(states.images[0].get_array(), by_pace(scan).T)
    assert png(timescales(model, x, narrow=narrow)).startswith(b"\x89PNG")
