"""Which arguments a state dict tells of: a reader for each family of networks, in a file of its own."""

from collections.abc import Collection

from . import mambavision, vim, vmamba
from .reader import Reader, Shape, shapes_of

READERS: dict[str, Reader] = {reader.family: reader for reader in (mambavision.READER, vim.READER, vmamba.READER)}


def reader_of(keys: Collection[str]) -> Reader | None:
    """That of the family that knows these keys of a state dict as its own."""
    return next((reader for reader in READERS.values() if reader.belongs(keys)), None)


__all__ = ["READERS", "Reader", "Shape", "reader_of", "shapes_of"]
