"""Pictures of any number of bands and any depth, as they are stored: TIFF by way of tifffile, NumPy's .npy and .npz.

    .npy, .npz    an array (H, W) or (H, W, C); an .npz file has one array, or one that is called "image"
    TIFF          samples of a pixel, side by side or plane by plane; or pages of one band each, where as many bands are asked
                  for, or there are more than three
    given         (H, W, C), of the stored dtype

Headers are only claims: what they declare is compared with a limit, and with what a file of its size can hold, before any of
it is unpacked. Nothing is unpickled.
"""

from __future__ import annotations

import contextlib
import json
import logging
import lzma
import math
import os
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import TiffImagePlugin

from ..errors import MissingPackageError
from .image_file import check_size, other_bands

ARRAY_ENDINGS = (".npy", ".npz")
IMAGE_ENTRY = "image"  # in an .npz file of several arrays

NPY_MAGIC, ZIP_MAGIC = b"\x93NUMPY", b"PK\x03\x04"
TIFF_MAGICS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

# Of TIFF 6.0, and the supplements of Adobe: what the samples of a pixel mean, and how they are packed.
_SAMPLES, _BITS, _PHOTOMETRIC, _EXTRA, _DESCRIPTION = 277, 258, 262, 338, 270
_COLOURS = {0: 1, 1: 1, 2: 3, 3: 1, 5: 4, 6: 3, 8: 3}  # samples that the photometric interpretation accounts for
_PACKINGS = {1: "none", 5: "LZW", 8: "deflate", 32946: "deflate", 32773: "PackBits", 34925: "LZMA"}
_MOST_SAMPLES = 4096
_KINDS = "buif"

_BLOW_UP = 2**26  # bytes that packed data may unfold to without being looked at first


@dataclass(frozen=True)
class TiffLayout:
    """What a TIFF says of its first page.

    photograph    grey or colour, with or without opacity, as Pillow reads them
    noted         it notes that its pages are one array of three axes, as tifffile does
    """

    samples: int
    bits: int
    photograph: bool
    noted: bool


def tiff_layout(file: BinaryIO) -> TiffLayout:
    """Read from the tags alone. Raises whatever damaged tags make Pillow run into."""
    file.seek(0)
    header = file.read(8)
    if header[2:3] == b"+" or header[3:4] == b"+":
        header += file.read(8)
    tags = TiffImagePlugin.ImageFileDirectory_v2(header)
    file.seek(tags.next)
    tags.load(file)
    file.seek(0)
    samples, photometric = int(tags.get(_SAMPLES, 1)), int(tags.get(_PHOTOMETRIC, 1))
    bits = max((int(each) for each in _several(tags.get(_BITS, 1))), default=1)
    extra = [int(each) for each in _several(tags.get(_EXTRA, ()))]
    more = samples - _COLOURS.get(photometric, samples)
    opacity = more == 1 and (extra[:1] in ([1], [2], [999]) or (not extra and photometric == 2))
    noted = len(_noted_shape(str(tags.get(_DESCRIPTION, "")))) == 3
    return TiffLayout(samples, bits, samples <= 4 and (more == 0 or opacity), noted)


def read_tiff(path: Path, file: BinaryIO, channels: int | None, max_bytes: int) -> np.ndarray:
    """(H, W, C) of a TIFF, of its stored dtype. `channels`: how many bands are asked for; None: those that there are."""
    try:
        import tifffile
    except ImportError as error:
        raise MissingPackageError(
            f"{path}: TIFF files of such bands or depth are read by way of tifffile: pip install 'mvnp[tiff]'; or save the"
            " bands as a .npy file, (H, W, C)"
        ) from error
    file.seek(0)
    with _silent(), tifffile.TiffFile(file, name=path.name) as tiff:
        page = tiff.pages.first
        height, width = int(page.imagelength), int(page.imagewidth)
        samples, dtype = int(page.samplesperpixel), page.dtype
        if dtype is None or dtype.kind not in _KINDS or int(page.imagedepth) != 1:
            raise ValueError(f"its pixels are {dtype or 'of a kind that is not known'}, expected whole or floating numbers")
        if not 1 <= samples <= _MOST_SAMPLES or min(height, width) < 1:
            raise ValueError(f"it is {width}x{height} pixels of {samples} bands")
        check_size(path, width, height, samples * dtype.itemsize, max_bytes)
        if samples > 1:
            return _samples(page, path, file, max_bytes)
        pages = [page, *_further_pages(tiff, page, channels)]
        check_size(path, width, height, len(pages) * dtype.itemsize, max_bytes)
        planes = np.stack([_samples(each, path, file, max_bytes)[..., 0] for each in pages])
        return _in_described_order(planes, page, channels)


