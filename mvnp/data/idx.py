"""IDX, the file format of MNIST and its descendants, gzipped or plain.

    bytes 0–1    zero
    byte 2       type of an entry: 08 uint8, 09 int8, 0B int16, 0C int32, 0D float32, 0E float64
    byte 3       number of dimensions
    then         the size of each dimension, an unsigned 32-bit integer
    then         the entries, last dimension fastest

All numbers are big-endian. The header is only a claim: 20 bytes can promise terabytes, and 5 kB of gzip can unfold to
5 MB. So the reader compares what is declared with what the file can hold before it takes any memory, and never unfolds
more than was declared.

LeCun, Cortes, Burges: The MNIST database of handwritten digits, section "The IDX file format".
"""

from __future__ import annotations

import gzip
import math
import os
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ..atomic import write_bytes
from ..errors import DataError, InputError, refusing
from .regular import open_regular

TYPE_OF_CODE = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
MAX_BYTES = 2**31  # what `read_idx` takes without being told otherwise; the whole of MNIST is 47 MB
MAX_DIMENSIONS = 8

_GZIP_MAGIC = b"\x1f\x8b"
_GZIP_RATIO = 1032  # deflate writes at most 258 bytes for two bits (RFC 1951)
_CHUNK = 2**20
_AGAIN = "copy or download the file again"


@refusing
def read_idx(
    path: str | os.PathLike[str], *, dtype: Any = None, ndim: int | None = None, max_bytes: int = MAX_BYTES
) -> np.ndarray:
    """The array in an IDX file, in native byte order. Whether it is gzipped is seen from its content, not its name.

    dtype, ndim    what the file must hold, where the caller knows; anything else is refused
    max_bytes      the largest array to make room for

    Raises DataError that names the file for one that is missing, not IDX, damaged, truncated, too long or too large.
    """
    path = Path(path)
    try:
        with open_regular(path) as raw:
            stored = os.fstat(raw.fileno()).st_size
            zipped = raw.read(2) == _GZIP_MAGIC
            raw.seek(0)
            stream: Any = gzip.GzipFile(fileobj=raw) if zipped else raw
            kind, shape = _read_header(path, stream)
            _check_expected(path, kind, shape, dtype, ndim)
            _check_declared(path, kind, shape, stored, zipped, max_bytes)
            return _read_entries(path, stream, kind, shape)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; expected an IDX file here") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: the gzip data is damaged or cut off ({error}); {_AGAIN}") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error


@refusing
def write_idx(path: str | os.PathLike[str], array: np.ndarray) -> None:
    """Write an array as an IDX file, gzipped where the name ends in .gz; whole or not at all.

    The same array gives the same bytes: no time and no name goes into the gzip header. Raises InputError for a dtype
    that IDX does not know, or a shape that its header cannot hold.
    """
    path = Path(path)
    code = next((code for code, kind in TYPE_OF_CODE.items() if np.dtype(kind) == array.dtype.newbyteorder(">")), None)
    if code is None:
        known = ", ".join(np.dtype(kind).name for kind in TYPE_OF_CODE.values())
        raise InputError(f"write_idx: an IDX file cannot hold {array.dtype}, only {known}; convert it first with astype")
    if not 1 <= array.ndim <= MAX_DIMENSIONS or max(array.shape) >= 2**32:
        raise InputError(f"write_idx: shape {array.shape}, expected 1 to {MAX_DIMENSIONS} dimensions, each below 2**32")
    header = bytes([0, 0, code, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    content = header + array.astype(TYPE_OF_CODE[code]).tobytes()
    write_bytes(path, gzip.compress(content, compresslevel=9, mtime=0) if path.suffix == ".gz" else content)


def _read_header(path: Path, stream: BinaryIO) -> tuple[np.dtype, tuple[int, ...]]:
    magic = stream.read(4)
    if len(magic) < 4:
        raise DataError(f"{path}: holds {len(magic)} bytes, expected an IDX file, which begins with four; {_AGAIN}")
    if magic[:2] != b"\0\0" or magic[2] not in TYPE_OF_CODE or not 1 <= magic[3] <= MAX_DIMENSIONS:
        raise DataError(
            f"{path}: not an IDX file: begins with {magic.hex(' ')}, expected 00 00, a type (08 for uint8) and a number of"
            " dimensions (03 for images, 01 for labels)"
        )
    sizes = stream.read(4 * magic[3])
    if len(sizes) < 4 * magic[3]:
        raise DataError(f"{path}: ends inside its header, before the sizes of its {magic[3]} dimensions; {_AGAIN}")
    return np.dtype(TYPE_OF_CODE[magic[2]]), tuple(int(size) for size in np.frombuffer(sizes, ">u4"))


def _check_expected(path: Path, kind: np.dtype, shape: tuple[int, ...], dtype: Any, ndim: int | None) -> None:
    if (dtype is not None and np.dtype(dtype).newbyteorder(">") != kind) or (ndim is not None and ndim != len(shape)):
        wanted = "" if dtype is None else f"{np.dtype(dtype).name} "
        wanted += "" if ndim is None else f"of {ndim} dimension{'s' if ndim > 1 else ''}"
        raise DataError(f"{path}: holds {kind.name} of shape {shape}, expected {wanted.strip()}; were two files swapped?")


def _check_declared(path: Path, kind: np.dtype, shape: tuple[int, ...], stored: int, zipped: bool, max_bytes: int) -> None:
    header, declared = 4 + 4 * len(shape), math.prod(shape) * kind.itemsize  # Python integers: no overflow
    claim = f"{path}: its header declares {kind.name} of shape {shape}, {declared:,} bytes"
    if declared > max_bytes:
        raise DataError(f"{claim}, expected at most {max_bytes:,}; if the file is sound, pass max_bytes to read_idx")
    if zipped and header + declared > stored * _GZIP_RATIO:
        raise DataError(f"{claim}, more than {stored:,} bytes of gzip can hold; {_AGAIN}")
    if not zipped and header + declared != stored:
        trouble = "is truncated" if header + declared > stored else "has trailing bytes"
        raise DataError(f"{claim}, but {stored - header:,} follow the header: the file {trouble}; {_AGAIN}")


def _read_entries(path: Path, stream: Any, kind: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    content = np.empty(math.prod(shape) * kind.itemsize, np.uint8)
    into = content.data  # its memory, to be written through
    filled = 0
    while filled < content.size:
        count = stream.readinto(into[filled : filled + _CHUNK])
        if not count:
            raise DataError(f"{path}: truncated: {filled:,} of the {content.size:,} bytes that its header declares; {_AGAIN}")
        filled += count
    if stream.read(1):  # for gzip this also reads the checksum at the end
        raise DataError(f"{path}: has trailing bytes after the {content.size:,} that its header declares; {_AGAIN}")
    return content.view(kind).reshape(shape).astype(kind.newbyteorder("="), copy=False)
