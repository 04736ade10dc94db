"""What a call is refused with that Python or NumPy would refuse in their own words."""

from __future__ import annotations

import ast
import builtins
import collections.abc
import functools
import inspect
import os
import re
import types
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from .checks import are_numbers, is_number
from .kinds import InputError, MvnpError
from .texts import described

Called = TypeVar("Called", bound=Callable[..., Any])
STUMBLES = (TypeError, AttributeError, ValueError, LookupError, ArithmeticError)
WORDS = {
    "Array": "an array of numbers",
    "Callable": "a function",
    "Classifier": "a model (mvnp.create_model, mvnp.load_pretrained)",
    "Generator": "a generator such as numpy.random.default_rng(0)",
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
    owner = type(args[0]).__name__ if function.__name__ in ("__init__", "__call__") else function.__name__
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
    known: Any = names.get(name, getattr(builtins, name, getattr(collections.abc, name, None)))
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
