"""The keys under which arrays can be written: in every format alike, so that what is written in one can be written in all."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..errors import InputError
from .states import shown
from .zip_entries import LEADS_OUT

LONGEST = 1000  # characters; an entry of a zip can have 65,535 bytes
RESERVED = ("__metadata__",)  # where safetensors, and we in .npz, put what is no array


def check_keys(owner: str, keys: Iterable[Any]) -> None:
    """Raise InputError, naming the key, unless all can be written."""
    for key in keys:
        problem = _problem(key)
        if problem:
            raise InputError(
                f"{owner}: the key '{shown(str(key))}' {problem}; rename it. In every format keys are text of 1 to {LONGEST}"
                " printable characters that is no path"
            )


def _problem(key: Any) -> str | None:
    if not isinstance(key, str):
        return f"is a {type(key).__name__}"
    if not 0 < len(key) <= LONGEST:
        return f"has {len(key)} characters" if key else "is empty"
    if any("\ud800" <= letter <= "\udfff" for letter in key):
        return "has half of a surrogate pair, which is no character"
    if not key.isprintable():
        return "has a character that cannot be printed"
    if "\\" in key:
        return "has a backslash, which some systems take for a part of a path"
    if LEADS_OUT.search(key):
        return "is a path that leads out of the file"
    return "is one that the formats keep for themselves" if key in RESERVED else None
