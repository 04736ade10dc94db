"""Products of matrices of few rows, for which a matrix library is not made: y += x w.

In every cycle a core can multiply and add two vectors of 16 numbers, and load two. The three nested loops of the definition
load two numbers for each product, and wait for them. Hence

    tiles      A block of y, ROWS by VECTORS vectors, stays in registers while k runs. For each k it takes one number from each
               of its rows of x and VECTORS vectors of w, and makes ROWS · VECTORS vectors of products: loads are few.
    panels     A tile reads vectors along a row of w. A Linear's weight (N, K) is wᵀ: there, as many columns as a tile has are
               first put side by side, for DEPTH values of k. This panel stays in the core's first cache while all rows of x
               meet it. It is turned square by square: vectors are loaded along k, change lanes in registers, and are
               stored.
    columns    To make a panel takes a fifth of what 49 rows do with it, and less where they are more. So fewer rows are turned
               themselves: yᵀ = W xᵀ reads the weight as it lies, a number at a time, and vectors along xᵀ.

Panels and columns are made at every call: nothing is kept that would have to be in step with the weights, or takes their memory
once more.

Goto, van de Geijn: Anatomy of high-performance matrix multiplication, ACM TOMS 34 (2008).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .jit import inline, kernel
from .mathematics import in_whole
from .rows import over_rows
from .tiles import (
    FEW,
    ROWS,
    TALL,
    VECTOR,
    VECTORS,
    few_rows,
    few_short_rows,
    few_turned,
    flat_single,
    flat_three,
    flat_two,
    many_rows,
    many_short_rows,
    many_turned,
    one_row,
    one_short_row,
    one_turned,
    tall_single,
    tall_three,
    tall_two,
    turn,
)

DEPTH = 256  # of a panel: it stays in the first cache
MOST = 20 * ROWS  # rows that a panel is made for: their sums stay in the second cache
MOST_COLUMNS = 144  # rows that are turned, measured: of more a panel is as fast
SINGLE = 2  # rows for which there is no vector of their own
WIDE, SQUARES = 16, 64  # rows of a weight, and of what is turned, in one go
U = np.uintp  # of an unsigned index the compiler knows that it does not count from the end, and makes vector code


def linear(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None = None, y: np.ndarray | None = None) -> np.ndarray:
    """y = x Wᵀ + b, of x (M, K), W (N, K) and b (N,), all C-contiguous."""
    (M, K), N = x.shape, len(weight)
    offset = np.zeros(N, x.dtype) if bias is None else bias
    y = np.empty((M, N), x.dtype) if y is None else y
    lanes = VECTOR // x.itemsize
    whole = rows_turned(M, lanes)
    if whole <= MOST_COLUMNS:
        columns = np.empty((K, -(-whole // lanes) * lanes), x.dtype)
        if whole:
            over_rows(_turned, (np.arange(0, K, SQUARES),), x[:whole], columns, cost=0.2 * SQUARES * whole)
        jobs = np.arange(-(-N // WIDE))
        over_rows(_by_columns, (jobs,), columns, x, weight, offset, y, cost=WIDE * K * (0.1 * (M - whole) + 0.01 * whole))
        return y
    rows, wide = rows_of_panel(M), VECTORS * lanes
    jobs = np.arange(-(-M // rows) * -(-N // wide))
    over_rows(_linear, (jobs,), x, weight, offset, y, rows, cost=wide * K * (0.1 + 0.01 * min(M, rows)))
    return y


def rows_turned(M: int, lanes: int) -> int:
    """How many of M rows, from the first, are turned into columns: those that fill vectors of `lanes` numbers, and what is left
    where it is worth a vector of its own; none of few."""
    if M < FEW:
        return 0
    return M - M % lanes if M % lanes <= SINGLE else M


def rows_of_panel(M: int) -> int:
    """How many of M rows a panel is made for: as many for each, in whole tiles, and MOST at most."""
    panels = -(-M // MOST)
    return -(-M // (panels * ROWS)) * ROWS


@kernel
def _linear(jobs: Any, x: Any, weight: Any, bias: Any, y: Any, rows: int) -> None:
    """y, so many rows of a panel a job; the panels of the first rows come first."""
    panel = new_panel(x)
    sums = new_sums(x[:rows], panel)
    w, panels = any_rows(weight), -(-len(weight) // panel.shape[1])
    for job in jobs:
        top, first = job // panels * rows, job % panels * panel.shape[1]
        some, columns = x[top : top + rows], min(panel.shape[1], len(weight) - first)
        multiply(sums, some, w, first, columns, True, panel)
        for row in range(U(len(some))):
            for c in range(U(columns)):
                y[U(top) + row, U(first) + c] = sums[row, c] + bias[U(first) + c]


@kernel
def _turned(starts: Any, x: Any, columns: Any) -> None:
    """SQUARES rows of `columns`, which are xᵀ, a job."""
    rows, to = any_rows(x), any_rows(columns)
    for k in starts:
        depth = min(SQUARES, len(columns) - k)
        _make_panel(rows, 0, len(x), k, depth, to[k : k + depth])


@kernel
def _by_columns(jobs, columns, x, weight, bias, y):  # type: ignore[no-untyped-def]
    """WIDE columns of y a job: yᵀ = W xᵀ + b. The first rows of x are also `columns`; the others are met one by one."""
    lanes, wide = VECTOR // x.itemsize, columns.shape[1]
    some, w, to = any_rows(columns), any_rows(weight), any_rows(y)
    sums = any_rows(np.empty((WIDE, wide), x.dtype))
    M = min(len(x), wide)
    for job in jobs:
        first = job * WIDE
        N = min(WIDE, len(weight) - first)
        for n in range(U(N)):
            for row in range(U(wide)):
                sums[n, row] = bias[U(first) + n]
        _by_tall_tiles(sums, w[first : first + N], some)
        squares, along = in_whole(M, lanes), in_whole(N, lanes)
        for row in range(0, squares, lanes):
            for n in range(0, along, lanes):
                turn(sums, n, row, to, row, first + n)
        for row in range(M):
            for n in range(along if row < squares else 0, N):
                y[row, first + n] = sums[n, row]
        for n in range(U(first), U(first + N)):
            for row in range(U(M), U(len(x))):
                total = bias[n]
                for k in range(x.shape[1]):
                    total += x[row, k] * weight[n, k]
                y[row, n] = total


@inline
def _by_tall_tiles(y, x, w):  # type: ignore[no-untyped-def]
    """y += x w, some vectors of w beside each other."""
    lanes = VECTOR // y.itemsize
    column = 0
    while column < y.shape[1]:
        vectors = beside((y.shape[1] - column) // lanes)
        if vectors == 1:
            _by_rows(tall_single, flat_single, y, column, x, w)
        elif vectors == 2:
            _by_rows(tall_two, flat_two, y, column, x, w)
        else:
            _by_rows(tall_three, flat_three, y, column, x, w)
        column += vectors * lanes


@inline
def beside(left):  # type: ignore[no-untyped-def]
    """How many of the vectors that are left are taken at once: three, and two where one alone would remain."""
    if left == 1:
        return 1
    return 2 if left == 2 or left == 4 else 3


@inline
def _by_rows(tall, flat, y, column, x, w):  # type: ignore[no-untyped-def]
    whole = in_whole(len(x), TALL)
    for row in range(0, whole, TALL):
        tall(y, row, column, x, 0, x.shape[1], w, 0, column)
    for row in range(whole, len(x)):
        flat(y, row, column, x, 0, x.shape[1], w, 0, column)


@kernel
def products(x: Any, w: Any, y: Any) -> None:
    """y = x w, of stacks of matrices (n, M, K), (n, K, N) and (n, M, N)."""
    N = w.shape[2]
    panel = new_panel(x[0])
    sums = new_sums(x[0], panel)
    for number in range(len(x)):
        for first in range(0, N, panel.shape[1]):
            columns = min(panel.shape[1], N - first)
            multiply(sums, x[number], any_rows(w[number]), first, columns, False, panel)
            for row in range(U(x.shape[1])):
                for c in range(U(columns)):
                    y[number, row, U(first) + c] = sums[row, c]


@inline
def any_rows(array):  # type: ignore[no-untyped-def]
    """The array, of a type that does not say how far apart its rows are."""
    return array[:, : array.shape[1]]


@inline
def new_panel(x):  # type: ignore[no-untyped-def]
    """Memory for a panel."""
    return any_rows(np.empty((DEPTH, VECTORS * VECTOR // x.itemsize), x.dtype))


@inline
def new_sums(x, panel):  # type: ignore[no-untyped-def]
    """Memory for what a panel gives."""
    return np.empty((len(x), panel.shape[1]), x.dtype)


@inline
def multiply(sums, x, w, first, N, turned, panel):  # type: ignore[no-untyped-def]
    """sums = x w for N columns, no more than a panel has: of w those from `first` on, or, where w lies in memory `turned`, its
    rows. x is (M, K); w and the panel are of `any_rows`. What is in other columns of the sums is not said."""
    (M, K), wide = x.shape, panel.shape[1]
    narrow = wide > N  # then the panel has zeros where there are no columns
    sums[:M] = 0
    for k in range(0, K, DEPTH):
        depth = min(DEPTH, K - k)
        matrix, at, along = panel, 0, 0
        if turned:
            _make_panel(w, first, N, k, depth, panel)
        elif narrow:
            for i in range(U(depth)):
                for c in range(U(N)):
                    panel[i, c] = w[U(k) + i, U(first) + c]
                for c in range(U(N), U(wide)):
                    panel[i, c] = 0
        else:
            matrix, at, along = w, k, first
        if in_one_vector(N, wide):
            _by_tiles(many_short_rows, few_short_rows, one_short_row, sums, 0, M, x, k, depth, matrix, at, along)
        else:
            _by_tiles(many_rows, few_rows, one_row, sums, 0, M, x, k, depth, matrix, at, along)


@inline
def in_one_vector(columns, wide):  # type: ignore[no-untyped-def]
    """Whether so many columns of a panel are all in its first vector."""
    return columns <= wide // VECTORS


@inline
def add_turned(y, x, w):  # type: ignore[no-untyped-def]
    """y += xᵀ w, of y (M, N), x (K, ·) and w (K, N), where N is a number of whole vectors. M may be more than x has columns:
    what rows of y have then is made of numbers that follow in memory, and means nothing."""
    for column in range(0, y.shape[1], VECTOR // x.itemsize):
        _by_tiles(many_turned, few_turned, one_turned, y, column, len(y), x, 0, len(x), w, 0, column)


@inline
def _by_tiles(many, few, one, y, column, M, x, k, depth, matrix, at, along):  # type: ignore[no-untyped-def]
    by_many, by_few = in_tiles(M)
    for row in range(0, by_many, ROWS):
        many(y, row, column, x, k, depth, matrix, at, along)
    for row in range(by_many, by_few, FEW):
        few(y, row, column, x, k, depth, matrix, at, along)
    for row in range(by_few, M):
        one(y, row, column, x, k, depth, matrix, at, along)


@inline
def in_tiles(M):  # type: ignore[no-untyped-def]
    """How many of M rows tiles of ROWS take, and how many these and tiles of FEW; the others are taken one by one."""
    by_many = in_whole(M, ROWS)
    return by_many, by_many + in_whole(M - by_many, FEW)


@inline
def in_squares(depth, c, N, lanes):  # type: ignore[no-untyped-def]
    """How many of a panel's rows are made square by square in the vector that begins at column c: none if it hangs over."""
    return in_whole(depth, lanes) if c + lanes <= N else 0


@inline
def _make_panel(w, first, N, k, depth, panel):  # type: ignore[no-untyped-def]
    """panel[:depth] = w[first : first + N, k : k + depth]ᵀ, with zeros for columns that there are not."""
    lanes = VECTOR // w.itemsize
    for vector in range(panel.shape[1] // lanes):
        c = vector * lanes
        done = in_squares(depth, c, N, lanes)
        for i in range(0, done, lanes):
            turn(w, first + c, k + i, panel, i, c)
        for i in range(done, depth):
            for lane in range(c, c + lanes):
                panel[i, lane] = w[first + lane, k + i] if lane < N else 0
