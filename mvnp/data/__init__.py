"""Data sets, the IDX format, and batches for training and evaluation."""

from .dataset import Dataset
from .folder import ImageFiles, read_image
from .idx import read_idx, write_idx
from .image_file import open_image
from .images import ImageTransform, image_files
from .loader import BatchLoader
from .picture import read_picture
from .sources import DataParts, load_dataset, load_parts
from .transforms import prepare, resize

__all__ = [
    "BatchLoader",
    "DataParts",
    "Dataset",
    "ImageFiles",
    "ImageTransform",
    "image_files",
    "load_dataset",
    "load_parts",
    "open_image",
    "prepare",
    "read_idx",
    "read_image",
    "read_picture",
    "resize",
    "write_idx",
]
