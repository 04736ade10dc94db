"""Entries of a zip, read into the arrays that are to hold them, with their checksums compared.

Both NumPy's .npz and what torch.save writes are zips whose entries are stored as they are, or deflated. A stored entry is
read straight from its place in the file. No entry is ever unpacked to the disk, so a name like ../../x can do no harm; it is
refused all the same, since no honest file has one.
"""

from __future__ import annotations

import os
import re
import struct
import zipfile
import zlib
from typing import BinaryIO, Protocol

import numpy as np

from ..errors import CheckpointError
from .damage import AGAIN
from .rawfile import bytes_of, read_into

_LOCAL_HEADER = struct.Struct("<4s22xHH")  # signature; lengths of the name and of what else stands before the data
_ENCRYPTED = 0x1
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_LONGEST_TAIL = 22 + 65_535 + 20 + 56  # bytes: the end of the directory, a comment, and the wider record of large files
LEADS_OUT = re.compile(r"^([/\\]|[A-Za-z]:)|(^|[/\\])\.\.([/\\]|$)|\0")


class Entry(Protocol):
    """An entry that is being read, from its begin to its end."""

    def read(self, count: int) -> bytes: ...

    def fill(self, array: np.ndarray) -> None:
        """Read as many bytes as `array` has, into it."""

    def finish(self) -> None:
        """Raise CheckpointError unless all was read and the checksum is right."""


def entries_of(archive: zipfile.ZipFile, file: BinaryIO) -> dict[str, zipfile.ZipInfo]:
    """The entries by their names. `file` is what the archive was opened from.

    Raises CheckpointError where a name is there twice or leads elsewhere, where the directory has more or fewer entries than it
    says (a comment or a field that is too long swallows those behind it), and for what is compressed by unusual means.
    """
    entries = {entry.filename: entry for entry in archive.infolist()}
    if len(entries) < len(archive.infolist()):
        raise CheckpointError("has two entries of one name")
    if (declared := _declared_count(file)) != len(entries):
        raise CheckpointError(f"is damaged: its directory says {declared} entries, and {len(entries)} are in it; {AGAIN}")
    for name, entry in entries.items():
        if entry.compress_type not in _METHODS:
            raise CheckpointError(
                f"has an entry, {name[:60]!r}, compressed by means {entry.compress_type}, expected it stored or deflated"
            )
        if LEADS_OUT.search(entry.orig_filename):
            raise CheckpointError(
                f"has an entry named {name[:60]!r}, which leads out of the file; no honest program writes one"
            )
        if entry.flag_bits & _ENCRYPTED:
            raise CheckpointError(f"has an encrypted entry, {name[:60]!r}")
    return entries


def open_entry(archive: zipfile.ZipFile, file: BinaryIO, entry: zipfile.ZipInfo) -> Entry:
    """An entry, ready to be read. `file` is what the archive was opened from; entries are read one at a time."""
    return _Stored(file, entry) if entry.compress_type == zipfile.ZIP_STORED else _Deflated(archive, entry)


def _declared_count(file: BinaryIO) -> int:
    """How many entries the end of the directory says that there are."""
    file.seek(0, os.SEEK_END)
    tail_at = max(0, file.tell() - _LONGEST_TAIL)
    file.seek(tail_at)
    tail = file.read()
    end = tail.rfind(b"PK\5\6")
    if end < 0 or len(tail) < end + 22:
        raise CheckpointError(f"is damaged: the end of its directory is missing; {AGAIN}")
    count = int.from_bytes(tail[end + 10 : end + 12], "little")
    wide = tail.rfind(b"PK\6\6", 0, end)
    # Of more than 65,535 entries, or gigabytes, the number stands in a wider record before.
    return int.from_bytes(tail[wide + 32 : wide + 40], "little") if count == 0xFFFF and wide >= 0 else count


class _Stored:
    def __init__(self, file: BinaryIO, entry: zipfile.ZipInfo) -> None:
        if entry.compress_size != entry.file_size:
            raise CheckpointError(f"has two lengths for {entry.filename[:60]!r}; {AGAIN}")
        self.file, self.name, self.left, self.expected = file, entry.filename, entry.file_size, entry.CRC
        self.checksum = 0
        file.seek(entry.header_offset)
        header = file.read(_LOCAL_HEADER.size)
        if len(header) < _LOCAL_HEADER.size or not header.startswith(b"PK\x03\x04"):
            raise CheckpointError(f"is damaged: {self.name[:60]!r} does not begin where it should; {AGAIN}")
        _, name_length, extra_length = _LOCAL_HEADER.unpack(header)
        file.seek(name_length + extra_length, 1)

    def read(self, count: int) -> bytes:
        data = self.file.read(min(count, self.left))
        self._count(data, len(data))
        return data

    def fill(self, array: np.ndarray) -> None:
        if array.nbytes > self.left:
            raise CheckpointError(f"is damaged: {self.name[:60]!r} ends too early; {AGAIN}")
        read_into(self.file, array)
        self._count(bytes_of(array), array.nbytes)

    def _count(self, data: bytes | memoryview, count: int) -> None:
        self.checksum = zlib.crc32(data, self.checksum)
        self.left -= count

    def finish(self) -> None:
        if self.left or self.checksum != self.expected:
            what = f"{self.left} bytes are left over" if self.left else "the checksum differs"
            raise CheckpointError(f"is damaged: {self.name[:60]!r} is not what was written ({what}); {AGAIN}")


class _Deflated:
    def __init__(self, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> None:
        self.stream = archive.open(entry)
        self.name = entry.filename

    def read(self, count: int) -> bytes:
        return self.stream.read(count)

    def fill(self, array: np.ndarray) -> None:
        rest = bytes_of(array)
        while len(rest):
            data = self.stream.read(min(len(rest), 2**20))
            if not data:
                raise CheckpointError(f"is damaged: {self.name[:60]!r} ends too early; {AGAIN}")
            rest[: len(data)] = data
            rest = rest[len(data) :]

    def finish(self) -> None:
        if self.stream.read(1):  # at the end, zipfile compares the checksum
            raise CheckpointError(f"is damaged: {self.name[:60]!r} is longer than its array; {AGAIN}")
        self.stream.close()