def _samples(page: Any, path: Path, file: BinaryIO, max_bytes: int) -> np.ndarray:
    """(H, W, C) of one page."""
    packing = int(page.compression)
    if packing not in _PACKINGS:
        raise ValueError(f"its packing, number {packing}, is none of {', '.join(dict.fromkeys(_PACKINGS.values()))}")
    _check_segments(page, file, packing, max_bytes)
    try:
        pixels = page.asarray()
    except Exception as error:
        if "imagecodecs" in str(error):
            raise MissingPackageError(
                f"{path}: is packed by {_PACKINGS[packing]}, for which tifffile needs a package more: pip install imagecodecs;"
                " or save it without, or packed by deflate"
            ) from error
        raise
    shape = (int(page.imagelength), int(page.imagewidth), int(page.samplesperpixel))
    pixels = pixels.reshape(shape[2], *shape[:2]).transpose(1, 2, 0) if int(page.planarconfig) == 2 else pixels.reshape(shape)
    return pixels.astype(pixels.dtype.newbyteorder("="), copy=False)


def _further_pages(tiff: Any, first: Any, channels: int | None) -> list[Any]:
    """The pages after the first, where they are bands: as large, of the same depth, and as many as are asked for."""
    most = _MOST_SAMPLES
    pages = []
    for number in range(1, most + 1):
        try:
            page = tiff.pages[number]
        except IndexError:
            break
        if (page.imagelength, page.imagewidth, page.samplesperpixel, page.dtype) != (
            first.imagelength,
            first.imagewidth,
            first.samplesperpixel,
            first.dtype,
        ):
            return []
        pages.append(page)
    count = 1 + len(pages)
    described = _described_shape(first, count)
    bands = count if described is None else min(described[0], described[2])
    if (channels is None and bands > 3) or (channels is not None and channels in (count, *(described or ())[::2])):
        return pages
    if count > 3 and channels is not None:
        raise other_bands(bands, channels)
    return []  # an animation, a document


def _in_described_order(planes: np.ndarray, page: Any, channels: int | None) -> np.ndarray:
    """(H, W, C) of (pages, H, W). tifffile cuts an array into pages whatever its axes are, and notes their lengths."""
    described = _described_shape(page, len(planes))
    if described is None or described == planes.shape:
        last = False if described is None else _bands_last(described, channels)
    else:
        last, planes = _bands_last(described, channels), planes.reshape(described)
    return planes if last else planes.transpose(1, 2, 0)


def _bands_last(shape: tuple[int, int, int], channels: int | None) -> bool:
    first_fits, last_fits = shape[0] == channels, shape[2] == channels
    return last_fits if first_fits != last_fits else shape[2] < shape[0]


def _described_shape(page: Any, pages: int) -> tuple[int, int, int] | None:
    """What tifffile noted of the array that it wrote, where that had three axes."""
    shape = _noted_shape(page.description)
    if len(shape) != 3 or math.prod(shape) != pages * page.imagelength * page.imagewidth:
        return None
    return shape[0], shape[1], shape[2]


