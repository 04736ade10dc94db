"""y = x Wᵀ + b, as a loop: what a matrix library does, for matrices of few rows, which they are not made for.

A processor core multiplies and adds two vectors of 16 numbers in every cycle, but can load only two. Three nested loops over the
definition load two numbers for each product, so memory decides what they take. Hence

    tiles       A block of y, ROWS by some vectors, is kept in registers while k runs. For each k that takes its ROWS numbers of x
                and as many vectors of W, and gives ROWS times as many products: loads are few.
    panels      Wᵀ is read by vectors along its columns, which in memory are K numbers apart. So as many columns as a tile has are
                first written one beside the other, for DEPTH values of k: a panel, which stays in the core's first cache
                while all rows of x meet it. Square by square: vectors are loaded along k, turned in registers, and stored.

For each number of W a panel costs a tenth of what 49 rows of x do with it, and less where they are more. It is made at every
call, and lives no longer: nothing has to be kept in step with the weights, nor twice in memory. Cores share the panels.

Goto, van de Geijn: Anatomy of high-performance matrix multiplication, ACM TOMS 34 (2008).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .jit import inline, kernel
from .rows import over_rows

FEATURES = binding.get_host_cpu_features()
VECTOR = 64 if FEATURES.get("avx512f") else 32 if FEATURES.get("avx") else 16  # bytes
REGISTERS = 16 if FEATURES.get("sse2") and not FEATURES.get("avx512f") else 32
VECTORS = 2  # side by side in a tile
ROWS = (REGISTERS - VECTORS - 1) // VECTORS // 2 * 2  # of a tile: all registers but those for W and x
FEW = ROWS // 2  # of the tile for what is left

# Kernels index with unsigned integers: of those the compiler knows that they do not count from the end.
U = np.uintp
DEPTH = U(256)
BLOCK = U(ROWS * 20)  # rows whose sums are in memory at once
RATE = 100.0  # products in a nanosecond


def product(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None = None) -> np.ndarray:
    """x Wᵀ + b, of x (M, K) and weight (N, K), C-contiguous."""
    (M, K), N = x.shape, len(weight)
    y = np.empty((M, N), x.dtype)
    wide = VECTOR // x.itemsize * VECTORS
    offset = np.zeros(N, x.dtype) if bias is None else bias
    over_rows(_panels, (np.arange(0, N, wide),), x, weight, offset, y, cost=wide * M * K / RATE)
    return y


@kernel
def _panels(columns, x, weight, bias, y):  # type: ignore[no-untyped-def]
    """Of y the panels that begin at `columns`."""
    M, K, N = U(x.shape[0]), U(x.shape[1]), U(weight.shape[0])
    lanes = U(VECTOR // x.itemsize)
    wide = lanes * U(VECTORS)
    panel = np.empty(DEPTH * wide, x.dtype)
    whole = M - M % U(FEW)
    block = min(BLOCK, whole + U(FEW))
    sums = np.empty(block * wide, x.dtype)
    x, weight, last = x.reshape(-1), weight.reshape(-1), np.zeros(U(FEW) * K if whole < M else U(0), x.dtype)
    for i in range(whole * K, M * K):
        last[i - whole * K] = x[i]
    for column in columns:
        first, width = U(column), min(wide, N - U(column))
        for top in range(U(0), M, BLOCK):
            rows = min(BLOCK, M - top)
            sums[:] = 0
            for k in range(U(0), K, DEPTH):
                depth = min(DEPTH, K - k)
                _make_panel(weight, K, first, width, k, depth, panel, lanes, wide)
                r = U(0)
                while r + U(ROWS) <= rows:
                    _many_rows(x, (top + r) * K + k, K, panel, depth, sums, r * wide)
                    r += U(ROWS)
                while r + U(FEW) <= rows:
                    _few_rows(x, (top + r) * K + k, K, panel, depth, sums, r * wide)
                    r += U(FEW)
                if r < rows:
                    _few_rows(last, k, K, panel, depth, sums, r * wide)
            for r in range(rows):
                for c in range(width):
                    y[top + r, first + c] = sums[r * wide + c] + bias[first + c]


@inline
def _make_panel(weight, K, first, width, k, depth, panel, lanes, wide):  # type: ignore[no-untyped-def]
    """panel (depth, wide) = W[first : first + wide, k : k + depth]ᵀ, with zeros for columns that there are not."""
    for c in range(U(0), wide, lanes):
        i = U(0)
        if c + lanes <= width:
            while i + lanes <= depth:
                _turn(weight, (first + c) * K + k + i, K, panel, i * wide + c)
                i += lanes
        for j in range(i, depth):
            for lane in range(c, c + lanes):
                panel[j * wide + lane] = weight[(first + lane) * K + k + j] if lane < width else 0


def _data(context: Any, builder: Any, type_: Any, array: Any, offset: Any) -> Any:
    """The address of a number of an array."""
    return builder.gep(context.make_array(type_)(context, builder, array).data, [offset])


def _vector(context: Any, dtype: Any) -> Any:
    """LLVM's type of a vector of numbers, and how a vector is aligned in memory: as a number is."""
    return ir.VectorType(context.get_data_type(dtype), VECTOR * 8 // dtype.bitwidth), dtype.bitwidth // 8


def _indices(numbers: Any) -> Any:
    return ir.Constant(ir.VectorType(ir.IntType(32), len(numbers)), list(numbers))


def _tile(rows: int) -> Any:
    @intrinsic
    def tile(typing: Any, x: Any, x_at: Any, K: Any, panel: Any, depth: Any, sums: Any, sums_at: Any) -> Any:
        """sums (rows, wide) += x (rows, depth) panel (depth, wide); in x, rows are K apart."""

        def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            x, x_at, K, panel, depth, sums, sums_at = values
            vector, align = _vector(context, signature.args[0].dtype)
            lanes, word = vector.count, depth.type
            x = _data(context, builder, signature.args[0], x, x_at)
            panel = _data(context, builder, signature.args[3], panel, word(0))
            sums = _data(context, builder, signature.args[5], sums, sums_at)
            nothing, first = ir.Constant(vector, ir.Undefined), _indices([0] * lanes)

            def place(start: Any, offset: Any) -> Any:
                return builder.bitcast(builder.gep(start, [offset]), vector.as_pointer())

            row_of_x = [builder.gep(x, [builder.mul(K, word(row))]) for row in range(rows)]
            tile = [place(sums, word(number * lanes)) for number in range(rows * VECTORS)]
            # Variables, of which LLVM makes registers.
            total = [cgutils.alloca_once_value(builder, builder.load(of_tile, align=align)) for of_tile in tile]
            with cgutils.for_range(builder, depth) as loop:
                k = loop.index
                start = builder.mul(k, word(VECTORS * lanes))
                w = [builder.load(place(panel, builder.add(start, word(v * lanes))), align=align) for v in range(VECTORS)]
                for row in range(rows):
                    number = builder.load(builder.gep(row_of_x[row], [k]))
                    # In all lanes.
                    number = builder.shuffle_vector(builder.insert_element(nothing, number, ir.IntType(32)(0)), nothing, first)
                    for v in range(VECTORS):
                        product = builder.fmul(number, w[v], flags=("contract",))  # and added in one instruction
                        sum_ = total[row * VECTORS + v]
                        builder.store(builder.fadd(builder.load(sum_), product, flags=("contract",)), sum_)
            for of_tile, sum_ in zip(tile, total, strict=True):
                builder.store(builder.load(sum_), of_tile, align=align)
            return context.get_dummy_value()

        return types.void(x, x_at, K, panel, depth, sums, sums_at), code

    return tile


_many_rows, _few_rows = _tile(ROWS), _tile(FEW)


@intrinsic
def _turn(typing: Any, weight: Any, at: Any, K: Any, panel: Any, to: Any) -> Any:
    """A square of as many rows and columns as a vector has lanes: panel = weightᵀ; in weight, rows are K apart.

    The rows are in registers. Of each two that are a step apart the squares beside the diagonal are swapped, of 1, 2, 4, … lanes.
    """

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        weight, at, K, panel, to = values
        vector, align = _vector(context, signature.args[0].dtype)
        lanes, word = vector.count, to.type
        weight = _data(context, builder, signature.args[0], weight, at)
        panel = _data(context, builder, signature.args[3], panel, to)

        def place(start: Any, offset: Any) -> Any:
            return builder.bitcast(builder.gep(start, [offset]), vector.as_pointer())

        rows = [builder.load(place(weight, builder.mul(K, word(row))), align=align) for row in range(lanes)]
        step = 1
        while step < lanes:
            # Lane by lane: from the first of two rows, or, counted on from its end, from the second.
            low = [lane if not lane & step else lanes + lane - step for lane in range(lanes)]
            high = [lane + step if not lane & step else lanes + lane for lane in range(lanes)]
            for row in range(lanes):
                if not row & step:
                    a, b = rows[row], rows[row + step]
                    rows[row] = builder.shuffle_vector(a, b, _indices(low))
                    rows[row + step] = builder.shuffle_vector(a, b, _indices(high))
            step *= 2
        for number, row in enumerate(rows):
            builder.store(row, place(panel, word(number * VECTORS * lanes)), align=align)
        return context.get_dummy_value()

    return types.void(weight, at, K, panel, to), code
