"""PNG of 16 bits with colour or opacity: all bits of it, where Pillow keeps the upper 8 of each sample.

Pillow has no mode for such pixels. It unpacks them by a raw mode, which says which of a pixel's bytes are kept, and undoes
PNG's filters whatever that is, as long as it names as many bytes. So the file is unpacked twice: by Pillow's own choice, for
the upper bytes, and by another one, for the lower. (PNG stores numbers with the upper byte first: PNG 1.2, section 2.1.)
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from .image_file import check_size, opened, upright

# Samples of a pixel, by colour type (PNG 1.2, 4.1.1), and the raw modes of its upper and its lower bytes; of grey with opacity
# one that keeps all four.
_COLOUR_TYPES: dict[int, tuple[int, tuple[str, ...]]] = {
    2: (3, ("RGB;16B", "RGB;16L")),
    4: (2, ("RGBA",)),
    6: (4, ("RGBA;16B", "RGBA;16L")),
}


def is_deep_png(file: BinaryIO) -> bool:
    """Whether this is a PNG of 16 bits with colour or opacity."""
    file.seek(0)
    header = file.read(26)
    file.seek(0)
    return header.startswith(b"\x89PNG") and header[24:25] == b"\x10" and header[25] in _COLOUR_TYPES


def read_deep_png(path: Path, file: BinaryIO, channels: int | None, max_bytes: int) -> np.ndarray:
    """uint16 (H, W, C). Opacity is a channel where it is asked for, and left off where all is opaque.

    Raises ValueError where other channels are asked for and some of it is transparent: what is behind has no value.
    """
    file.seek(25)
    samples, raw_modes = _COLOUR_TYPES[file.read(1)[0]]
    unpacked = [_unpacked(path, file, samples, raw, max_bytes) for raw in raw_modes]
    if len(unpacked) == 1:
        pixels = np.ascontiguousarray(unpacked[0]).view(">u2").astype(np.uint16)
    else:
        pixels = unpacked[0].astype(np.uint16) << 8 | unpacked[1]
    if samples == 3 or channels == samples or (channels is None and samples == 4):
        return pixels
    colour, opacity = pixels[..., :-1], pixels[..., -1]
    clear = int((opacity < 65535).sum())
    if clear:
        raise ValueError(
            f"{clear} of its {opacity.size} pixels are transparent, and a range is of brightness alone; lay it over a"
            " background, or save it without transparency"
        )
    return colour


def _unpacked(path: Path, file: BinaryIO, samples: int, raw_mode: str, max_bytes: int) -> np.ndarray:
    file.seek(0)
    image: Any = opened(path, file, max_bytes)
    width, height = image.size
    check_size(path, width, height, 4 * samples, max_bytes)  # what it gives, and both of the above
    codec, extents, offset, _ = image.tile[0]
    image.tile = [(codec, extents, offset, raw_mode)]
    return np.asarray(upright(image))
