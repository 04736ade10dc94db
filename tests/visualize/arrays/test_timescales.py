"""The arrays behind the figure: mvnp/visualize/arrays/timescales.py."""

import numpy as np

from mvnp.visualize.arrays.internals import record_scan
from mvnp.visualize.arrays.timescales import by_pace, share_by_timescale
from support.figures import image
from support.tiny import tiny
from support.tolerance import assert_close


def test_shares_and_order():
    scan = record_scan(tiny(dtype="float64"), image())
    length, share = share_by_timescale(scan)
    for tau in scan.timescale.ravel():
        assert_close(share[length == tau].max(), (scan.timescale <= tau).mean())
    paces = by_pace(scan)
    assert (np.diff(paces.prod(axis=1)) >= 0).all()
    assert {tuple(row) for row in paces} == {tuple(row) for row in scan.timescale}
