"""Tiles of a product in machine code: a block of y stays in registers while k runs (product.py says why).

A compiler that is given loops decides by itself what stays in registers. Here each number of a tile is a variable of LLVM's,
and each vector has the processor's full width.
"""

from __future__ import annotations

from typing import Any

from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .jit import WIDEST

VECTORS = 2  # of a tile's row


def bytes_of_vector(features: Any, widest: bool) -> int:
    if features.get("avx512f") and widest:
        return 64
    return 32 if features.get("avx") else 16


def vector_registers(features: Any) -> int:
    return 16 if features.get("sse2") and not features.get("avx512f") else 32


def rows_of_tile(registers: int) -> tuple[int, int]:
    """Of a tile of VECTORS vectors an even number of rows, which need all registers but those for w and a number of x; and of
    one of three vectors."""
    return (registers - VECTORS - 1) // VECTORS // 2 * 2, registers // 4


FEATURES = binding.get_host_cpu_features()
VECTOR = bytes_of_vector(FEATURES, WIDEST)
ROWS, TALL = rows_of_tile(vector_registers(FEATURES))
FEW = ROWS // 2


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


many_rows, few_rows, one_row = (_tile(rows, VECTORS) for rows in (ROWS, FEW, 1))
many_short_rows, few_short_rows, one_short_row = (_tile(rows, 1) for rows in (ROWS, FEW, 1))
tall_three, tall_two, tall_single = (_tile(TALL, vectors) for vectors in (3, 2, 1))
flat_three, flat_two, flat_single = (_tile(1, vectors) for vectors in (3, 2, 1))
many_turned, few_turned, one_turned = (_tile(rows, 1, turned=True) for rows in (ROWS, FEW, 1))


@intrinsic
def turn(typing: Any, w: Any, first: Any, k: Any, panel: Any, row: Any, column: Any) -> Any:
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
    first = builder.insert_element(undefined, number, ir.IntType(32)(0))
    return builder.shuffle_vector(first, undefined, _indices([0] * vector.count))


def _indices(lanes: Any) -> Any:
    numbers = list(lanes)
    return ir.Constant(ir.VectorType(ir.IntType(32), len(numbers)), numbers)
