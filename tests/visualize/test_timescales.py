"""The figure of timescales: mvnp/visualize/timescales.py."""

import numpy as np
import pytest

from mvnp.visualize.internals import record_scan
from mvnp.visualize.style import png
from mvnp.visualize.timescales import by_pace, share_by_timescale, timescales
from support.figures import image
from support.tiny import tiny
from support.tolerance import assert_close


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


def test_shares_and_order():
    scan = record_scan(tiny(dtype="float64"), image())
    length, share = share_by_timescale(scan)
    for tau in scan.timescale.ravel():
        assert_close(share[length == tau].max(), (scan.timescale <= tau).mean())
    paces = by_pace(scan)
    assert (np.diff(paces.prod(axis=1)) >= 0).all()
    assert {tuple(row) for row in paces} == {tuple(row) for row in scan.timescale}
