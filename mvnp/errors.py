"""The errors that mvnp raises, and the checks that raise most of them.

Every message names what came, what was expected and what to do about it. The command line prints such a message
without a traceback and exits with status 2; in Python each is also the built-in error that one would expect, so
`except ValueError` works without knowing this file.
"""

from __future__ import annotations

import ast
import builtins
import difflib
import functools
import inspect
import math
import numbers
import os
import re
import types
from collections.abc import Callable, Iterable
from signal import Signals
from types import EllipsisType
from typing import Any, TypeVar

import numpy as np

DTYPES = ("float32", "float64")
MOST_SIDE = 2**16  # of images, kernels and paddings, in pixels


class MvnpError(Exception):
    """Anything that mvnp refuses. Catch this one to catch them all."""


class InputError(MvnpError, ValueError):
    """An argument with a wrong shape, type, value or name."""


class BackendError(MvnpError, RuntimeError):
    """The array library that was asked for cannot be used, or two of them were mixed."""


class CheckpointError(MvnpError, ValueError):
    """A file of weights that is damaged, or does not fit the model."""


class DataError(MvnpError, ValueError):
    """A data set that is missing, damaged or empty."""


class DataWarning(UserWarning):
    """Something about pictures that is worth a look, and keeps nothing from going on."""


class MissingPackageError(MvnpError, ImportError):
    """A package that is not required in general, and is needed for what was asked. The message says how to install it."""


class TrainingError(MvnpError, RuntimeError):
    """Training cannot go on: a loss that is not finite, a run folder that does not fit."""


class TrainingInterrupted(TrainingError):
    """Training was asked to stop, and has saved everything. `signal` says by what; a shell expects status 128 + signal."""

    def __init__(self, message: str, signal: Signals) -> None:
        super().__init__(message)
        self.signal = signal


class ExportError(MvnpError, RuntimeError):
    """A model that cannot be exported: a layer has no form there, a value no room, or the result does not agree."""


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


def check_choice(what: str, value: Any, choices: Iterable[str]) -> None:
    """Raise InputError that lists the choices, and the nearest one, unless `value` is among them."""
    choices = list(choices)
    if not isinstance(value, str) or value not in choices:
        raise InputError(f"unknown {what} {shown(value)}{nearest(value, choices)}; choose one of {', '.join(choices)}")


def nearest(value: Any, choices: Iterable[str]) -> str:
    """` (did you mean 'x'?)`, or nothing where no choice comes near."""
    by_lower = {choice.lower(): choice for choice in choices}
    text = value.lower() if isinstance(value, str) else ""
    matches = difflib.get_close_matches(text, by_lower, n=1) if len(text) < 100 else []
    return f" (did you mean {by_lower[matches[0]]!r}?)" if matches else ""


def check_rate(owner: str, name: str, rate: float) -> None:
    """Raise InputError unless `rate` is a probability below one."""
    if not isinstance(rate, numbers.Real) or not 0.0 <= rate < 1.0:
        raise InputError(f"{owner}: {name} is {shown(rate)}, expected a probability in [0, 1)")


def check_positive(owner: str, **settings: float) -> None:
    """Raise InputError unless each setting is a finite number above 0."""
    for name, value in settings.items():
        if not is_number(value) or not value > 0.0:
            raise InputError(f"{owner}: {name} is {shown(value)}, expected a number above 0")


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


# What a call is refused with that Python or NumPy would refuse in their own words

Called = TypeVar("Called", bound=Callable[..., Any])

STUMBLES = (TypeError, AttributeError, ValueError, LookupError, ArithmeticError)
WORDS = {
    "Array": "an array of numbers",
    "Callable": "a function",
    "Classifier": "a model (mvnp.create_model, mvnp.load_pretrained)",
    "Layer": "a model (mvnp.create_model) or a layer",
    "Mapping": "a dict",
    "Pair": "a pair of integers",
    "Path": "a pathlib.Path",
    "bool": "True or False",
    "float": "a finite number",
    "int": "an integer of at most 64 bits",
    "ndarray": "a NumPy array of numbers",
    "str": "text",
    "tuple[int, int]": "a pair of integers",
}
KINDS: dict[str, Callable[[Any], bool]] = {
    "Any": lambda value: True,
    "Array": lambda value: hasattr(value, "shape") and getattr(getattr(value, "dtype", None), "kind", "O") in "fiub",
    "Callable": callable,
    "None": lambda value: value is None,
    "Pair": lambda value: are_numbers(value, 2),
    "Path": lambda value: isinstance(value, os.PathLike),
    "bool": lambda value: isinstance(value, bool | np.bool_),
    "float": is_number,
    "int": lambda value: isinstance(value, int | np.integer) and is_number(value) and abs(int(value)) < 2**63,
    "ndarray": lambda value: isinstance(value, np.ndarray) and value.dtype.kind in "fiub",
}


