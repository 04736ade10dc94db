"""Files of weights: read from any of the usual formats, written whole or not at all."""

from .arrays import load_arrays, save_arrays
from .load import load_checkpoint, strip_wrappers

__all__ = ["load_arrays", "load_checkpoint", "save_arrays", "strip_wrappers"]
