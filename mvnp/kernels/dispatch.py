"""Which code computes a layer: its twin for the device that its arrays are on, or the book.

A function of the book that is decorated with `@twin` may have twins: functions of the same name in the module of the same stem
of mvnp/kernels/cpu and mvnp/kernels/cuda, with the same arguments, results and cache, so that a forward of one goes with a
backward of the other. The twin for the device of the first array is called. It returns NotImplemented for what it does not
take (a dtype, a layout, a wrong input), and then the book runs, and says what is wrong, if anything is. Nothing else falls
back: an error in a twin is an error.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import pkgutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ..errors import check_choice, refusal, refusing
from .cpu import explained, unavailable

KERNELS = ("on", "off")
HERE = Path(__file__).parent

_chosen: str | None = None
_calls: list[tuple[str, str]] | None = None  # of `counted_calls`

Function = TypeVar("Function", bound=Callable[..., Any])


def use_kernels(choice: str) -> None:
    """Choose what layers are computed with: "on", the default, takes the kernels of this package, "off" the array code alone.
    MVNP_KERNELS sets the same.

    Raises InputError for another choice.
    """
    global _chosen
    check_choice("value of MVNP_KERNELS", choice, KERNELS)
    _chosen = choice


def kernels_on() -> bool:
    """Whether layers are computed with kernels. The environment is read on first use."""
    if _chosen is None:
        use_kernels(os.environ.get("MVNP_KERNELS") or "on")
    return _chosen == "on"


@contextlib.contextmanager
def counted_calls() -> Iterator[Counter[tuple[str, str]]]:
    """Who computes what meanwhile, in all threads: at the end the counter has {("layernorm_forward", "cpu"): calls}, with
    "cpu" or "cuda" for a twin, and "book" for the array code. Not to be nested.

        with mvnp.kernels.counted_calls() as calls:
            model(images)
        print(calls.most_common())
    """
    global _calls
    calls: Counter[tuple[str, str]] = Counter()
    noted: list[tuple[str, str]] = []
    _calls = noted
    try:
        yield calls
    finally:
        _calls = None
        calls.update(noted)


def twin(function: Function) -> Function:
    """Decorates a function of the book that has a twin for some device. `function.book` is the undecorated one."""
    stem, name = function.__module__.rpartition(".")[2], function.__name__

    @functools.wraps(function)
    def dispatch(*args: Any, **kwargs: Any) -> Any:
        if kernels_on():
            device = _device(*args, *kwargs.values())
            kernel = twin_of(device, stem, name)
            if kernel is not None:
                try:
                    result = kernel(*args, **kwargs)
                except Exception as error:
                    raise refusal(function, args, kwargs, error) or explained(error, f"{stem}.{name}") from error
                if result is not NotImplemented:
                    if _calls is not None:
                        _calls.append((name, str(device)))
                    return result
        if _calls is not None:
            _calls.append((name, "book"))
        return book(*args, **kwargs)

    book = refusing(function)
    dispatch.book = function  # type: ignore[attr-defined]
    return dispatch  # type: ignore[return-value]


@functools.cache
def twin_of(device: str | None, stem: str, name: str) -> Callable[..., Any] | None:
    """The twin of `stem`.`name` for a device, "cpu" or "cuda"; None where it has none, or where none can run."""
    if device is None or stem not in _modules(device) or (device == "cpu" and unavailable() is not None):
        return None
    return getattr(importlib.import_module(f"{__package__}.{device}.{stem}"), name, None)


def stems(device: str) -> list[str]:
    """What has a twin for a device: its modules that are called as one of the book is."""
    book = {path.stem for room in HERE.parent.iterdir() if room != HERE for path in room.glob("**/*.py")}
    return sorted(_modules(device) & book - {"__init__"})


@functools.cache
def _modules(device: str) -> frozenset[str]:
    return frozenset(module.name for module in pkgutil.iter_modules([str(HERE / device)]))


def _device(*arguments: Any) -> str | None:
    """Where the first array among the arguments is, or in a cache among them. None where there is none, and for a NumPy array
    that meets one of CuPy, which the book refuses."""
    cupy = sys.modules.get("cupy")
    for argument in arguments:
        if isinstance(argument, np.ndarray):
            if type(argument) is not np.ndarray:  # one that counts, or masks, has a way of its own to compute
                return None
            return "cpu" if cupy is None or not any(isinstance(other, cupy.ndarray) for other in arguments) else None
        if cupy is not None and isinstance(argument, cupy.ndarray):
            return "cuda"
        if isinstance(argument, tuple) and (inside := _device(*argument)) is not None:
            return inside
    return None
