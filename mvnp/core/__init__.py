"""What every layer shares: parameters, the tape of a pass, state dicts, first values."""

from .function import Function
from .initializer import Initializer
from .layer import Layer
from .param import Buffer, Param
from .sizes import Pair, ceil_sqrt, output_size, padded_size
from .state import mismatches
from .sums import sum_rows
from .tape import Tape, TapeError

__all__ = [
    "Buffer",
    "Function",
    "Initializer",
    "Layer",
    "Pair",
    "Param",
    "Tape",
    "TapeError",
    "ceil_sqrt",
    "mismatches",
    "output_size",
    "padded_size",
    "sum_rows",
]
