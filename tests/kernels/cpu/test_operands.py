"""What twins ask of their arrays and do with all of them alike: mvnp/kernels/cpu/operands.py."""

import numpy as np
import pytest

from support.checks import normal
from support.tolerance import assert_close
from support.twins import DTYPES, LAYOUTS, laid_out, needs_numba

pytestmark = needs_numba


def test_what_kernels_take():
    from mvnp.kernels.cpu.operands import taken

    x, narrow = np.ones((2, 3)), np.ones(4, np.float32)
    assert taken(x)
    assert taken(narrow)
    assert taken(x, x[0], np.ones(()), x.T)
    for wrong in (np.ones(3, int), np.ones(3, np.float16), x[:0], [1.0], 1.0, None):
        assert not taken(wrong), wrong
        assert not taken(x, wrong), wrong
        assert not taken(x, wrong, x), wrong
    assert not taken(x, narrow)
    assert not taken(x, np.float64(1)), "a number by itself is no array"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_rows_and_numbers_in_row_major_order(layout):
    from mvnp.kernels.cpu.operands import flat, rows_of

    x = normal((2, 3, 4), 1)
    there = laid_out(x, layout)
    for got, want in ((rows_of(there), x.reshape(6, 4)), (rows_of(there, 12), x.reshape(2, 12)), (flat(there), x.reshape(24))):
        np.testing.assert_array_equal(got, want)
        assert got.flags.c_contiguous
    assert np.shares_memory(rows_of(x), x)
    assert np.shares_memory(flat(x), x)


def halves():
    from mvnp.kernels.cpu.jit import kernel

    @kernel
    def add_halves(x, z, y):
        for i in range(x.size):
            y[i] = (x[i] + z[i]) / 2

    return add_halves


def test_number_by_number():
    from mvnp.kernels.cpu.operands import each_number

    loop, x, z = halves(), normal((3, 5), 1), normal((3, 5), 2)
    for dtype in DTYPES:
        y = each_number(loop, x.astype(dtype), np.asfortranarray(z.astype(dtype)), cost=1.0)
        assert (y.shape, y.dtype) == (x.shape, dtype)
        assert_close(y, (x + z) / 2, dtype=dtype)
    for wrong in ((x, z[:2]), (x[:2], z), (x, z.astype(np.float32)), (x[:0], z[:0])):
        assert each_number(loop, *wrong, cost=1.0) is NotImplemented


@pytest.mark.parametrize("shape", [(1,), (5,), (1, 7), (4, 3), (3, 2, 5)])
def test_each_row_times_a_number(shape):
    from mvnp.kernels.cpu.operands import rows_times

    x, numbers = normal(shape, 1), normal((2 * len(normal(shape, 1)),), 2)[::2]
    want = np.stack([number * row for number, row in zip(numbers, x, strict=True)])
    np.testing.assert_array_equal(rows_times(numbers, x), want)


@pytest.mark.parametrize("shape", [(1, 1), (1, 3), (4, 3), (5, 2, 3)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_sum_of_blocks(shape, dtype):
    from mvnp.kernels.cpu.operands import total

    sums = normal(shape, 1).astype(dtype)
    got = total(sums)
    assert (got.shape, got.dtype) == (shape[1:], dtype)
    assert_close(got, sums.astype(float).sum(axis=0), dtype=dtype)


def test_the_sum_of_many_blocks_keeps_its_digits():
    from mvnp.kernels.cpu.operands import total

    sums = np.full((100_000, 1), 0.1, np.float32)
    assert_close(total(sums)[0], 100_000 * float(np.float32(0.1)), terms=1)
