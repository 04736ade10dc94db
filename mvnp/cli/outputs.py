"""What a command may write over: what it has written itself before, and nothing that it reads, nor a file of another kind."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from ..errors import InputError

# How the files of each kind begin. A table has no beginning of its own; it is text.
_REPORT = re.compile(rb'\{\s*"mvnp"')
_BEGINNINGS = {".png": b"\x89PNG\r\n\x1a\n", ".npz": b"PK\x03\x04", ".gif": b"GIF8"}


def check_output(option: str, out: Path, inputs: Iterable[str | os.PathLike[str] | None], report: bool = False) -> None:
    """Raise InputError where `out` is one of the files that the command reads, or a file of another kind than its name says.

    report    it is to be one of our reports in JSON, whatever its name
    """
    try:
        status, folder = os.stat(out), out.is_dir()
    except FileNotFoundError:
        return
    if folder:
        raise InputError(f"{option} is to be a file, and {out} is a folder")
    for each in inputs:
        if each is not None and _is_same(each, status):
            raise InputError(f"{option} {out} is what the command reads, and would be written over; choose another name for it")
    if not out.is_file():
        raise InputError(f"{option} {out} is no plain file; choose another name")
    with open(out, "rb") as file:
        begin = file.read(4096)
    if begin and not _is_of_its_kind(begin, out.suffix.lower(), report):
        kind = "a report of mvnp validate" if report else f"a {out.suffix.lower()} file"
        raise InputError(f"{option} {out} is there already, and is not {kind}; choose another name, or move it away")


def _is_same(path: str | os.PathLike[str], status: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.stat(os.path.expanduser(path)), status)
    except (OSError, ValueError):  # a name on the hub
        return False


def _is_of_its_kind(begin: bytes, ending: str, report: bool) -> bool:
    if report:
        return _REPORT.match(begin) is not None
    if ending in _BEGINNINGS:
        return begin.startswith(_BEGINNINGS[ending])
    return ending != ".csv" or b"\0" not in begin
