"""What came, as a message shows it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


def printable(text: Any) -> str:
    """Text from outside (names of files and classes, metadata) on one line, and as it can do no harm: control characters,
    line ends, signs that turn the direction of writing and what is no Unicode are shown as escapes."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in str(text))


def shown(value: Any, most: int = 80) -> str:
    """`repr` for a message: on one line, of a length that can be read, and of a number of any size."""
    try:
        text = printable(repr(value))
    except ValueError:  # Python refuses to write a number of more than 4,300 digits
        text = f"an integer of {value.bit_length()} bits"
    return text if len(text) <= most else f"{text[: most - 20]} … {text[-10:]} ({len(text)} characters)"


def described(value: Any) -> str:
    """What came, for a message: arrays by dtype and shape, also in a tuple, other values by `shown` and their type."""
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return f"an array of {value.dtype} and shape {tuple(value.shape)}"
    if isinstance(value, tuple) and any(hasattr(item, "shape") for item in value):
        return f"a tuple of {len(value)}: {', '.join(map(described, value))}"
    return shown(value) if value is None or isinstance(value, bool) else f"{shown(value)} ({type(value).__name__})"


def nearest(value: Any, choices: Iterable[str]) -> str:
    """` (did you mean 'x'?)`, or nothing where no choice comes near."""
    by_lower = {choice.lower(): choice for choice in choices}
    text = value.lower() if isinstance(value, str) else ""
    matches = difflib.get_close_matches(text, by_lower, n=1) if len(text) < 100 else []
    return f" (did you mean {by_lower[matches[0]]!r}?)" if matches else ""
