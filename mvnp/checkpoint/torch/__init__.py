"""The file formats of PyTorch, read and written without it.

read.py             weights from a file of either format
archive.py          today's format, a zip
legacy.py           that before version 1.6
inert_pickle.py     a pickle read as data: nothing that it names is run
state_pickle.py     what stands in these pickles: tensors that refer to storages
write.py            a state dict in today's format
"""

from .read import read_torch
from .write import write_torch

__all__ = ["read_torch", "write_torch"]
