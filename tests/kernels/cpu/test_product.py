"""Products in registers and panels: mvnp/kernels/cpu/product.py."""

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.checks import normal
from support.tolerance import assert_close
from support.twins import DTYPES, assert_near, cast, needs_numba

pytestmark = needs_numba


def check_linear(M, K, N, bias=True, seed=0):
    from mvnp.kernels.cpu.product import linear

    x, weight, offset = normal((M, K), seed), normal((N, K), seed + 1), normal((N,), seed + 2)
    want = x @ weight.T + (offset if bias else 0)
    for dtype in DTYPES:
        got = linear(*(cast(array, dtype) for array in (x, weight)), cast(offset, dtype) if bias else None)
        assert_near(got, want, dtype, f"y in {dtype}", terms=K)


@settings(max_examples=60)
@given(M=st.integers(1, 70), K=st.integers(1, 80), N=st.integers(1, 70), bias=st.booleans(), seed=st.integers(0, 99))
def test_any_size(M, K, N, bias, seed):
    check_linear(M, K, N, bias, seed)


@pytest.mark.parametrize("M", [6, 7, 14, 16, 19, 28, 49, 66, 144, 146, 147, 279, 280, 281, 700])
@pytest.mark.parametrize("K", [16, 255, 256, 257, 600])
def test_around_the_sizes_of_a_tile_and_a_panel(M, K):
    for N in (15, 16, 17, 31, 32, 33, 64):
        check_linear(M, K, N)


@settings(max_examples=40)
@given(
    n=st.integers(1, 5), M=st.integers(1, 40), K=st.integers(1, 300), N=st.integers(1, 70), seed=st.integers(0, 99)
)  # fmt: skip
def test_stacks(n, M, K, N, seed):
    from mvnp.kernels.cpu.product import products
    from mvnp.kernels.cpu.rows import over_rows

    x, w = normal((n, M, K), seed), normal((n, K, N), seed + 1)
    for dtype in DTYPES:
        y = np.full((n, M, N), np.nan, dtype)
        over_rows(products, (cast(x, dtype), cast(w, dtype), y), cost=1e6)
        assert_near(y, x @ w, dtype, f"y in {dtype}", terms=K)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("M", "K", "vectors"), [(1, 1, 1), (27, 9, 2), (40, 3, 3)])
def test_sums_of_turned_rows(M, K, vectors, dtype):
    from mvnp.kernels.cpu.product import VECTOR, add_turned

    N = vectors * VECTOR // np.dtype(dtype).itemsize
    y, x, w = (normal(shape, seed).astype(dtype) for seed, shape in enumerate([(M, N), (K, M), (K, N)]))
    want = y.astype(float) + x.T.astype(float) @ w
    add_turned(y, x, w)
    assert_near(y, want, dtype, "y", terms=K)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("M", [3, 20])
def test_nan_and_infinities_stay_where_they_belong(dtype, value, M):
    """One in x is in a row of y, one in the weight in a column, one in the bias too."""
    from mvnp.kernels.cpu.product import linear

    for where in ((2, 5), (M - 1, 39)):
        x, weight, bias = (cast(normal(size, 1), dtype) for size in ((M, 40), (37, 40), (37,)))
        x[where] = value
        weight[36, 7] = value
        bias[4] = value
        with np.errstate(invalid="ignore"):
            want = x @ weight.T + bias
        got = linear(x, weight, bias)
        np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
        np.testing.assert_array_equal(np.isinf(got), np.isinf(want))
        finite = np.isfinite(want)
        assert_close(got[finite], want[finite])


def test_a_weight_that_has_changed_counts():
    """A panel is made at each call: what is written into a weight is seen at the next."""
    from mvnp.kernels.cpu.product import linear

    x, weight = normal((20, 40), 1), normal((33, 40), 2)
    linear(x, weight)
    weight[5, 7] += 1
    np.testing.assert_allclose(linear(x, weight), x @ weight.T, rtol=1e-12, atol=1e-12)


def test_settings_of_numba_that_change_in_between(tmp_path):
    """With another NUMBA_ variable Numba reads its settings anew at the next kernel, and forgets how wide our vectors are.
    What one process then keeps on disk, another may take."""
    program = (
        "import os, sys, numpy as np\n"
        "from mvnp.layers.relu import relu_forward\n"
        "relu_forward(np.ones(9))\n"
        "if sys.argv[1:]: os.environ['NUMBA_OPT'] = '3'\n"
        "relu_forward(np.ones(9, 'float32'))\n"
        "from mvnp.kernels.cpu.product import linear\n"
        "x, w = np.random.default_rng(0).standard_normal((2, 40, 48)).astype('float32')\n"
        "assert np.abs(linear(x[:20], w) - x[:20] @ w.T).max() < 1e-4\n"
    )
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    for changed in (["changed"], []):
        subprocess.run([sys.executable, "-c", program, *changed], check=True, env=environment)


