"""Files of weights: read from any of the usual formats, written whole or not at all."""

from .arrays import load_arrays, save_arrays
from .convert import Converted, convert_checkpoint
from .load import load_checkpoint, strip_wrappers
from .pretrained import Pretrained, load_pretrained, read_pretrained, save_pretrained

__all__ = [
    "Converted",
    "Pretrained",
    "convert_checkpoint",
    "load_arrays",
    "load_checkpoint",
    "load_pretrained",
    "read_pretrained",
    "save_arrays",
    "save_pretrained",
    "strip_wrappers",
]
