"""Arrays that several figures are drawn from, worked out once."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_results: ContextVar[dict[Any, tuple[Any, Any]] | None] = ContextVar("results", default=None)


@contextlib.contextmanager
def remembering() -> Iterator[None]:
    """While this context lasts, a `remembered` function that is asked the same again gives what it gave.

    So nothing that it was asked of, and nothing that it gave, may be changed meanwhile. Within another such context it adds
    to what that remembers.
    """
    if _results.get() is not None:
        yield
        return
    before = _results.set({})
    try:
        yield
    finally:
        _results.reset(before)


def remembered(function: Callable[P, T]) -> Callable[P, T]:
    """Of a function whose result follows from its arguments: models and arrays are the same if they are the same objects."""

    @functools.wraps(function)
    def call(*arguments: P.args, **options: P.kwargs) -> T:
        results = _results.get()
        if results is None:
            return function(*arguments, **options)
        each = [*arguments, *options.items()]
        key = _key(function, each)
        if key not in results:
            # With the arguments, so that no other object comes to have the id of one of them.
            results[key] = (function(*arguments, **options), each)
        return results[key][0]

    return call


def recall(function: Callable[..., T], *arguments: Any) -> T | None:
    """What a `remembered` function gave when it was asked this; None where that is not remembered."""
    known = (_results.get() or {}).get(_key(inspect.unwrap(function), arguments))
    return None if known is None else known[0]


def _key(function: Callable[..., Any], arguments: Sequence[Any]) -> tuple[Any, ...]:
    return (function, *(argument if _is_plain(argument) else id(argument) for argument in arguments))


def _is_plain(argument: Any) -> bool:
    return (
        argument is None
        or isinstance(argument, str | int | float)
        or (isinstance(argument, tuple) and all(map(_is_plain, argument)))
    )
