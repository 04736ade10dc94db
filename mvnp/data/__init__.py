"""Data sets, the IDX format, and batches for training and evaluation."""

from .dataset import Dataset
from .folder import ImageFiles, read_image
from .idx import read_idx, write_idx
from .loader import BatchLoader
from .sources import load_dataset
from .transforms import prepare, resize

__all__ = [
    "BatchLoader",
    "Dataset",
    "ImageFiles",
    "load_dataset",
    "prepare",
    "read_idx",
    "read_image",
    "resize",
    "write_idx",
]
