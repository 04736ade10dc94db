"""What every layer shares: parameters, the tape of a pass, state dicts, first values."""

from .function import Function
from .initializer import Initializer
from .layer import Layer
from .param import Buffer, Param
from .state import mismatches
from .sums import sum_rows
from .tape import Tape, TapeError

__all__ = ["Buffer", "Function", "Initializer", "Layer", "Param", "Tape", "TapeError", "mismatches", "sum_rows"]
