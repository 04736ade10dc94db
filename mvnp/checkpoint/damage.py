"""What is said of a damaged file."""

from __future__ import annotations

import struct
import zipfile
import zlib

AGAIN = "copy or download the file again"

# What zipfile raises for a damaged file, the last three for entries that seem to begin before the file, to be encrypted, to
# be compressed by unknown means, to have names that are no text.
DAMAGED_ZIP = (
    *(zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, struct.error, EOFError, OSError),
    *(RuntimeError, NotImplementedError, ValueError),
)


def brief(error: Exception) -> str:
    """A library's message, which may quote half of the file, as a part of ours."""
    text = str(error) or type(error).__name__
    return text if len(text) <= 200 else f"{text[:200]}…"