def _noted_shape(description: str) -> tuple[int, ...]:
    """The lengths of an array's axes as a description has them; (): it has none."""
    try:
        shape = json.loads(description[:10_000])["shape"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return ()
    whole = isinstance(shape, list) and all(type(side) is int and 0 < side < 2**31 for side in shape)
    return tuple(shape) if whole else ()


def _check_segments(page: Any, file: BinaryIO, packing: int, max_bytes: int) -> None:
    """Raise ValueError for strips and tiles that do not lie within the file, or unfold to more than they are to hold."""
    end = os.fstat(file.fileno()).st_size
    places = list(zip(page.dataoffsets, page.databytecounts, strict=False))
    tile = math.prod(int(side) for side in (page.tilelength, page.tilewidth)) if page.is_tiled else 0
    rows = min(int(page.rowsperstrip or page.imagelength), int(page.imagelength))
    within = (tile or rows * int(page.imagewidth)) * int(page.samplesperpixel) * page.dtype.itemsize
    if within > max_bytes:
        raise ValueError(f"one of its strips or tiles declares {within:,} bytes, more than the limit of {max_bytes:,}")
    if len(places) < math.prod(page.chunked):
        raise ValueError(f"it has {len(places)} strips or tiles of {math.prod(page.chunked)}; it is damaged or cut off")
    if len(places) > 2**20 or any(offset < 0 or count < 0 or offset + count > end for offset, count in places):
        raise ValueError("its pixels are to lie beyond the end of the file; it is damaged or cut off")
    for offset, count in places:
        if packing in (8, 32946) and count * 1032 > _BLOW_UP:
            _check_unfolded(zlib.decompressobj(), file, offset, count, within)
        elif packing == 34925:
            _check_unfolded(lzma.LZMADecompressor(memlimit=2**27), file, offset, count, within)


def _check_unfolded(decompressor: Any, file: BinaryIO, offset: int, count: int, within: int) -> None:
    """Unfold in pieces, and keep none of them."""
    file.seek(offset)
    data, unfolded = file.read(count), 0
    while True:
        piece = decompressor.decompress(data, 2**20)
        data = getattr(decompressor, "unconsumed_tail", b"")  # zlib gives back what it has not looked at; lzma keeps it
        unfolded += len(piece)
        if unfolded > within + 2**20:
            raise ValueError(f"its packed pixels unfold to more than the {within:,} bytes that they are to be")
        if decompressor.eof or not (piece or data):
            return


def read_numpy(path: Path, file: BinaryIO, max_bytes: int) -> np.ndarray:
    """(H, W, C) of a .npy or an .npz file, of its stored dtype."""
    file.seek(0)
    magic = file.read(6)
    file.seek(0)
    if magic == NPY_MAGIC:
        return _entries(path, file, os.fstat(file.fileno()).st_size, max_bytes)
    with zipfile.ZipFile(file) as archive:
        found = [info for info in archive.infolist() if info.filename.endswith(".npy")]
        named = [info for info in found if info.filename == f"{IMAGE_ENTRY}.npy"] if len(found) > 1 else found
        if len(named) != 1:
            names = ", ".join(info.filename.removesuffix(".npy") for info in found[:5]) or "none"
            raise ValueError(f"it has the arrays {names}, expected one, or one that is called {IMAGE_ENTRY!r}")
        with open_entry(archive, named[0]) as entry:
            return _entries(path, entry, named[0].file_size, max_bytes)


def open_entry(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Any:
    """An array's bytes in an .npz file. Raises ValueError for packings that unfold without bound, and for what is locked."""
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or info.flag_bits & 1:
        raise ValueError(f"{info.filename} is locked or packed in another way than numpy.savez does it")
    return archive.open(info)


def read_header(stream: Any, what: str) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, order and dtype of an array. Raises ValueError for objects, which only unpickling would bring to life."""
    version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0), (3, 0)):
        raise ValueError(f"it is of version {version} of NumPy's format, expected 1 to 3")
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(stream, max_header_size=4096)
    if dtype.kind not in _KINDS or dtype.subdtype is not None:
        raise ValueError(f"{what} holds {dtype}, expected whole or floating numbers")
    return shape, fortran, dtype


def read_entries(stream: Any, shape: tuple[int, ...], fortran: bool, dtype: np.dtype, stored: int) -> np.ndarray:
    """The array after its header; `stored`: bytes that the stream has in all."""
    needed = math.prod(shape) * dtype.itemsize
    if needed > stored:
        raise ValueError(
            f"it declares {dtype} of shape {shape}, {needed:,} bytes, and has {stored:,}; it is cut off or damaged"
        )
    content = np.empty(needed, np.uint8)
    filled = 0
    while filled < needed:
        piece = stream.read(min(2**20, needed - filled))
        if not piece:
            raise ValueError(f"it ends after {filled:,} of {needed:,} bytes")
        content[filled : filled + len(piece)] = np.frombuffer(piece, np.uint8)
        filled += len(piece)
    array = content.view(dtype).reshape(shape[::-1]).T if fortran else content.view(dtype).reshape(shape)
    return array.astype(dtype.newbyteorder("="), copy=False)


def _entries(path: Path, stream: Any, stored: int, max_bytes: int) -> np.ndarray:
    shape, fortran, dtype = read_header(stream, "it")
    if len(shape) not in (2, 3) or 0 in shape:
        raise ValueError(f"it holds an array of shape {shape}, expected (H, W) or (H, W, C)")
    height, width, bands = (*shape, 1)[:3]
    if bands > _MOST_SAMPLES:
        raise ValueError(f"it has {bands} bands, expected at most {_MOST_SAMPLES}; is it (C, H, W)? expected (H, W, C)")
    check_size(path, width, height, bands * dtype.itemsize, max_bytes)
    return read_entries(stream, shape, fortran, dtype, stored).reshape(height, width, bands)


def _several(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, tuple | list) else (value,)


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """tifffile tells its logger of every oddity; what hinders it raises."""
    logger = logging.getLogger("tifffile")
    was, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = was
