"""Copies of LANES numbers in one go, which is one vector register of float32 where the processor has the widest.

A loop that copies so few numbers the compiler does not turn into vector code by itself: the two arrays might overlap.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

LANES = np.uintp(16)


@intrinsic
def copy_lanes(context: Any, target: Any, to: Any, source: Any, at: Any) -> Any:
    """target[to : to + LANES] = source[at : at + LANES], of two arrays of one axis that do not overlap there."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        written, to, read, at = arguments
        vector = ir.VectorType(context.get_data_type(signature.args[0].dtype), int(LANES)).as_pointer()

        def place(number: int, array: Any, index: Any) -> Any:
            data = context.make_array(signature.args[number])(context, builder, array).data
            return builder.bitcast(cgutils.gep_inbounds(builder, data, index), vector)

        bytes_apart = signature.args[0].dtype.bitwidth // 8
        builder.store(builder.load(place(2, read, at), align=bytes_apart), place(0, written, to), align=bytes_apart)
        return context.get_dummy_value()

    return types.void(target, to, source, at), code
