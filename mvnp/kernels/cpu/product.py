"""Products of matrices of few rows, for which a matrix library is not made: y += x w.

In every cycle a core can multiply and add two vectors of 16 numbers, and load two. The three nested loops of the definition
load two numbers for each product, and wait for them. Hence

    tiles      A block of y, ROWS by VECTORS vectors, stays in registers while k runs. For each k it takes one number from each
               of its rows of x and VECTORS vectors of w, and makes ROWS · VECTORS vectors of products: loads are few.
    panels     A tile reads vectors along a row of w. A Linear's weight (N, K) is wᵀ: there, as many columns as a tile has are
               first put side by side, for DEPTH values of k. This panel stays in the core's first cache while all rows of x
               meet it. It is turned square by square: vectors are loaded along k, change lanes in registers, and are
               stored.

To make a panel takes a fifth of what 49 rows do with it, and less where they are more. It is made at every call: nothing is
kept that would have to be in step with the weights, or takes their memory once more.

Goto, van de Geijn: Anatomy of high-performance matrix multiplication, ACM TOMS 34 (2008).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .jit import WIDEST, inline, kernel
from .rows import over_rows

FEATURES = binding.get_host_cpu_features()
VECTOR = 64 if FEATURES.get("avx512f") and WIDEST else 32 if FEATURES.get("avx") else 16  # bytes
REGISTERS = 16 if FEATURES.get("sse2") and not FEATURES.get("avx512f") else 32
VECTORS = 2  # of a tile's row
ROWS = (REGISTERS - VECTORS - 1) // VECTORS // 2 * 2  # of a tile: all registers but those for w and a number of x
FEW = ROWS // 2
DEPTH = 256
MOST = 20 * ROWS  # rows that a panel is made for: their sums stay in the second cache
U = np.uintp  # of an unsigned index the compiler knows that it does not count from the end, and makes vector code


def linear(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None = None, y: np.ndarray | None = None) -> np.ndarray:
    """y = x Wᵀ + b, of x (M, K), W (N, K) and b (N,), all C-contiguous."""
    (M, K), N = x.shape, len(weight)
    offset = np.zeros(N, x.dtype) if bias is None else bias
    y = np.empty((M, N), x.dtype) if y is None else y
    if M < FEW:
        columns = np.empty((N, M), x.dtype)
        over_rows(_dot, (weight, offset, columns), x, cost=0.1 * M * K)
        y[:] = columns.T
        return y
    blocks = -(-M // MOST)
    rows = -(-M // (blocks * ROWS)) * ROWS
    wide = VECTORS * VECTOR // x.itemsize
    jobs = np.arange(-(-M // rows) * -(-N // wide))
    over_rows(_linear, (jobs,), x, weight, offset, y, rows, cost=wide * K * (0.1 + 0.01 * min(M, rows)))
    return y


@kernel
def _dot(weight: Any, bias: Any, columns: Any, x: Any) -> None:
    """Of so few rows that a panel would not pay: yᵀ, for which each row of W is read once."""
    for n in range(len(weight)):
        for row in range(len(x)):
            total = bias[n]
            for k in range(x.shape[1]):
                total += x[row, k] * weight[n, k]
            columns[n, row] = total


@kernel
def _linear(jobs: Any, x: Any, weight: Any, bias: Any, y: Any, rows: int) -> None:
    """y, so many rows of a panel a job; the panels of the first rows come first."""
    panel, sums = new_panel(x), new_sums(x[:rows])
    w, panels = any_rows(weight), -(-len(weight) // panel.shape[1])
    for job in jobs:
        top, first = job // panels * rows, job % panels * panel.shape[1]
        some, columns = x[top : top + rows], min(panel.shape[1], len(weight) - first)
        multiply(sums, some, w, first, columns, True, panel)
        for row in range(U(len(some))):
            for c in range(U(columns)):
                y[U(top) + row, U(first) + c] = sums[row, c] + bias[U(first) + c]


@kernel
def products(x: Any, w: Any, y: Any) -> None:
    """y = x w, of stacks of matrices (n, M, K), (n, K, N) and (n, M, N)."""
    N = w.shape[2]
    panel, sums = new_panel(x[0]), new_sums(x[0])
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
    return array[:, 0 : array.shape[1]]


@inline
def new_panel(x):  # type: ignore[no-untyped-def]
    """Memory for a panel."""
    return any_rows(np.empty((DEPTH, VECTORS * VECTOR // x.itemsize), x.dtype))


@inline
def new_sums(x):  # type: ignore[no-untyped-def]
    """Memory for what a panel gives."""
    return np.empty((len(x), VECTORS * VECTOR // x.itemsize), x.dtype)


@inline
def multiply(sums, x, w, first, N, turned, panel):  # type: ignore[no-untyped-def]
    """sums = x w for N columns, no more than a panel has: of w those from `first` on, or, where w lies in memory `turned`, its
    rows. x is (M, K); w and the panel are of `any_rows`. What is in other columns of the sums is not said."""
    (M, K), wide = x.shape, panel.shape[1]
    narrow = wide > N  # then the panel has zeros where there are no columns
    sums[:M] = 0
    for k in range(0, K, DEPTH):
        depth = min(DEPTH, K - k)
        if turned:
            _make_panel(w, first, N, k, depth, panel)
        elif narrow:
            for i in range(U(depth)):
                for c in range(U(N)):
                    panel[i, c] = w[U(k) + i, U(first) + c]
                for c in range(U(N), U(wide)):
                    panel[i, c] = 0
        matrix, at, along = (panel, 0, 0) if turned or narrow else (w, k, first)
        if wide // VECTORS < N:
            _by_tiles(_many_rows, _few_rows, _one_row, sums, 0, M, x, k, depth, matrix, at, along)
        else:
            _by_tiles(_many_short_rows, _few_short_rows, _one_short_row, sums, 0, M, x, k, depth, matrix, at, along)


@inline
def add_turned(y, x, w):  # type: ignore[no-untyped-def]
    """y += xᵀ w, of y (M, N), x (K, ·) and w (K, N), where N is a number of whole vectors. M may be more than x has columns:
    what rows of y have then is made of numbers that follow in memory, and means nothing."""
    for column in range(0, y.shape[1], VECTOR // x.itemsize):
        _by_tiles(_many_turned, _few_turned, _one_turned, y, column, len(y), x, 0, len(x), w, 0, column)


@inline
def _by_tiles(many, few, one, y, column, M, x, k, depth, matrix, at, along):  # type: ignore[no-untyped-def]
    by_many = M // ROWS * ROWS
    by_few = by_many + (M - by_many) // FEW * FEW
    for row in range(0, by_many, ROWS):
        many(y, row, column, x, k, depth, matrix, at, along)
    for row in range(by_many, by_few, FEW):
        few(y, row, column, x, k, depth, matrix, at, along)
    for row in range(by_few, M):
        one(y, row, column, x, k, depth, matrix, at, along)


@inline
def _make_panel(w, first, N, k, depth, panel):  # type: ignore[no-untyped-def]
    """panel[:depth] = w[first : first + N, k : k + depth]ᵀ, with zeros for columns that there are not."""
    wide = panel.shape[1]
    lanes = wide // VECTORS
    for c in range(0, wide, lanes):
        done = depth // lanes * lanes if c + lanes <= N else 0
        for i in range(0, done, lanes):
            _turn(w, first + c, k + i, panel, i, c)
        for i in range(done, depth):
            for lane in range(c, c + lanes):
                panel[i, lane] = w[first + lane, k + i] if lane < N else 0


class _Rows:
    """What code for a two-dimensional array needs, from a row and a column of it on."""

    def __init__(self, context: Any, builder: Any, type_: Any, value: Any, row: Any, column: Any) -> None:
        array = context.make_array(type_)(context, builder, value)
        self.builder, self.size = builder, type_.dtype.bitwidth // 8
        self.apart = builder.sdiv(builder.extract_value(array.strides, 0), row.type(self.size))
        self.start = builder.gep(array.data, [builder.add(builder.mul(row, self.apart), column)])
        self.vector = ir.VectorType(context.get_data_type(type_.dtype), VECTOR // self.size)

    def row(self, row: int) -> Any:
        """Where a row begins."""
        return self.builder.gep(self.start, [self.builder.mul(self.apart, self.apart.type(row))])

    def vector_at(self, start: Any, number: int = 0) -> Any:
        """Where one of the vectors is that begin there."""
        place = self.builder.gep(start, [self.apart.type(number * self.vector.count)])
        return self.builder.bitcast(place, self.vector.as_pointer())

    def load(self, place: Any) -> Any:
        return self.builder.load(place, align=self.size)

    def store(self, vector: Any, place: Any) -> None:
        self.builder.store(vector, place, align=self.size)


def _tile(rows: int, vectors: int, turned: bool = False) -> Any:
    @intrinsic
    def tile(typing: Any, y: Any, row: Any, column: Any, x: Any, k: Any, depth: Any, w: Any, at: Any, along: Any) -> Any:
        """y += x w for so many rows, a depth, and so many vectors of columns. y begins at `row` and `column`, x at `row` and
        `k`, and w at `at` and `along`. Where x lies in memory `turned`, `k` is its row."""

        def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            of_y, row, column, of_x, k, depth, of_w, at, along = values
            y = _Rows(context, builder, signature.args[0], of_y, row, column)
            x = _Rows(context, builder, signature.args[3], of_x, *((k, row) if turned else (row, k)))
            w = _Rows(context, builder, signature.args[6], of_w, at, along)
            row_of_x = [builder.gep(x.start, [x.apart.type(row)]) if turned else x.row(row) for row in range(rows)]
            tile = [y.vector_at(y.row(row), v) for row in range(rows) for v in range(vectors)]
            # Variables, of which LLVM makes registers.
            sums = [cgutils.alloca_once_value(builder, y.load(place)) for place in tile]
            with cgutils.for_range(builder, depth) as loop:
                here = builder.gep(w.start, [builder.mul(loop.index, w.apart)])
                along_x = builder.mul(loop.index, x.apart) if turned else loop.index
                row_of_w = [w.load(w.vector_at(here, v)) for v in range(vectors)]
                for row in range(rows):
                    number = _in_all_lanes(builder, x.vector, builder.load(builder.gep(row_of_x[row], [along_x])))
                    for v in range(vectors):
                        product = builder.fmul(number, row_of_w[v], flags=("contract",))  # added in the same instruction
                        sum_ = sums[row * vectors + v]
                        builder.store(builder.fadd(builder.load(sum_), product, flags=("contract",)), sum_)
            for place, sum_ in zip(tile, sums, strict=True):
                y.store(builder.load(sum_), place)
            return context.get_dummy_value()

        return types.void(y, *[types.intp] * 2, x, *[types.intp] * 2, w, *[types.intp] * 2), code

    return tile


_many_rows, _few_rows, _one_row = (_tile(rows, VECTORS) for rows in (ROWS, FEW, 1))
_many_short_rows, _few_short_rows, _one_short_row = (_tile(rows, 1) for rows in (ROWS, FEW, 1))
_many_turned, _few_turned, _one_turned = (_tile(rows, 1, turned=True) for rows in (ROWS, FEW, 1))


@intrinsic
def _turn(typing: Any, w: Any, first: Any, k: Any, panel: Any, row: Any, column: Any) -> Any:
    """A square of the panel, at `row` and `column`, becomes that of w at `first` and `k`, turned. It has as many rows as a
    vector has lanes.

    With all rows in registers: of each two that are `step` apart, with step 1, 2, 4, …, the squares of so many lanes beside the
    diagonal are exchanged.
    """

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        w = _Rows(context, builder, signature.args[0], *values[:3])
        panel = _Rows(context, builder, signature.args[3], *values[3:])
        lanes = w.vector.count
        rows = [w.load(w.vector_at(w.row(row))) for row in range(lanes)]
        step = 1
        while step < lanes:
            # Lane by lane: which one of the first row, or, counted on from its end, of the second.
            upper = _indices(lanes + lane - step if lane & step else lane for lane in range(lanes))
            lower = _indices(lanes + lane if lane & step else lane + step for lane in range(lanes))
            for row in range(lanes):
                if not row & step:
                    both = rows[row], rows[row + step]
                    rows[row], rows[row + step] = (builder.shuffle_vector(*both, lanes_of) for lanes_of in (upper, lower))
            step *= 2
        for number, row in enumerate(rows):
            panel.store(row, panel.vector_at(panel.row(number)))
        return context.get_dummy_value()

    return types.void(w, types.intp, types.intp, panel, types.intp, types.intp), code


def _in_all_lanes(builder: Any, vector: Any, number: Any) -> Any:
    undefined = ir.Constant(vector, ir.Undefined)
    return builder.shuffle_vector(
        builder.insert_element(undefined, number, ir.IntType(32)(0)), undefined, _indices([0] * vector.count)
    )


def _indices(lanes: Any) -> Any:
    numbers = list(lanes)
    return ir.Constant(ir.VectorType(ir.IntType(32), len(numbers)), numbers)
