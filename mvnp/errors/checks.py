"""The checks that raise most errors: of arrays, numbers, choices and names. Each message names the argument and its owner."""

from __future__ import annotations

import math
import numbers
import os
from collections.abc import Iterable
from types import EllipsisType
from typing import Any

import numpy as np

from .kinds import InputError
from .texts import nearest, shown

DTYPES = ("float32", "float64")
MOST_SIDE = 2**16  # of images, kernels and paddings, in pixels
Pattern = tuple[int | str | EllipsisType, ...] | str


def check_array(owner: str, name: str, x: Any, pattern: Pattern, like: Any = None) -> None:
    """Raise InputError unless `x` is a floating array whose shape fits `pattern`, of the dtype of `like` where that is given.

    A pattern holds sizes (integers), free axes (a letter from docs/notation.md) and, in front, `...` for any number
    of leading axes: `("B", "L", 8)` or `(..., 8)`. Letters alone can be written as a word, "BLC". `owner` and `name` say in the
    message whose argument it is.
    """
    if not hasattr(x, "shape") or not hasattr(getattr(x, "dtype", None), "kind"):  # a torch tensor has a dtype, but no kind
        raise InputError(f"{owner}: {name} is a {type(x).__name__}, expected an array {render(pattern)}")
    if x.dtype.kind != "f":
        raise InputError(
            f"{owner}: {name} has dtype {x.dtype}, expected a floating one (float32 or float64);"
            f" convert it first, for example {name}.astype('float32')"
        )
    if like is not None and x.dtype != like.dtype:
        raise InputError(
            f"{owner}: {name} has dtype {x.dtype}, expected {like.dtype}, that of the forward; convert it first, with"
            f" {name}.astype('{like.dtype}')"
        )
    tail = pattern[1:] if pattern[:1] == (...,) else pattern
    rank_fits = len(x.shape) >= len(tail) if len(tail) < len(pattern) else len(x.shape) == len(tail)
    sizes = x.shape[len(x.shape) - len(tail) :]
    if not rank_fits or any(isinstance(want, int) and want != size for want, size in zip(tail, sizes, strict=True)):
        raise InputError(f"{owner}: {name} has shape {tuple(x.shape)}, expected {render(pattern)}")
    if 0 in x.shape:
        raise InputError(f"{owner}: {name} is empty, shape {tuple(x.shape)}; expected {render(pattern)} with no axis of size 0")


def check_arrays(owner: str, absent: str = "any", **arrays: tuple[Any, Pattern]) -> None:
    """`check_array` for each name=(array, pattern), and one dtype for all. An array that is None is absent, and passed over,
    where `absent` names it; "any": each may be.

    A letter stands for the size that it has first: `check_arrays("Layer", x=(x, "bld"), A=(A, "dn"), B=(B, "bln"))` compares
    every b, l, d and n.
    """
    sizes: dict[Any, int] = {}
    by_dtype: dict[str, list[str]] = {}
    for name, (x, pattern) in arrays.items():
        if x is not None or absent not in ("any", name):
            check_array(owner, name, x, tuple(sizes.get(axis, axis) for axis in pattern))
            for axis, size in zip(reversed(pattern), reversed(x.shape), strict=False):  # `...`, in front, may be any number
                if axis is not ...:
                    sizes.setdefault(axis, size)
            by_dtype.setdefault(str(x.dtype), []).append(name)
    if len(by_dtype) > 1:
        mixed = ", ".join(f"{' and '.join(names)} of {dtype}" for dtype, names in by_dtype.items())
        raise InputError(f"{owner}: dtypes are mixed, {mixed}; convert them to one, for example with .astype('float32')")


def render(pattern: Pattern) -> str:
    """A shape pattern as a reader writes it: `(..., 8)`."""
    parts = ["..." if part is ... else str(part) for part in pattern]
    return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"


def check_mask(owner: str, mask: Any, shape: tuple[int, ...]) -> None:
    """Raise InputError unless `mask` is booleans of `shape`, or None."""
    if mask is not None and (mask.dtype != bool or mask.shape != shape):
        raise InputError(f"{owner}: mask is {mask.dtype} of shape {mask.shape}, expected bool of {shape}")


def check_fits_mask(owner: str, name: str, x: Any, mask: Any) -> None:
    """Raise InputError unless `x` has the dtype and, but for axes of size 1, the shape of the floating `mask`."""
    check_array(owner, "mask", mask, (...,))
    check_array(owner, name, x, tuple("any" if size == 1 else size for size in mask.shape), mask)


