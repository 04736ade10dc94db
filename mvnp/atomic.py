"""Files that are written whole or not at all.

The bytes go to a temporary file beside the target, are brought to the disk, and then take the target's name in one step
(POSIX rename, the same on Windows by `os.replace`). Whoever is killed, at whatever moment, leaves the old file or the
new one, and at worst a temporary file beside it, which nothing reads.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from .errors import InputError, MvnpError, refusing

MARK = ".mvnp-tmp"


@refusing
def write_bytes(path: str | os.PathLike[str], data: bytes, lasting: bool = True) -> None:
    """Write `data` to `path`, or leave what is there as it was. Not `lasting`: nor is it waited until the disk has it, which
    takes longer than all else; after a power cut the file may then be damaged.

    Raises OSError that names the file: the folder is missing, not writable, or the disk is full.
    """
    write_with(path, lambda file: file.write(data), lasting)


@refusing
def write_with(path: str | os.PathLike[str], write: Callable[[BinaryIO], Any], lasting: bool = True) -> None:
    """Like `write_bytes`, of what `write` puts into the open file that it is given. What it raises goes on to the caller."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}{MARK}")
    try:
        # Not tempfile: its files are private to their owner, and the name would carry that to the target.
        with open(temporary, "xb") as file:
            write(file)
            file.flush()
            if lasting:
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise OSError(error.errno, f"{error.strerror}; {_what_remains(path)}", str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)
    if lasting:
        sync_folder(path.parent)


@refusing
def make_folder(path: Path, refuse: type[MvnpError] = InputError) -> None:
    """Make a folder where it is missing. Raises `refuse`, before any work is done, where nothing can be written to it."""
    try:
        missing = [folder for folder in (path, *path.parents) if not folder.exists()]
        path.mkdir(parents=True, exist_ok=True)
        _made.update(folder.absolute() for folder in missing)
        with tempfile.TemporaryFile(dir=path):
            pass
    except FileExistsError as error:
        raise refuse(f"the output folder {path} is a file; choose another folder") from error
    except OSError as error:
        raise refuse(f"the output folder {path} cannot be written to ({error.strerror}); choose another folder") from error


_made: set[Path] = set()  # by `make_folder`


@refusing
def drop_empty_folders(path: Path | None = None) -> None:
    """Remove the folders that `make_folder` made, `path` and those above it or all, as far as nothing has come into them: for
    work that has failed."""
    for folder in sorted(_made, key=lambda each: len(each.parts), reverse=True):
        if path is None or path.absolute().is_relative_to(folder):
            _made.discard(folder)
            with contextlib.suppress(OSError):  # it is not empty
                folder.rmdir()


@refusing
def sync_folder(folder: Path) -> None:
    """Bring a folder's entries to the disk, so that a new name outlasts a power cut. Windows has no such call."""
    if hasattr(os, "O_DIRECTORY"):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@refusing
def remove_stale(path: str | os.PathLike[str]) -> None:
    """Remove the temporary files that killed writes of `path` left beside it."""
    path = Path(path)
    for stale in path.parent.glob(f".{path.name}.*{MARK}"):
        stale.unlink(missing_ok=True)


def _what_remains(path: Path) -> str:
    return "the file that was there before is untouched" if path.exists() else "nothing was written"
