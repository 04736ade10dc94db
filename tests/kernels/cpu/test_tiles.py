"""Tiles of a product in registers, and squares that are turned: mvnp/kernels/cpu/tiles.py."""

import numpy as np
import pytest

from support.checks import normal
from support.tolerance import assert_close
from support.twins import DTYPES, needs_numba

pytestmark = needs_numba

TILES = {
    "many_rows": ("ROWS", 2),
    "few_rows": ("FEW", 2),
    "one_row": (1, 2),
    "many_short_rows": ("ROWS", 1),
    "few_short_rows": ("FEW", 1),
    "one_short_row": (1, 1),
    "tall_three": ("TALL", 3),
    "tall_two": ("TALL", 2),
    "tall_single": ("TALL", 1),
    "flat_three": (1, 3),
    "flat_two": (1, 2),
    "flat_single": (1, 1),
    "many_turned": ("ROWS", 1),
    "few_turned": ("FEW", 1),
    "one_turned": (1, 1),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", TILES)
def test_a_tile(name, dtype):
    """y += x w, within larger arrays whose rows lie apart from each other."""
    from mvnp.kernels.cpu import tiles
    from mvnp.kernels.cpu.jit import inline

    tile, (rows, vectors) = getattr(tiles, name), TILES[name]
    rows, columns = getattr(tiles, str(rows), rows), vectors * tiles.VECTOR // np.dtype(dtype).itemsize
    row, column, k, depth, at, along = 2, 3, 4, 7, 1, 5
    y, x, w = (normal((40, 70), seed).astype(dtype)[:, :66] for seed in (1, 2, 3))
    want = y.copy()
    of_x = x[k : k + depth, row : row + rows].T if "turned" in name else x[row : row + rows, k : k + depth]
    want[row : row + rows, column : column + columns] += of_x @ w[at : at + depth, along : along + columns]

    @inline
    def call(y, x, w):
        tile(y, row, column, x, k, depth, w, at, along)

    call(y, x, w)
    assert_close(y, want, terms=depth)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_square_is_turned(dtype):
    from mvnp.kernels.cpu.jit import inline
    from mvnp.kernels.cpu.tiles import VECTOR, turn

    lanes, first, k, row, column = VECTOR // np.dtype(dtype).itemsize, 1, 2, 4, 3
    w, panel = (normal((30, 40), seed).astype(dtype)[:, :33] for seed in (1, 2))
    want = panel.copy()
    want[row : row + lanes, column : column + lanes] = w[first : first + lanes, k : k + lanes].T

    @inline
    def call(w, panel):
        turn(w, first, k, panel, row, column)

    call(w, panel)
    np.testing.assert_array_equal(panel, want)


def test_what_processors_have():
    from mvnp.kernels.cpu import tiles

    old, avx, avx512 = {"sse2": True}, {"sse2": True, "avx": True}, {"sse2": True, "avx": True, "avx512f": True}
    bytes_, registers = tiles.bytes_of_vector, tiles.vector_registers
    assert [bytes_(features, True) for features in ({}, old, avx, avx512)] == [16, 16, 32, 64]
    assert [bytes_(features, False) for features in (avx, avx512)] == [32, 32]
    assert [registers(features) for features in ({}, old, avx, avx512)] == [32, 16, 16, 32], "without SSE it is an ARM"
    assert tiles.rows_of_tile(32) == (14, 8)  # 28 registers of sums, 2 of w, one of x; and 24, 3 and one
    assert tiles.rows_of_tile(16) == (6, 4)
    assert [tiles.rows_of_tile(number)[0] for number in (34, 35)] == [14, 16], "35 would do for 16 rows"
    assert tiles.ROWS == 2 * tiles.FEW
