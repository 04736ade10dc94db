"""Which arguments a state dict tells of: a reader for each family of networks, in a file of its own."""

from . import mambavision, vim, vmamba
from .reader import Reader, Shape, shapes_of

READERS: dict[str, Reader] = {reader.family: reader for reader in (mambavision.READER, vim.READER, vmamba.READER)}

__all__ = ["READERS", "Reader", "Shape", "shapes_of"]