def test_how_rows_are_cut():
    """Panels are of whole tiles, as few as can be, and alike; what is turned into columns fills vectors."""
    from mvnp.kernels.cpu.product import FEW, MOST, ROWS, SINGLE, rows_of_panel, rows_turned

    assert [rows_of_panel(M) for M in (1, 20 * ROWS, 20 * ROWS + 1)] == [ROWS, 20 * ROWS, 11 * ROWS]
    assert [rows_turned(M, 16) for M in (16, 17, 18, 19, 32)] == [16, 16, 16, 19, 32]
    for M in range(1, 3 * MOST + 2):
        rows = rows_of_panel(M)
        panels = -(-M // rows)
        assert (rows % ROWS, panels) == (0, -(-M // MOST)), M
        assert rows - ROWS < M / panels <= rows <= MOST, M
    for lanes in (4, 8, 16):
        single = [M for M in range(FEW, 60) if M % lanes <= SINGLE]
        assert {M - rows_turned(M, lanes) for M in single} == set(range(SINGLE + 1))
        assert all(rows_turned(M, lanes) % lanes == 0 for M in single)
        assert all(rows_turned(M, lanes) == M for M in range(FEW, 60) if M not in single)
        assert [rows_turned(M, lanes) for M in range(1, FEW)] == [0] * (FEW - 1)


def test_how_a_product_is_cut_into_tiles():
    """Those that take most first; no vector is met alone but a single one."""
    from mvnp.kernels.cpu.product import DEPTH, FEW, ROWS, VECTORS, beside, in_one_vector, in_squares, in_tiles

    for M in range(3 * ROWS):
        by_many, by_few = in_tiles(M)
        assert (by_many % ROWS, (by_few - by_many) % FEW) == (0, 0)
        assert 0 <= M - by_many < ROWS
        assert 0 <= M - by_few < FEW
    assert [beside(left) for left in range(1, 9)] == [1, 2, 3, 2, 3, 3, 3, 3]
    assert [in_one_vector(N, 32) for N in (1, 15, 16, 17, 32)] == [True, True, True, False, False]
    assert [in_squares(depth, 16, 32, 16) for depth in (15, 16, 35, 48)] == [0, 16, 32, 48]
    assert [in_squares(35, 16, N, 16) for N in (31, 32, 33)] == [0, 32, 32]
    assert DEPTH * VECTORS * 64 == 32 << 10, "bytes of a panel of the widest vectors, in a first cache of 48 KiB"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("M", "K"), [(7, 5), (16, 64), (19, 70), (33, 128)])
def test_rows_are_turned_within_their_memory(M, K, dtype):
    from mvnp.kernels.cpu.product import SQUARES, VECTOR, _turned

    lanes = VECTOR // np.dtype(dtype).itemsize
    x, memory = normal((M, K), 1).astype(dtype), np.full((K + SQUARES, -(-M // lanes) * lanes), 7, dtype)
    _turned(np.arange(0, K, SQUARES), x, memory[:K])
    np.testing.assert_array_equal(memory[:K, :M], x.T)
    np.testing.assert_array_equal(memory[:K, M:], 0)
    np.testing.assert_array_equal(memory[K:], 7)


def test_which_way_is_taken_and_in_how_many_jobs(monkeypatch):
    from mvnp.kernels.cpu import product

    calls = []

    def noted(kernel, rows, *whole, cost):
        calls.append((kernel.__name__, len(rows[0])))
        return over_rows(kernel, rows, *whole, cost=cost)

    over_rows = product.over_rows
    monkeypatch.setattr(product, "over_rows", noted)
    K, N = 130, 100
    squares, by_columns = -(-K // product.SQUARES), -(-N // product.WIDE)
    check_linear(product.FEW - 1, K, N)
    assert calls == 2 * [("_by_columns", by_columns)]  # in both dtypes
    calls.clear()
    check_linear(product.MOST_COLUMNS, K, N)
    assert calls == 2 * [("_turned", squares), ("_by_columns", by_columns)]
    calls.clear()
    M = product.MOST + 1
    check_linear(M, K, N)
    wide = {dtype: product.VECTORS * product.VECTOR // np.dtype(dtype).itemsize for dtype in DTYPES}
    assert calls == [("_linear", 2 * -(-N // wide[dtype])) for dtype in DTYPES]
