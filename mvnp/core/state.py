"""State dicts: whether arrays with keys fit a layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np


def mismatches(expected: Mapping[str, Any], arrays: Mapping[str, Any], strict: bool = True) -> list[str]:
    """A line for each entry of `arrays` whose shape or dtype does not fit and, if `strict`, that is missing or unexpected."""
    problems = []
    if strict:
        problems += [f"missing: {key} {array.shape}" for key, array in expected.items() if key not in arrays]
        problems += [f"unexpected: {key} {np.shape(arrays[key])}" for key in arrays if key not in expected]
    for key, array in expected.items():
        if key in arrays:
            problems += _misfits(key, arrays[key], array.shape)
    return problems


def _misfits(key: str, value: Any, shape: tuple[int, ...]) -> list[str]:
    try:
        # A torch tensor's dtype has no kind: it is looked at as the array that it will be copied to.
        value = value if hasattr(getattr(value, "dtype", None), "kind") else np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        return [f"mistyped: {key} is a {type(value).__name__} that makes no array ({error})"]
    if tuple(value.shape) != shape:
        return [f"misshapen: {key} has shape {tuple(value.shape)}, expected {shape}"]
    return [] if value.dtype.kind in "fiu" else [f"mistyped: {key} has dtype {value.dtype}, expected real numbers"]