def check_target(owner: str, target: Any, shape: tuple[int, ...]) -> None:
    """Raise InputError unless `target` is integer labels (B,) in 0..C−1 or floating distributions (B, C), like the logits.

    The range of labels is seen on the host only: looking at labels on a GPU would make the program wait for it.
    """
    if not hasattr(target, "dtype"):
        raise InputError(f"{owner}: target is a {type(target).__name__}, expected an array of labels or distributions")
    came = tuple(target.shape)
    if target.dtype.kind == "f":
        if came != shape:
            raise InputError(f"{owner}: target has shape {came}, expected that of the logits, {shape}; labels are integers")
    elif target.dtype.kind not in "iu":
        raise InputError(f"{owner}: target has dtype {target.dtype}, expected integer labels or floating distributions")
    elif came != shape[:1]:
        raise InputError(f"{owner}: labels have shape {came}, expected {shape[:1]} for logits {shape}")
    elif isinstance(target, np.ndarray) and (target.min() < 0 or target.max() >= shape[1]):
        raise InputError(
            f"{owner}: labels run from {target.min()} to {target.max()}, expected 0..{shape[1] - 1} for {shape[1]} classes"
        )


def check_scalar(owner: str, name: str, value: Any) -> None:
    """Raise InputError unless `value` is one real number: a Python float, or an array without axes."""
    dtype = getattr(value, "dtype", None)
    number = isinstance(value, numbers.Real) or (dtype is not None and dtype.kind in "fiu")
    shape = tuple(getattr(value, "shape", ()))
    if shape or not number:
        came = f"has shape {shape}" if shape else f"is {value!r}"
        raise InputError(f"{owner}: {name} {came}, expected one real number, a float or an array without axes")


def check_choice(what: str, value: Any, choices: Iterable[str]) -> None:
    """Raise InputError that lists the choices, and the nearest one, unless `value` is among them."""
    choices = list(choices)
    if not isinstance(value, str) or value not in choices:
        raise InputError(f"unknown {what} {shown(value)}{nearest(value, choices)}; choose one of {', '.join(choices)}")


def check_rate(owner: str, name: str, rate: float) -> None:
    """Raise InputError unless `rate` is a probability below one."""
    if not isinstance(rate, numbers.Real) or not 0.0 <= rate < 1.0:
        raise InputError(f"{owner}: {name} is {shown(rate)}, expected a probability in [0, 1)")


def check_positive(owner: str, **settings: float) -> None:
    """Raise InputError unless each setting is a finite number above 0."""
    for name, value in settings.items():
        if not is_number(value) or not value > 0.0:
            raise InputError(f"{owner}: {name} is {shown(value)}, expected a number above 0")


def check_flags(owner: str, **flags: bool) -> None:
    """Raise InputError unless each is True or False: of what else there is, a "no" too counts as true."""
    for name, value in flags.items():
        if not isinstance(value, bool | np.bool_):
            raise InputError(f"{owner}: {name} is {shown(value)}, expected True or False")


def check_path(owner: str, value: Any, expected: str = "the name of a file") -> None:
    """Raise InputError unless `value` can name a file or folder."""
    if not isinstance(value, str | os.PathLike):
        raise InputError(f"{owner}: {shown(value)} was given, a {type(value).__name__}; expected {expected}")


def is_number(value: Any) -> bool:
    """Whether it is a finite real number, and one that a float holds."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def are_numbers(values: Any, count: int | None = None) -> bool:
    """Whether it is a sequence (or an array of one axis) of finite numbers, `count` of them."""
    if isinstance(values, str | bytes) or not hasattr(values, "__len__") or isinstance(values, dict):
        return False
    return (count is None or len(values) == count) and all(map(is_number, values))


def as_pair(owner: str, name: str, value: Any, least: int) -> tuple[int, int]:
    """(vertical, horizontal) of one integer or a pair. Raises InputError unless both are integers from `least` to MOST_SIDE."""
    pair = tuple(value) if isinstance(value, list | tuple) else (value, value)
    if len(pair) != 2 or not all(isinstance(v, int) and least <= v <= MOST_SIDE for v in pair):
        raise InputError(
            f"{owner}: {name} is {shown(value)}, expected an integer from {least} to {MOST_SIDE}, or a pair of them"
        )
    return pair[0], pair[1]


def check_dtype(owner: str, dtype: Any) -> np.dtype:
    """The dtype that parameters may have, or an InputError."""
    try:
        known = "" if dtype is None else str(np.dtype(dtype))  # for NumPy, None is float64
    except (TypeError, ValueError, SyntaxError):  # "(2,3", {"a": 1}
        known = ""
    if known not in DTYPES:
        raise InputError(f"{owner}: dtype is {dtype!r}, expected one of {', '.join(DTYPES)}")
    return np.dtype(dtype)


def seeded(owner: str, seed: Any) -> np.random.Generator:
    """A generator of this seed. Raises InputError where none can be one."""
    try:
        return np.random.default_rng(seed)
    except (TypeError, ValueError) as error:
        raise InputError(f"{owner}: seed is {shown(seed)}, expected an integer of at least 0, or several") from error
