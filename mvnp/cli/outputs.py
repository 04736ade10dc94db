"""What a command may write over: what it has written itself before, and nothing that it reads, nor a file of another kind."""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

from ..errors import InputError

Test = Callable[[Path, bytes], bool]


def _begins(*beginnings: bytes) -> Test:
    return lambda path, begin: begin.startswith(beginnings)


def _is_weights(path: Path, begin: bytes) -> bool:
    from ..checkpoint.content import INDEX, NPZ, kind_of
    from ..errors import CheckpointError

    try:
        kind = kind_of(path)
    except CheckpointError:
        return False
    return kind not in (None, INDEX) and (kind != NPZ or _has_keys_of_layers(path))


def _has_keys_of_layers(path: Path) -> bool:
    """Whether an .npz has arrays of layers, as `head.weight`; images, labels or features have no such names."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any("." in name.removesuffix(".npy") for name in archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return False


def _is_features(path: Path, begin: bytes) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return "files.npy" in archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return False


# What each kind of file is called, and what it is known by.
KINDS: dict[str, tuple[str, Test]] = {
    "report": ("a report of mvnp validate", lambda path, begin: re.match(rb'\{\s*"mvnp"', begin) is not None),
    "pictures": ("a table of mvnp validate", _begins(b"file,folder,class,predicted,")),
    "confusion": ("a confusion matrix", lambda path, begin: re.match(rb",[^\r\n]*,\(no folder\)\r?\n", begin) is not None),
    "features": ("a file of mvnp features", _is_features),
    "weights": ("a file of weights", _is_weights),
    "model": ("an ONNX file", _begins(b"\x08")),  # of protobuf, the version that comes first
    "page": ("a page of mvnp", lambda path, begin: b'<meta name="generator" content="mvnp">' in begin),
    ".png": ("a .png file", _begins(b"\x89PNG\r\n\x1a\n")),
    ".gif": ("a .gif file", _begins(b"GIF8")),
}


def check_output(option: str, out: Path, inputs: Iterable[str | os.PathLike[str] | None], kind: str) -> None:
    """Raise InputError where `out` is one of the files that the command reads, or a file of another kind, one of KINDS."""
    try:
        status, folder = os.stat(out), out.is_dir()
    except (FileNotFoundError, NotADirectoryError):
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
    called, is_of_kind = KINDS[kind]
    if begin and not is_of_kind(out, begin):
        raise InputError(f"{option} {out} is there already, and is not {called}; choose another name, or move it away")


def check_apart(outputs: dict[str, Path | None]) -> None:
    """Raise InputError where two options {option: file} name the same file."""
    seen: dict[str, str] = {}
    for option, out in outputs.items():
        if out is not None and (first := seen.setdefault(os.path.realpath(out), option)) != option:
            raise InputError(f"{first} and {option} are both {out}; give each a file of its own")


def _is_same(path: str | os.PathLike[str], status: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.stat(os.path.expanduser(path)), status)
    except (OSError, ValueError):  # a name on the hub
        return False