def refusing(function: Called) -> Called:
    """Decorates a public function: where it stumbles over an argument that is not of the kind that its annotation says, an
    InputError names the argument, what came and what was expected.

    Arguments are looked at only then: a call that goes well costs nothing, and an error of another cause stays what it is.
    """

    @functools.wraps(function)
    def attempt(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except STUMBLES as error:
            refused = refusal(function, args, kwargs, error)
            if refused is None:
                raise
            raise refused from error

    return attempt  # type: ignore[return-value]


def refusal(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], error: Exception) -> InputError | None:
    """What `refusing` raises for `error`; None where it is one of ours already, or where no argument explains it."""
    if isinstance(error, MvnpError) or not isinstance(error, STUMBLES):
        return None
    signature = inspect.signature(function)
    try:
        arguments = signature.bind(*args, **kwargs).arguments
    except TypeError:  # Python says which argument is missing, or one too many
        return None
    cache = list(arguments)[1] if function.__name__.endswith("_backward") and len(arguments) > 1 else ""
    owner = type(args[0]).__name__ if function.__name__ == "__init__" else function.__name__
    for name, value in arguments.items():
        parameter = signature.parameters[name]
        several = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        if several or name == cache or parameter.annotation is parameter.empty:
            continue
        kind = _parsed(parameter.annotation)
        if not _is_of(value, kind, function.__globals__):
            return InputError(f"{owner}: {name} is {described(value)}, expected {_words(kind, function.__globals__)}")
    if cache:
        forward = owner.removesuffix("backward") + "forward"
        return InputError(
            f"{owner}: {cache} is {described(arguments[cache])}, none of {forward}; give what {forward} returned beside y,"
            " as it was"
        )
    return None


def described(value: Any) -> str:
    """What came, for a message: arrays by dtype and shape, also in a tuple, other values by `shown` and their type."""
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return f"an array of {value.dtype} and shape {tuple(value.shape)}"
    if isinstance(value, tuple) and any(hasattr(item, "shape") for item in value):
        return f"a tuple of {len(value)}: {', '.join(map(described, value))}"
    return shown(value) if value is None or isinstance(value, bool) else f"{shown(value)} ({type(value).__name__})"


def _is_of(value: Any, kind: ast.expr, names: dict[str, Any]) -> bool:
    """Whether a value is of the kind that an annotation says. True where that cannot be told."""
    if isinstance(kind, ast.BinOp):
        return _is_of(value, kind.left, names) or _is_of(value, kind.right, names)
    if isinstance(kind, ast.Constant):
        return value is None or kind.value is not None
    outer, inner = (kind.value, kind.slice) if isinstance(kind, ast.Subscript) else (kind, None)
    name = ast.unparse(outer).rpartition(".")[2]
    if name in KINDS:
        return KINDS[name](value)
    known: Any = names.get(name, getattr(builtins, name, None))
    if known is None:  # imported for its annotation alone
        return any(base.__name__ == name for base in type(value).__mro__)
    if isinstance(known, types.UnionType | types.GenericAlias):  # another name of it
        return _is_of(value, _parsed(known), names)
    if not isinstance(known, type) or getattr(known, "_is_protocol", False):
        return True
    if not isinstance(value, known) or (isinstance(value, str | bytes) and known not in (str, bytes)):
        return False
    if inner is None or not isinstance(value, list | tuple | dict):
        return True
    items = inner.elts if isinstance(inner, ast.Tuple) else [inner]
    if known is tuple and ast.unparse(items[-1]) != "...":
        return len(value) == len(items) and all(_is_of(item, of, names) for item, of in zip(value, items, strict=True))
    in_dict = isinstance(value, dict) and len(items) > 1
    return all(
        _is_of(item, items[in_dict], names) for item in (value.values() if isinstance(value, dict) and in_dict else value)
    )


def _parsed(annotation: Any) -> ast.expr:
    return ast.parse(annotation if isinstance(annotation, str) else inspect.formatannotation(annotation), mode="eval").body


def _words(kind: ast.expr, names: dict[str, Any]) -> str:
    """An annotation as a reader of a message is told it."""
    if isinstance(kind, ast.BinOp):
        return f"{_words(kind.left, names)} or {_words(kind.right, names)}"
    known = names.get(ast.unparse(kind))
    if isinstance(known, types.UnionType):
        return _words(_parsed(known), names)
    outer = kind.value if isinstance(kind, ast.Subscript) else kind
    text = re.sub(r"\w+\.", "", ast.unparse(kind))
    return WORDS.get(text) or WORDS.get(ast.unparse(outer).rpartition(".")[2], text)
