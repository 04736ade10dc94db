"""Copies of some numbers in one go: mvnp/kernels/cpu/lanes.py."""

import numpy as np
import pytest

from support.twins import needs_numba

pytestmark = needs_numba


def test_they_fill_a_register():
    from mvnp.kernels.cpu.lanes import LANES

    assert LANES * np.dtype("float32").itemsize == 512 // 8, "of those that there are, the widest have 512 bits"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("to", "at"), [(0, 0), (1, 0), (0, 3), (5, 7), (24, 24)])
def test_copies_these_numbers_and_no_others(dtype, to, at):
    from mvnp.kernels.cpu.jit import kernel
    from mvnp.kernels.cpu.lanes import LANES, copy_lanes

    @kernel
    def copy(target, to, source, at):
        copy_lanes(target, to, source, at)

    source, target = np.arange(40, dtype=dtype), np.full(40, -1.0, dtype)
    want = target.copy()
    want[to : to + int(LANES)] = source[at : at + int(LANES)]
    copy(target, np.uintp(to), source, np.uintp(at))
    np.testing.assert_array_equal(target, want)
    np.testing.assert_array_equal(source, np.arange(40))
