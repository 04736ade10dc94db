"""State dicts: whether arrays with keys fit a layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

MOST_LISTED = 200  # of a released model with another one's weights there may be a thousand


def mismatches(expected: Mapping[str, Any], arrays: Mapping[str, Any], strict: bool = True) -> list[str]:
    """A line for each entry of `arrays` whose shape or dtype does not fit and, if `strict`, that is missing or unexpected."""
    problems = []
    if strict:
        problems += [f"missing: {key} {array.shape}" for key, array in expected.items() if key not in arrays]
        problems += [f"unexpected: {_shown(key)} {np.shape(arrays[key])}" for key in arrays if key not in expected]
    for key, array in expected.items():
        if key in arrays:
            problems += _misfits(key, arrays[key], array.shape)
    return problems


def listed(problems: list[str]) -> str:
    """The lines of `mismatches`, below each other; of very many the first."""
    more = [f"and {len(problems) - MOST_LISTED} more"] if len(problems) > MOST_LISTED else []
    return "\n  ".join([*problems[:MOST_LISTED], *more])


def _shown(key: Any) -> str:
    """A key from outside: short, and with no control characters."""
    text = str(key)
    return repr(text if len(text) <= 80 else f"{text[:77]}…")[1:-1]


def _misfits(key: str, value: Any, shape: tuple[int, ...]) -> list[str]:
    try:
        # A torch tensor's dtype has no kind: it is looked at as the array that it will be copied to.
        value = value if hasattr(getattr(value, "dtype", None), "kind") else np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        return [f"mistyped: {key} is a {type(value).__name__} that makes no array ({error})"]
    if tuple(value.shape) != shape:
        return [f"misshapen: {key} has shape {tuple(value.shape)}, expected {shape}"]
    return [] if value.dtype.kind in "fiu" else [f"mistyped: {key} has dtype {value.dtype}, expected real numbers"]
